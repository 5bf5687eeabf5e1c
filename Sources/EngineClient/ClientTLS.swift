/// How a client meets a server that speaks TLS: whom it believes, and how it proves who it is. Paths of PEM files.
public struct ClientTLS: Equatable, Sendable {
    /// Who may have signed the server's certificate; nil: the authorities of the system.
    public var authorities: String?
    public var certificate: String?
    public var key: String?
    /// Whether the server has to prove who it is.
    public var verifies: Bool

    public init(authorities: String? = nil, certificate: String? = nil, key: String? = nil, verifies: Bool) {
        self.authorities = authorities
        self.certificate = certificate
        self.key = key
        self.verifies = verifies
    }
}
