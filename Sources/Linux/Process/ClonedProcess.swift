public import CLinux
internal import Glibc

/// A child made with clone3(2).
public struct ClonedProcess: ~Copyable {
    /// In the caller's pid namespace.
    public let pid: pid_t
    public let pidfd: OwnedFD

    /// Clones the calling process, which must be single-threaded, into new namespaces (CLONE_NEW…) and, with
    /// `cgroup`, straight into the cgroup v2 directory of that descriptor. `body` is all the child ever does: when it
    /// returns, the child exits with the number it gives. Descriptors are closed by the exit, not by their owners.
    /// With `asSibling` the caller's parent becomes the child's parent too (CLONE_PARENT).
    public static func clone(
        namespaces: Int32, cgroup: Int32? = nil, asSibling: Bool = false, body: () -> Int32
    ) throws(SystemError) -> ClonedProcess {
        var flags = UInt64(UInt32(bitPattern: namespaces)) | UInt64(CLONE_PIDFD)
        if asSibling { flags |= UInt64(CLONE_PARENT) }
        // CLONE_INTO_CGROUP does not fit into the 32 bits that C's macro is imported with.
        if cgroup != nil { flags |= 0x2_0000_0000 }
        var pidfd: Int32 = -1
        let pid = clp_clone3(flags, &pidfd, UInt64(cgroup ?? 0))
        if pid < 0 { throw SystemError("clone process") }
        if pid == 0 { _exit(body()) }
        return ClonedProcess(pid: pid, pidfd: OwnedFD(owning: pidfd))
    }

    /// Sends SIGKILL and reaps: for a child whose set-up failed.
    public func killAndReap() {
        _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL)
        _ = try? ProcessStatus.reap(pid)
    }

    init(pid: pid_t, pidfd: consuming OwnedFD) {
        self.pid = pid
        self.pidfd = pidfd
    }

    /// Adopts a process that somebody else cloned for this one (CLONE_PARENT), by its pidfd: the number is looked up
    /// in this process's own pid namespace.
    public static func adopting(_ pidfd: consuming OwnedFD) throws(SystemError) -> ClonedProcess {
        let information = try Files.readText("/proc/self/fdinfo/\(pidfd.raw)")
        let line = information.split(separator: "\n").first { $0.hasPrefix("Pid:") }
        guard let pid = line.flatMap({ pid_t($0.dropFirst(4).filter { $0 != " " && $0 != "\t" }) }), pid > 0 else {
            throw SystemError("look up cloned process", code: ESRCH)
        }
        return ClonedProcess(pid: pid, pidfd: pidfd)
    }

    /// Gives the descriptor away.
    public consuming func takePidfd() -> OwnedFD { pidfd }
}

/// How a process ended, and what the kernel tells of one that runs.
public enum ProcessStatus {
    /// Waits for a child and answers the code that a shell gives: its exit code, or 128 and the signal.
    public static func reap(_ pid: pid_t) throws(SystemError) -> Int32 {
        var status: Int32 = 0
        try retrying("wait for process", "\(pid)") { waitpid(pid, &status, 0) }
        return exitCode(status)
    }

    /// Waits for a child and tells an exit from a signal.
    public static func ending(_ pid: pid_t) throws(SystemError) -> Ending {
        var status: Int32 = 0
        try retrying("wait for process", "\(pid)") { waitpid(pid, &status, 0) }
        return clp_wifexited(status) != 0 ? .exited(clp_wexitstatus(status)) : .killed(clp_wtermsig(status))
    }

    /// How a process ended.
    public enum Ending: Equatable, Sendable, CustomStringConvertible {
        case exited(Int32), killed(Int32)

        /// `exit code 1`, `killed by SIGSYS (bad system call)`.
        public var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .killed(let signal): "killed by \(Signal.name(signal)) (\(Signal.meaning(signal)))"
            }
        }
    }

    /// waitpid(2)'s status as a shell shows it.
    public static func exitCode(_ status: Int32) -> Int32 {
        clp_wifexited(status) != 0 ? clp_wexitstatus(status) : 128 + clp_wtermsig(status)
    }

    /// What /proc/<pid>/stat tells.
    public struct Snapshot: Equatable, Sendable {
        /// `R`, `S`, `Z`…
        public let state: Character
        public let parent: pid_t
        /// Clock ticks since boot: with the pid, the identity of a process.
        public let startTime: UInt64
    }

    /// Nil when there is no such process.
    public static func snapshot(_ pid: pid_t) -> Snapshot? {
        guard let text = try? Files.readText("/proc/\(pid)/stat") else { return nil }
        return parse(text)
    }

    /// The name, in parentheses, may hold spaces and parentheses: fields are counted behind the last one.
    static func parse(_ text: String) -> Snapshot? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let state = fields[0].first, let parent = pid_t(fields[1]), let start = UInt64(fields[19]) else {
            return nil
        }
        return Snapshot(state: state, parent: parent, startTime: start)
    }
}
