internal import CLinux
internal import Glibc
internal import Linux

/// Signals as bytes of a descriptor (signalfd(2)). While it lives, those signals don't act on the client.
final class SignalSource {
    private let descriptorOwner: OwnedFD
    private let mask: UInt64

    var descriptor: Int32 { descriptorOwner.raw }

    /// Everything a user may send to a program; faults, child and window signals are the client's own.
    static let proxied: [Int32] = [
        SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTERM, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGVTALRM, SIGPROF, SIGIO, SIGPWR,
    ]
    /// What ends the client at a terminal.
    static let ending: [Int32] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM]

    init(_ signals: [Int32]) throws {
        let mask: UInt64 = signals.reduce(0) { $0 | 1 << UInt64($1 - 1) }
        self.mask = mask
        _ = clp_sigmask(0, mask)
        descriptorOwner = OwnedFD(owning: try retrying("signalfd") { clp_signalfd(mask) })
    }

    deinit { _ = clp_sigmask(1, mask) }

    /// The next signal; nil when none is there.
    func next() -> Int32? {
        // struct signalfd_siginfo: 128 bytes, the number first.
        var info = [UInt8](repeating: 0, count: 128)
        guard read(descriptor, &info, 128) == 128 else { return nil }
        return Int32(info[0])
    }
}
