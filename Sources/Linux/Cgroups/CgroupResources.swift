/// The limits of a cgroup, as OCI's `linux.resources` names them (runtime-spec, config-linux.md, "Control groups").
/// A field that is nil is not touched.
public struct CgroupResources: Sendable, Hashable {
    public var memory = Memory()
    public var cpu = CPU()
    /// `pids.limit`: -1 is no limit; 0 means "no task may be forked" and is written as 1, as runc does (runtime-spec 1.3).
    public var pidsLimit: Int64?
    public var blockIO = BlockIO()
    public var hugepages: [Hugepage] = []
    public var network = Network()
    /// Device name → limits of RDMA/InfiniBand handles and objects.
    public var rdma: [String: RDMA] = [:]
    /// Applied in order, later rules win. nil or empty: device access stays as the parent has it.
    public var devices: [DeviceRule] = []
    /// cgroup v2 only: file name → content, written last and as they are.
    public var unified: [String: String] = [:]

    public init() {}

    public struct Memory: Sendable, Hashable {
        /// Bytes; -1 is no limit.
        public var limit: Int64?
        /// Bytes of memory **and** swap; -1 is no limit of swap.
        public var swap: Int64?
        /// Soft limit in bytes; -1 is none.
        public var reservation: Int64?
        /// Kernel memory in bytes (v1 only, deprecated by the kernel).
        public var kernel: Int64?
        /// Kernel TCP buffers in bytes (v1 only).
        public var kernelTCP: Int64?
        /// 0–100 (v1 only).
        public var swappiness: UInt64?
        /// Pause instead of kill when memory runs out (v1 only).
        public var disableOOMKiller: Bool?
        /// Account children to the parent (v1; always so since Linux 5.11 and on v2).
        public var useHierarchy: Bool?
        /// Refuse a limit that lies below the present usage instead of letting the kernel reclaim or kill.
        public var checkBeforeUpdate: Bool?

        public init() {}
    }

    public struct CPU: Sendable, Hashable {
        /// Relative weight on v1's scale, 2–262144, 1024 by default; converted on v2. 0 is "not set".
        public var shares: UInt64?
        /// Microseconds of CPU time per period; -1 is no limit.
        public var quota: Int64?
        /// Microseconds that may be saved up from periods of low use (Linux 5.14).
        public var burst: UInt64?
        /// Microseconds.
        public var period: UInt64?
        /// Microseconds of real-time scheduling per period (v1 only).
        public var realtimeRuntime: Int64?
        public var realtimePeriod: UInt64?
        /// List of CPUs such as `0-2,7`.
        public var cpus: String?
        /// List of memory nodes.
        public var mems: String?
        /// 1: only time that nobody else wants (SCHED_IDLE for a cgroup, Linux 5.15).
        public var idle: Int64?

        public init() {}
    }

    public struct BlockIO: Sendable, Hashable {
        /// 10–1000.
        public var weight: UInt16?
        public var leafWeight: UInt16?
        public var weightDevices: [WeightDevice] = []
        /// Bytes per second.
        public var readBytes: [Throttle] = []
        public var writeBytes: [Throttle] = []
        /// Operations per second.
        public var readOperations: [Throttle] = []
        public var writeOperations: [Throttle] = []

        public init() {}
    }

    public struct WeightDevice: Sendable, Hashable {
        public var major: Int64
        public var minor: Int64
        public var weight: UInt16?
        public var leafWeight: UInt16?

        public init(major: Int64, minor: Int64, weight: UInt16? = nil, leafWeight: UInt16? = nil) {
            self.major = major
            self.minor = minor
            self.weight = weight
            self.leafWeight = leafWeight
        }
    }

    public struct Throttle: Sendable, Hashable {
        public var major: Int64
        public var minor: Int64
        /// Per second; 0 takes the limit away.
        public var rate: UInt64

        public init(major: Int64, minor: Int64, rate: UInt64) {
            self.major = major
            self.minor = minor
            self.rate = rate
        }
    }

    public struct Hugepage: Sendable, Hashable {
        /// As the kernel names it: `2MB`, `1GB`, `64KB`.
        public var pageSize: String
        /// Bytes.
        public var limit: UInt64

        public init(pageSize: String, limit: UInt64) {
            self.pageSize = pageSize
            self.limit = limit
        }
    }

    public struct Network: Sendable, Hashable {
        /// Traffic-control class of the packets (v1's net_cls).
        public var classID: UInt32?
        /// Interface name → priority (v1's net_prio).
        public var priorities: [Priority] = []

        public init() {}

        public struct Priority: Sendable, Hashable {
            public var interface: String
            public var priority: UInt32

            public init(interface: String, priority: UInt32) {
                self.interface = interface
                self.priority = priority
            }
        }
    }

    public struct RDMA: Sendable, Hashable {
        public var handles: UInt32?
        public var objects: UInt32?

        public init(handles: UInt32? = nil, objects: UInt32? = nil) {
            self.handles = handles
            self.objects = objects
        }
    }
}

/// One entry of the device allow-list.
public struct DeviceRule: Sendable, Hashable {
    public enum Kind: String, Sendable, Hashable {
        case all = "a"
        case character = "c"
        case block = "b"
    }

    /// What may be done: read, write, mknod.
    public struct Access: OptionSet, Sendable, Hashable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        // The bits of BPF_DEVCG_ACC_* (linux/bpf.h).
        public static let mknod = Access(rawValue: 1)
        public static let read = Access(rawValue: 2)
        public static let write = Access(rawValue: 4)
        public static let all: Access = [.mknod, .read, .write]

        /// From letters such as `rwm`; nil for any other letter. Empty text is everything, as runc reads it.
        public init?(_ letters: String) {
            var access: Access = []
            for letter in letters.utf8 {
                switch letter {
                case UInt8(ascii: "r"): access.insert(.read)
                case UInt8(ascii: "w"): access.insert(.write)
                case UInt8(ascii: "m"): access.insert(.mknod)
                default: return nil
                }
            }
            self = letters.isEmpty ? .all : access
        }

        /// In the kernel's order: `rwm`.
        public var letters: String {
            (contains(.read) ? "r" : "") + (contains(.write) ? "w" : "") + (contains(.mknod) ? "m" : "")
        }
    }

    public var allow: Bool
    public var kind: Kind
    /// nil is every number (`*`, -1).
    public var major: UInt32?
    public var minor: UInt32?
    public var access: Access

    public init(allow: Bool, kind: Kind = .all, major: UInt32? = nil, minor: UInt32? = nil, access: Access = .all) {
        self.allow = allow
        self.kind = kind
        self.major = major
        self.minor = minor
        self.access = access
    }

    /// What every container may use whatever its spec says, as runc and crun have it: creating any device node
    /// (not opening it), the default devices of the spec, pseudo terminals, and /dev/net/tun, on which VPN containers rely
    /// (runc 1.2 left it out and took it back in 1.2.4).
    /// Append behind the spec's own rules.
    public static let containerDefaults: [DeviceRule] = [
        DeviceRule(allow: true, kind: .character, access: .mknod),
        DeviceRule(allow: true, kind: .block, access: .mknod),
        DeviceRule(allow: true, kind: .character, major: 1, minor: 3),
        DeviceRule(allow: true, kind: .character, major: 1, minor: 5),
        DeviceRule(allow: true, kind: .character, major: 1, minor: 7),
        DeviceRule(allow: true, kind: .character, major: 1, minor: 8),
        DeviceRule(allow: true, kind: .character, major: 1, minor: 9),
        DeviceRule(allow: true, kind: .character, major: 5, minor: 0),
        DeviceRule(allow: true, kind: .character, major: 5, minor: 2),
        DeviceRule(allow: true, kind: .character, major: 10, minor: 200),
        DeviceRule(allow: true, kind: .character, major: 136),
    ]
}
