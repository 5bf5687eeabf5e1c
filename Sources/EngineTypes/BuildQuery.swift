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
