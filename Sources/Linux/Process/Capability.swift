internal import CLinux
internal import Glibc

/// A capability of capabilities(7). The raw value is the kernel's number, which is the order of this list.
public enum Capability: Int, CaseIterable, Sendable {
    case chown, dacOverride, dacReadSearch, fowner, fsetid, kill, setgid, setuid, setpcap, linuxImmutable, netBindService
    case netBroadcast, netAdmin, netRaw, ipcLock, ipcOwner, sysModule, sysRawio, sysChroot, sysPtrace, sysPacct, sysAdmin
    case sysBoot, sysNice, sysResource, sysTime, sysTTYConfig, mknod, lease, auditWrite, auditControl, setfcap, macOverride
    case macAdmin, syslog, wakeAlarm, blockSuspend, auditRead, perfmon, bpf, checkpointRestore

    /// The kernel's name, `CAP_CHOWN`.
    public var name: String { Capability.names[rawValue] }

    /// From the kernel's name; nil for an unknown one.
    public init?(name: String) {
        guard let number = Capability.names.firstIndex(of: name) else { return nil }
        self.init(rawValue: number)
    }

    private static let names = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
        "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
        "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_SYS_PACCT",
        "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD",
        "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG",
        "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
    ]
}

/// A set of capabilities, a bit for each number.
public struct CapabilitySet: OptionSet, Hashable, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public init(_ capability: Capability) { rawValue = 1 << UInt64(capability.rawValue) }

    /// Every capability known here.
    public static let all = CapabilitySet(rawValue: (1 << UInt64(Capability.allCases.count)) - 1)

    public func contains(_ capability: Capability) -> Bool { rawValue >> UInt64(capability.rawValue) & 1 == 1 }

    /// What this process may use: its permitted set. What is not in it cannot be given to a child either.
    public static func permitted() throws(SystemError) -> CapabilitySet {
        var effective: UInt64 = 0
        var permitted: UInt64 = 0
        var inheritable: UInt64 = 0
        try retrying("read capabilities") { clp_capget(&effective, &permitted, &inheritable) }
        return CapabilitySet(rawValue: permitted)
    }
}

/// The five sets of a process.
public struct CapabilitySets: Equatable, Sendable {
    public var bounding: CapabilitySet = []
    public var effective: CapabilitySet = []
    public var permitted: CapabilitySet = []
    public var inheritable: CapabilitySet = []
    public var ambient: CapabilitySet = []

    public init() {}

    /// The part of every set that is also in `limit`.
    public func intersection(_ limit: CapabilitySet) -> CapabilitySets {
        var result = self
        result.bounding.formIntersection(limit)
        result.effective.formIntersection(limit)
        result.permitted.formIntersection(limit)
        result.inheritable.formIntersection(limit)
        result.ambient.formIntersection(limit)
        return result
    }

    /// Drops from the bounding set everything that is not in `bounding`. Needs CAP_SETPCAP, so it comes before the
    /// change of user, and it must: what stays in the bounding set comes back with a set-user-ID program.
    public func applyBounding() throws(SystemError) {
        for number in 0..<64 {
            // A number above the kernel's last capability answers EINVAL: the end.
            let present = clp_prctl(PR_CAPBSET_READ, UInt(number), 0, 0, 0)
            if present < 0 { return }
            if present == 1 && bounding.rawValue >> UInt64(number) & 1 == 0 {
                try retrying("drop capability", "\(number) from the bounding set") { clp_prctl(PR_CAPBSET_DROP, UInt(number), 0, 0, 0) }
            }
        }
    }

    /// Sets effective, permitted and inheritable, then ambient, which needs both of the latter.
    public func apply() throws(SystemError) {
        try retrying("set capabilities") { clp_capset(effective.rawValue, permitted.rawValue, inheritable.rawValue) }
        clp_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
        if ambient.isEmpty { return }
        for capability in Capability.allCases where ambient.contains(capability) {
            try retrying("raise ambient capability", capability.name) {
                clp_prctl(PR_CAP_AMBIENT, UInt(PR_CAP_AMBIENT_RAISE), UInt(capability.rawValue), 0, 0)
            }
        }
    }
}
