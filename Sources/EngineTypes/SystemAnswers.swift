public import JSON

/// An event (API: EventMessage). `time` in seconds, `timeNano` in nanoseconds since 1970.
public struct EventMessage: Codable, Sendable {
    /// The three older members carry container and image events for clients before 1.22.
    public var status: String?
    public var id: String?
    public var from: String?
    public var `Type`: String
    public var Action: String
    public var Actor: EventActor
    public var scope: String
    public var time: Int64
    public var timeNano: Int64

    public struct EventActor: Codable, Sendable {
        public var ID: String
        public var Attributes: [String: String]

        public init(ID: String, Attributes: [String: String]) {
            self.ID = ID
            self.Attributes = Attributes
        }
    }

    public init(
        status: String?, id: String?, from: String?, Type: String, Action: String, Actor: EventActor, time: Int64, timeNano: Int64
    ) {
        self.status = status
        self.id = id
        self.from = from
        self.Type = Type
        self.Action = Action
        self.Actor = Actor
        self.scope = "local"
        self.time = time
        self.timeNano = timeNano
    }
}

/// The answer to `GET /version`.
public struct SystemVersion: Codable, Sendable {
    public var Platform: PlatformName
    public var Components: [Component]
    public var Version: String
    public var ApiVersion: String
    public var MinAPIVersion: String
    public var GitCommit: String
    public var GoVersion: String
    public var Os: String
    public var Arch: String
    public var KernelVersion: String
    public var Experimental: Bool?
    public var BuildTime: String

    public struct PlatformName: Codable, Sendable {
        public var Name: String
        public init(Name: String) { self.Name = Name }
    }

    public struct Component: Codable, Sendable {
        public var Name: String
        public var Version: String
        public var Details: [String: String]

        public init(Name: String, Version: String, Details: [String: String]) {
            self.Name = Name
            self.Version = Version
            self.Details = Details
        }
    }

    public init(
        Platform: PlatformName, Components: [Component], Version: String, ApiVersion: String, MinAPIVersion: String, GitCommit: String,
        Os: String, Arch: String, KernelVersion: String, BuildTime: String
    ) {
        self.Platform = Platform
        self.Components = Components
        self.Version = Version
        self.ApiVersion = ApiVersion
        self.MinAPIVersion = MinAPIVersion
        self.GitCommit = GitCommit
        self.GoVersion = ""
        self.Os = Os
        self.Arch = Arch
        self.KernelVersion = KernelVersion
        self.BuildTime = BuildTime
    }
}

/// The answer to `GET /info`. Memory in bytes.
public struct SystemInfo: Codable, Sendable {
    public var ID: String = ""
    public var Containers: Int = 0
    public var ContainersRunning: Int = 0
    public var ContainersPaused: Int = 0
    public var ContainersStopped: Int = 0
    public var Images: Int = 0
    public var Driver: String = ""
    public var DriverStatus: [[String]] = []
    public var SystemStatus: [[String]]?
    public var Plugins: Plugins = Plugins()
    public var MemoryLimit: Bool = false
    public var SwapLimit: Bool = false
    public var CpuCfsPeriod: Bool = false
    public var CpuCfsQuota: Bool = false
    public var CPUShares: Bool = false
    public var CPUSet: Bool = false
    public var PidsLimit: Bool = false
    public var IPv4Forwarding: Bool = false
    public var Debug: Bool = false
    public var NFd: Int = 0
    public var OomKillDisable: Bool = false
    public var NGoroutines: Int = 0
    public var SystemTime: String = ""
    public var LoggingDriver: String = ""
    public var CgroupDriver: String = ""
    public var CgroupVersion: String = ""
    public var NEventsListener: Int = 0
    public var KernelVersion: String = ""
    public var OperatingSystem: String = ""
    public var OSVersion: String = ""
    public var OSType: String = "linux"
    public var Architecture: String = ""
    public var IndexServerAddress: String = "https://index.docker.io/v1/"
    public var RegistryConfig: JSONValue = .null
    public var NCPU: Int = 0
    public var MemTotal: Int64 = 0
    public var DockerRootDir: String = ""
    public var HttpProxy: String = ""
    public var HttpsProxy: String = ""
    public var NoProxy: String = ""
    public var Name: String = ""
    public var Labels: [String] = []
    public var ExperimentalBuild: Bool = false
    public var ServerVersion: String = ""
    public var Runtimes: [String: RuntimeInfo] = [:]
    public var DefaultRuntime: String = ""
    public var Swarm: Swarm = Swarm()
    public var LiveRestoreEnabled: Bool = true
    public var Isolation: String = ""
    public var InitBinary: String = ""
    public var ContainerdCommit: Commit = Commit(ID: "")
    public var RuncCommit: Commit = Commit(ID: "")
    public var InitCommit: Commit = Commit(ID: "")
    public var SecurityOptions: [String] = []
    public var DefaultAddressPools: [AddressPool]?
    public var Warnings: [String] = []

    public init() {}

    public struct Plugins: Codable, Sendable {
        public var Volume: [String] = ["local"]
        public var Network: [String] = ["bridge", "host", "null"]
        public var Authorization: [String]?
        public var Log: [String] = ["fluentd", "gelf", "journald", "json-file", "local", "none", "syslog"]

        public init() {}
    }

    /// A range from which networks of `Size` bits are taken.
    public struct AddressPool: Codable, Sendable {
        public var Base: String
        public var Size: Int

        public init(Base: String, Size: Int) {
            self.Base = Base
            self.Size = Size
        }
    }

    public struct RuntimeInfo: Codable, Sendable {
        public var path: String
        public var runtimeArgs: [String]?

        public init(path: String, runtimeArgs: [String]? = nil) {
            self.path = path
            self.runtimeArgs = runtimeArgs
        }
    }

    public struct Swarm: Codable, Sendable {
        public var NodeID: String = ""
        public var NodeAddr: String = ""
        public var LocalNodeState: String = "inactive"
        public var ControlAvailable: Bool = false
        public var Error: String = ""
        public var RemoteManagers: [String]?

        public init() {}
    }

    public struct Commit: Codable, Sendable {
        public var ID: String
        public init(ID: String) { self.ID = ID }
    }
}

/// The answer to `GET /system/df`. A part that was not asked for is nil.
public struct DiskUsage: Codable, Sendable {
    /// Bytes of all layers of all images, each counted once.
    public var LayersSize: Int64?
    public var Images: [ImageSummary]?
    public var Containers: [ContainerSummary]?
    public var Volumes: [VolumeResource]?
    public var BuildCache: [BuildCacheEntry]?

    public init() {}
}

/// One record of the build cache.
public struct BuildCacheEntry: Codable, Sendable {
    public var ID: String
    public var Parents: [String]?
    /// `regular` or `exec.cachemount`.
    public var `Type`: String
    public var Description: String
    public var InUse: Bool
    /// Whether an image holds it: its size is counted there.
    public var Shared: Bool
    /// Bytes.
    public var Size: Int64
    /// RFC 3339.
    public var CreatedAt: String
    public var LastUsedAt: String?
    public var UsageCount: Int

    public init(
        ID: String, Parents: [String]?, Type: String, Description: String, InUse: Bool, Shared: Bool, Size: Int64, CreatedAt: String,
        LastUsedAt: String?, UsageCount: Int
    ) {
        (self.ID, self.Parents, self.Type, self.Description) = (ID, Parents, Type, Description)
        (self.InUse, self.Shared, self.Size) = (InUse, Shared, Size)
        (self.CreatedAt, self.LastUsedAt, self.UsageCount) = (CreatedAt, LastUsedAt, UsageCount)
    }
}
