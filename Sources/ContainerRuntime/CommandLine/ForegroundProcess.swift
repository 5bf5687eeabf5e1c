internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// Stays with a process until it ends: forwards signals, and carries its terminal to ours.
struct ForegroundProcess: ~Copyable {
    private let signals: OwnedFD

    /// Blocks all signals, to receive them by descriptor.
    init() throws(SystemError) {
        var all = sigset_t()
        sigfillset(&all)
        sigprocmask(SIG_BLOCK, &all, nil)
        signals = OwnedFD(owning: try retrying("create signal descriptor") { signalfd(-1, &all, Int32(SFD_CLOEXEC | SFD_NONBLOCK)) })
    }

    /// Answers the exit code as a shell shows it. With a master and no console socket, the caller's own terminal is
    /// the process's until the end.
    func follow(_ pid: Int32, _ pidfd: Int32, master: consuming OwnedFD?, _ consoleSocket: String?) throws -> Int32 {
        if let master {
            if consoleSocket != nil {
                try DescriptorSocket.sendTerminal(master, to: consoleSocket)
            } else {
                return try relay(pid, pidfd, master)
            }
        }
        var watched = [pollfd(fd: pidfd, events: Int16(POLLIN), revents: 0), pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0)]
        while watched[0].revents == 0 {
            try retrying("wait for container") { poll(&watched, 2, -1) }
            if watched[1].revents != 0 { forwardSignals(to: pidfd, master: nil) }
        }
        return try ProcessStatus.reap(pid)
    }

    private func forwardSignals(to pidfd: Int32, master: Int32?) {
        var information = signalfd_siginfo()
        while read(signals.raw, &information, MemoryLayout<signalfd_siginfo>.size) > 0 {
            let number = Int32(information.ssi_signo)
            if number == SIGWINCH, let master {
                copySize(to: master)
            } else if ![SIGCHLD, SIGPIPE, SIGURG].contains(number) {
                _ = clp_pidfd_send_signal(pidfd, number)
            }
        }
    }

    private func copySize(to master: Int32) {
        if let (rows, columns) = Terminal.size(0), rows > 0, columns > 0 { try? Terminal.setSize(master, rows: rows, columns: columns) }
    }

    private func relay(_ pid: Int32, _ pidfd: Int32, _ master: borrowing OwnedFD) throws -> Int32 {
        var before = termios()
        let isTerminal = tcgetattr(0, &before) == 0
        if isTerminal {
            var raw = before
            cfmakeraw(&raw)
            // The process's terminal leaves line ends to ours.
            raw.c_oflag |= tcflag_t(OPOST)
            tcsetattr(0, TCSANOW, &raw)
            copySize(to: master.raw)
        }
        defer { if isTerminal { tcsetattr(0, TCSANOW, &before) } }
        let readable = Int16(POLLIN)
        var watched = [
            pollfd(fd: pidfd, events: readable, revents: 0), pollfd(fd: signals.raw, events: readable, revents: 0),
            pollfd(fd: master.raw, events: readable, revents: 0), pollfd(fd: 0, events: readable, revents: 0),
        ]
        var buffer = [UInt8](repeating: 0, count: 32768)
        while watched[0].revents == 0 || watched[2].revents & readable != 0 {
            try retrying("wait for container") { poll(&watched, nfds_t(watched.count), watched[0].revents == 0 ? -1 : 0) }
            if watched[1].revents != 0 { forwardSignals(to: pidfd, master: master.raw) }
            if watched[2].revents != 0 && !copy(from: master.raw, to: 1, &buffer) { watched[2].fd = -1 }
            // What is typed after the end of our input is nothing: the terminal stays.
            if watched[3].revents != 0 && !copy(from: 0, to: master.raw, &buffer) { watched[3].fd = -1 }
        }
        return try ProcessStatus.reap(pid)
    }

    /// One read and its whole write; false at the end.
    private func copy(from source: Int32, to target: Int32, _ buffer: inout [UInt8]) -> Bool {
        let count = read(source, &buffer, buffer.count)
        if count <= 0 { return count < 0 && (errno == EINTR || errno == EAGAIN) }
        var offset = 0
        while offset < count {
            let written = buffer.withUnsafeBytes { write(target, $0.baseAddress.map { $0 + offset }, count - offset) }
            if written < 0 && errno != EINTR { return false }
            offset += max(0, written)
        }
        return true
    }
}

extension Spec.Process {
    /// The size of the caller's own terminal, which the process's will be shown on: it has it before its program runs.
    mutating func takeTerminalSize() {
        if terminal, consoleSize == nil, let (rows, columns) = Terminal.size(0) {
            consoleSize = Spec.ConsoleSize(height: rows, width: columns)
        }
    }
}
