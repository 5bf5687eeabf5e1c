/// What a cgroup has used: the figures behind `stats`. A part is nil when its controller is not there.
public struct CgroupStatistics: Sendable, Hashable {
    public var cpu: CPU?
    public var memory: Memory?
    public var pids: Pids?
    public var blockIO: BlockIO?

    public init() {}

    public struct CPU: Sendable, Hashable {
        /// Nanoseconds since the cgroup was made.
        public var total: UInt64 = 0
        public var user: UInt64 = 0
        public var system: UInt64 = 0
        /// Nanoseconds of each CPU (v1 only; empty on v2).
        public var perCPU: [UInt64] = []
        /// Enforcement intervals that have passed, those in which the cgroup was throttled, and for how long (ns).
        public var periods: UInt64 = 0
        public var throttledPeriods: UInt64 = 0
        public var throttledTime: UInt64 = 0

        public init() {}
    }

    public struct Memory: Sendable, Hashable {
        /// Bytes in use, page cache included.
        public var usage: UInt64 = 0
        /// The highest usage so far; nil where the kernel does not keep it.
        public var maximumUsage: UInt64?
        /// Bytes; nil is no limit.
        public var limit: UInt64?
        /// Bytes of swap in use; nil where swap is not accounted.
        public var swapUsage: UInt64?
        /// How often the limit was hit.
        public var failures: UInt64 = 0
        /// How many processes the kernel has killed for lack of memory.
        public var oomKills: UInt64 = 0
        /// The lines of memory.stat in their order.
        public var detail: [Entry] = []

        /// A line of memory.stat.
        public func detail(_ name: String) -> UInt64? { detail.first { $0.name == name }?.value }
    }

    public struct Entry: Sendable, Hashable {
        public let name: String
        public let value: UInt64
    }

    public struct Pids: Sendable, Hashable {
        public var current: UInt64 = 0
        /// nil is no limit.
        public var limit: UInt64?
    }

    public struct BlockIO: Sendable, Hashable {
        /// Bytes and operations by device and kind of operation (`Read`, `Write`, and on v1 also `Sync`, `Async`, `Discard`).
        public var bytes: [Device] = []
        public var operations: [Device] = []
    }

    public struct Device: Sendable, Hashable {
        public let major: UInt64
        public let minor: UInt64
        public let operation: String
        public let value: UInt64
    }
}
