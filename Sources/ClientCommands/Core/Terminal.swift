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

extension Terminal {
    /// A line typed without being shown; nil when it was broken off with Ctrl-C. What is no terminal is read as it is.
    /// - Parameter ask: prints the question, once nothing is shown any more.
    static func readSecret(_ descriptor: Int32, ask: () -> Void) -> String? {
        let terminal = RawTerminal(descriptor)
        // Raw: with nothing but the echo off, Ctrl-C would leave a terminal that shows nothing any more.
        terminal.enter()
        defer { terminal.restore() }
        ask()
        var secret: [UInt8] = []
        var byte: UInt8 = 0
        while true {
            let count = read(descriptor, &byte, 1)
            if count < 0 && errno == EINTR { continue }
            guard count == 1 else { return String(decoding: secret, as: UTF8.self) }
            switch byte {
            case 3: return nil
            case 4 where secret.isEmpty, 10, 13: return String(decoding: secret, as: UTF8.self)
            case 8, 127:
                // The whole character: its continuation bytes, then its first.
                while let last = secret.popLast(), last & 0xC0 == 0x80 {}
            default: secret.append(byte)
            }
        }
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
