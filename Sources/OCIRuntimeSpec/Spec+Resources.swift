extension Spec {
    /// Limits of the container's control group (config-linux.md, "Control groups").
    public struct Resources: Sendable, Equatable {
        public var devices: [DeviceRule] = []
        public var memory: Memory?
        public var cpu: CPU?
        /// The greatest number of tasks; -1 is unlimited.
        public var pidsLimit: Int64?
        public var blockIO: BlockIO?
        public var hugepageLimits: [HugepageLimit] = []
        public var network: Network?
        /// By device name.
        public var rdma: [String: RDMA] = [:]
        /// Files of cgroup v2 and what is written to them.
        public var unified: [String: String] = [:]

        public init() {}
    }

    /// Allows or denies a device or, with numbers left out, many.
    public struct DeviceRule: Sendable, Equatable {
        public var allow: Bool
        /// `a` (all), `c` or `b`.
        public var type: String
        public var major: Int64?
        public var minor: Int64?
        /// Of the letters `rwm`.
        public var access: String

        public init(allow: Bool, type: String = "a", major: Int64? = nil, minor: Int64? = nil, access: String = "rwm") {
            self.allow = allow
            self.type = type
            self.major = major
            self.minor = minor
            self.access = access
        }
    }

    /// Bytes; -1 is unlimited.
    public struct Memory: Sendable, Equatable {
        public var limit: Int64?
        public var reservation: Int64?
        /// Memory and swap together.
        public var swap: Int64?
        public var kernel: Int64?
        public var kernelTCP: Int64?
        /// 0…100.
        public var swappiness: UInt64?
        public var disableOOMKiller: Bool?
        public var useHierarchy: Bool?
        public var checkBeforeUpdate: Bool?

        public init() {}
    }

    /// Times are microseconds.
    public struct CPU: Sendable, Equatable {
        public var shares: UInt64?
        public var quota: Int64?
        public var burst: UInt64?
        public var period: UInt64?
        public var realtimeRuntime: Int64?
        public var realtimePeriod: UInt64?
        public var cpus: String?
        public var mems: String?
        public var idle: Int64?

        public init() {}
    }

    /// Weights 10…1000, rates per second.
    public struct BlockIO: Sendable, Equatable {
        public var weight: UInt16?
        public var leafWeight: UInt16?
        public var weightDevice: [DeviceWeight] = []
        public var throttleReadBps: [DeviceRate] = []
        public var throttleWriteBps: [DeviceRate] = []
        public var throttleReadIOPS: [DeviceRate] = []
        public var throttleWriteIOPS: [DeviceRate] = []

        public init() {}
    }

    public struct DeviceWeight: Sendable, Equatable {
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

    public struct DeviceRate: Sendable, Equatable {
        public var major: Int64
        public var minor: Int64
        public var rate: UInt64

        public init(major: Int64, minor: Int64, rate: UInt64) {
            self.major = major
            self.minor = minor
            self.rate = rate
        }
    }

    /// `pageSize` as the kernel names it: `2MB`.
    public struct HugepageLimit: Sendable, Equatable {
        public var pageSize: String
        public var limit: UInt64

        public init(pageSize: String, limit: UInt64) {
            self.pageSize = pageSize
            self.limit = limit
        }
    }

    public struct Network: Sendable, Equatable {
        public var classID: UInt32?
        public var priorities: [InterfacePriority] = []

        public init() {}
    }

    public struct InterfacePriority: Sendable, Equatable {
        public var name: String
        public var priority: UInt32

        public init(name: String, priority: UInt32) {
            self.name = name
            self.priority = priority
        }
    }

    public struct RDMA: Sendable, Equatable {
        public var hcaHandles: UInt32?
        public var hcaObjects: UInt32?

        public init(hcaHandles: UInt32? = nil, hcaObjects: UInt32? = nil) {
            self.hcaHandles = hcaHandles
            self.hcaObjects = hcaObjects
        }
    }
}
