internal import CLinux
internal import ClientUI
internal import Glibc

/// The terminal the client runs in.
enum Terminal {
    /// Columns for help pages: 80 when there is no terminal.
    static var width: Int { size(1).map { max(Int($0.columns), 40) } ?? 80 }

    /// Rows and columns of a terminal (ioctl_tty(2), TIOCGWINSZ); nil when it is none or doesn't say.
    static func size(_ descriptor: Int32) -> (rows: UInt16, columns: UInt16)? {
        var size = winsize()
        guard withUnsafeMutablePointer(to: &size, { clp_ioctl_pointer(descriptor, UInt(TIOCGWINSZ), $0) }) == 0, size.ws_col > 0 else {
            return nil
        }
        return (size.ws_row, size.ws_col)
    }
}

/// A terminal in raw mode, put back by `restore` on every way out.
final class RawTerminal {
    private let descriptor: Int32
    private var saved = termios()
    private var isRaw = false

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    /// cfmakeraw(3); nothing happens on what is no terminal.
    func enter() {
        guard tcgetattr(descriptor, &saved) == 0 else { return }
        var raw = saved
        cfmakeraw(&raw)
        guard tcsetattr(descriptor, TCSANOW, &raw) == 0 else { return }
        isRaw = true
        Output.beforeBrokenPipe = { [weak self] in self?.restore() }
    }

    func restore() {
        guard isRaw else { return }
        _ = tcsetattr(descriptor, TCSANOW, &saved)
        isRaw = false
    }

    deinit { restore() }
}
