internal import EngineTypes
internal import Glibc
internal import Linux
internal import ShimProtocol

/// A signal that a request sent to a container.
struct SentSignal: Sendable, Equatable {
    enum Cause: Sendable, Equatable {
        case stop, kill, remove
        /// The container did not end within the time of a stop.
        case stopTimeout(after: Int32, seconds: Int)
    }

    let number: Int32
    let cause: Cause
}

/// Why a container stopped, when it did not just exit: one sentence, whose words before the colon say it in short.
///
/// Docker leaves State.Error empty for these ends, so the sentence stands beside it, in State.Reason (docs/compatibility.md).
struct EndReason {
    let exit: ExitRecord
    let record: ContainerRecord
    let sent: SentSignal?
    let victim: OOMVictim?

    var sentence: String? {
        if let text = outOfMemory { return text }
        if let signal = exit.signal { return ended(by: signal) }
        // The first process is Clipper's own, which ends with 128 + the signal that ended the program.
        if record.hostConfig.Init == true, exit.exitCode > 128, exit.exitCode <= 128 + 64 { return ended(by: exit.exitCode - 128) }
        return nil
    }

    /// The container could not be started; `message` is the whole story.
    static func ofFailedStart(_ message: String, code: Int) -> String {
        switch code {
        case 127: "executable not found: \(message)"
        case 126 where message.contains("exec format error"): "wrong kind of executable: \(message)"
        case 126: "not executable: \(message)"
        default: "start failed: \(message)"
        }
    }

    private var outOfMemory: String? {
        guard exit.oomKilled, exit.exitCode != 0 else { return nil }
        let who = victim.map { "\($0.name) (process \($0.pid))" } ?? "a process of the container"
        let peak = exit.memoryPeak.map { ", at most \(Self.size($0)) were in use" } ?? ""
        guard let limit = record.hostConfig.Memory, limit > 0 else {
            return "out of memory: the kernel killed \(who), as the machine's memory ran out\(peak)"
        }
        return "out of memory: the kernel killed \(who) at the limit of \(Self.size(UInt64(limit)))\(peak)"
    }

    private func ended(by signal: Int32) -> String {
        let name = Signals.name(signal)
        if let sent, sent.number == signal {
            switch sent.cause {
            case .stop: return "stopped by \(name): a stop request sent it"
            case .kill: return "killed by \(name): a kill request sent it"
            case .remove: return "killed by \(name): it was removed by force"
            case .stopTimeout(let first, let seconds):
                return "killed by \(name): it did not end within \(seconds) s of the stop request's \(Signals.name(first))"
            }
        }
        // Nothing inside a process namespace can kill its first process by a signal that this has no handler for, and from outside
        // only SIGKILL can (pid_namespaces(7)).
        let isShared = !(record.hostConfig.PidMode ?? "").isEmpty || record.hostConfig.Init == true
        let orSent = isShared ? ", or a process sent the signal" : ""
        switch signal {
        case SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP: return "crashed by \(name): \(Self.fault(signal))\(orSent)"
        case SIGABRT: return "crashed by \(name): the program ended itself by abort(3)\(orSent)"
        case SIGSYS: return "killed by \(name): it made a system call that its seccomp profile ends a program for"
        case SIGPIPE: return "killed by \(name): it wrote to a pipe or socket that nobody reads"
        case SIGXCPU: return "killed by \(name): it used up the processor time of its limit (ulimit cpu)"
        default: break
        }
        let place = isShared ? "inside or outside the container" : "of this machine, outside the container,"
        return "killed by \(name): a process \(place) sent it, not a request to this daemon"
    }

    private static func fault(_ signal: Int32) -> String {
        switch signal {
        case SIGSEGV: "it used an address that is not its own"
        case SIGBUS: "it used memory that is not there"
        case SIGILL: "it ran an instruction that this processor does not have"
        case SIGFPE: "it calculated what cannot be calculated, such as a division by zero"
        default: "it ran into a breakpoint"
        }
    }

    /// `32 MiB`; bytes when it is no whole number of KiB.
    static func size(_ bytes: UInt64) -> String {
        let units = [(UInt64(1) << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        for (unit, name) in units where bytes >= unit {
            let tenths = (bytes * 10 + unit / 2) / unit
            return tenths % 10 == 0 ? "\(tenths / 10) \(name)" : "\(tenths / 10).\(tenths % 10) \(name)"
        }
        return "\(bytes) bytes"
    }
}
