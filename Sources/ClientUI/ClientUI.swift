// ClientUI
