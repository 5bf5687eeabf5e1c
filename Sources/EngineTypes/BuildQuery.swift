/// The query of `POST /build/prune`. Bounds are bytes of the whole cache, and of the disk; 0 is none.
public struct BuildPruneQuery: Sendable {
    public var all = false
    public var filters = Filters()
    /// So much is kept (`reserved-space`, in older versions `keep-storage`).
    public var reserved: Int64 = 0
    /// More than so much is not (`max-used-space`).
    public var maxUsed: Int64 = 0
    /// So much of the disk is to be free (`min-free-space`).
    public var minFree: Int64 = 0

    public init() {}
}

/// The query of `POST /build`.
public struct BuildQuery: Sendable {
    public var dockerfile = "Dockerfile"
    public var tags: [String] = []
    public var buildArguments: [String: String?] = [:]
    public var labels: [String: String] = [:]
    public var target = ""
    public var noCache = false
    public var pull = false
    public var remove = true
    public var forceRemove = false
    public var quiet = false
    public var networkMode = ""
    public var platform = ""
    public var memory: Int64 = 0
    public var memorySwap: Int64 = 0
    public var cpuShares: Int64 = 0
    public var cpuPeriod: Int64 = 0
    public var cpuQuota: Int64 = 0
    public var cpusetCpus = ""
    public var cpusetMems = ""
    public var shmSize: Int64 = 0
    public var extraHosts: [String] = []
    public var cgroupParent = ""
    public var squash = false
    public var remote = ""
    public var cacheFrom: [String] = []
    public var outputs = ""
    public var version = "1"

    public init() {}
}
