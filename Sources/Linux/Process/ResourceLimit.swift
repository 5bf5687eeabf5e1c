internal import CLinux
internal import Glibc

/// A limit of setrlimit(2).
public enum ResourceLimitKind: Int32, CaseIterable, Sendable {
    // The kernel's numbers, asm-generic/resource.h.
    case cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, `as`, locks, sigpending, msgqueue, nice, rtprio, rttime

    /// `RLIMIT_NOFILE`. Written out: the case's own name is found by reflection, which looks at every type there is.
    public var name: String {
        switch self {
        case .cpu: "RLIMIT_CPU"
        case .fsize: "RLIMIT_FSIZE"
        case .data: "RLIMIT_DATA"
        case .stack: "RLIMIT_STACK"
        case .core: "RLIMIT_CORE"
        case .rss: "RLIMIT_RSS"
        case .nproc: "RLIMIT_NPROC"
        case .nofile: "RLIMIT_NOFILE"
        case .memlock: "RLIMIT_MEMLOCK"
        case .`as`: "RLIMIT_AS"
        case .locks: "RLIMIT_LOCKS"
        case .sigpending: "RLIMIT_SIGPENDING"
        case .msgqueue: "RLIMIT_MSGQUEUE"
        case .nice: "RLIMIT_NICE"
        case .rtprio: "RLIMIT_RTPRIO"
        case .rttime: "RLIMIT_RTTIME"
        }
    }

    public init?(name: String) {
        guard let kind = ResourceLimitKind.allCases.first(where: { $0.name == name }) else { return nil }
        self = kind
    }
}

/// A soft and a hard limit; `UInt64.max` is unlimited.
public struct ResourceLimit: Equatable, Sendable {
    public var kind: ResourceLimitKind
    public var soft: UInt64
    public var hard: UInt64

    public init(_ kind: ResourceLimitKind, soft: UInt64, hard: UInt64) {
        self.kind = kind
        self.soft = soft
        self.hard = hard
    }

    /// The calling process's limit.
    public static func current(_ kind: ResourceLimitKind) throws(SystemError) -> ResourceLimit {
        var values: [UInt64] = [0, 0]
        try retrying("read", kind.name) { clp_getrlimit(kind.rawValue, &values) }
        return ResourceLimit(kind, soft: values[0], hard: values[1])
    }

    /// Sets it for the calling process. When the host forbids it, the error says what it allows.
    public func apply() throws(SystemError) {
        if clp_prlimit(0, kind.rawValue, soft, hard) == 0 { return }
        let code = errno
        let allowed = code == EPERM ? try? ResourceLimit.current(kind) : nil
        let hint = allowed.map { " (the host allows at most \(ResourceLimit.text($0.hard)); more needs CAP_SYS_RESOURCE)" } ?? ""
        throw SystemError("set \(kind.name)", "to \(ResourceLimit.text(soft)):\(ResourceLimit.text(hard))\(hint)", code: code)
    }

    private static func text(_ value: UInt64) -> String { value == .max ? "unlimited" : "\(value)" }
}
