/// How a container runs on this host (API: HostConfig with Resources).
public struct HostConfig: Codable, Sendable, Equatable {
    // Resources. Memory in bytes, CPU times in microseconds unless told otherwise.
    public var CpuShares: Int64?
    public var Memory: Int64?
    public var NanoCpus: Int64?
    public var CgroupParent: String?
    public var BlkioWeight: Int64?
    public var BlkioWeightDevice: [WeightDevice]?
    public var BlkioDeviceReadBps: [ThrottleDevice]?
    public var BlkioDeviceWriteBps: [ThrottleDevice]?
    public var BlkioDeviceReadIOps: [ThrottleDevice]?
    public var BlkioDeviceWriteIOps: [ThrottleDevice]?
    public var CpuPeriod: Int64?
    public var CpuQuota: Int64?
    public var CpuRealtimePeriod: Int64?
    public var CpuRealtimeRuntime: Int64?
    public var CpusetCpus: String?
    public var CpusetMems: String?
    public var Devices: [DeviceMapping]?
    public var DeviceCgroupRules: [String]?
    public var DeviceRequests: [DeviceRequest]?
    public var KernelMemory: Int64?
    public var KernelMemoryTCP: Int64?
    public var MemoryReservation: Int64?
    public var MemorySwap: Int64?
    public var MemorySwappiness: Int64?
    public var OomKillDisable: Bool?
    public var Init: Bool?
    public var PidsLimit: Int64?
    public var Ulimits: [Ulimit]?
    public var CpuCount: Int64?
    public var CpuPercent: Int64?
    public var IOMaximumIOps: Int64?
    public var IOMaximumBandwidth: Int64?
    // The host's side.
    public var Binds: [String]?
    public var ContainerIDFile: String?
    public var LogConfig: LogConfig?
    public var NetworkMode: String?
    public var PortBindings: [String: [PortBinding]?]?
    public var RestartPolicy: RestartPolicy?
    public var AutoRemove: Bool?
    public var VolumeDriver: String?
    public var VolumesFrom: [String]?
    public var Mounts: [MountRequest]?
    public var ConsoleSize: [Int]?
    public var Annotations: [String: String]?
    public var CapAdd: [String]?
    public var CapDrop: [String]?
    public var CgroupnsMode: String?
    public var Dns: [String]?
    public var DnsOptions: [String]?
    public var DnsSearch: [String]?
    public var ExtraHosts: [String]?
    public var GroupAdd: [String]?
    public var IpcMode: String?
    public var Cgroup: String?
    public var Links: [String]?
    public var OomScoreAdj: Int?
    public var PidMode: String?
    public var Privileged: Bool?
    public var PublishAllPorts: Bool?
    public var ReadonlyRootfs: Bool?
    public var SecurityOpt: [String]?
    public var StorageOpt: [String: String]?
    public var Tmpfs: [String: String]?
    public var UTSMode: String?
    public var UsernsMode: String?
    public var ShmSize: Int64?
    public var Sysctls: [String: String]?
    public var Runtime: String?
    public var Isolation: String?
    public var MaskedPaths: [String]?
    public var ReadonlyPaths: [String]?

    public init() {}
}

/// A host address and port; both may be empty for "any" (API: PortBinding).
public struct PortBinding: Codable, Sendable, Hashable {
    public var HostIp: String?
    public var HostPort: String?

    public init(HostIp: String?, HostPort: String?) {
        self.HostIp = HostIp
        self.HostPort = HostPort
    }
}

public struct RestartPolicy: Codable, Sendable, Equatable {
    /// ``, `no`, `always`, `unless-stopped` or `on-failure`.
    public var Name: String?
    public var MaximumRetryCount: Int?

    public init(Name: String? = nil, MaximumRetryCount: Int? = nil) {
        self.Name = Name
        self.MaximumRetryCount = MaximumRetryCount
    }
}

public struct LogConfig: Codable, Sendable, Equatable {
    public var `Type`: String?
    public var Config: [String: String]?

    public init(Type: String? = nil, Config: [String: String]? = nil) {
        self.Type = Type
        self.Config = Config
    }
}

public struct WeightDevice: Codable, Sendable, Equatable {
    public var Path: String
    public var Weight: Int64

    public init(Path: String, Weight: Int64) {
        self.Path = Path
        self.Weight = Weight
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        Path = try container.decodeIfPresent(String.self, forKey: .Path) ?? ""
        Weight = try container.decodeIfPresent(Int64.self, forKey: .Weight) ?? 0
    }
}

/// A rate in bytes or operations per second.
public struct ThrottleDevice: Codable, Sendable, Equatable {
    public var Path: String
    public var Rate: UInt64

    public init(Path: String, Rate: UInt64) {
        self.Path = Path
        self.Rate = Rate
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        Path = try container.decodeIfPresent(String.self, forKey: .Path) ?? ""
        Rate = try container.decodeIfPresent(UInt64.self, forKey: .Rate) ?? 0
    }
}

public struct DeviceMapping: Codable, Sendable, Equatable {
    public var PathOnHost: String?
    public var PathInContainer: String?
    public var CgroupPermissions: String?

    public init(PathOnHost: String?, PathInContainer: String?, CgroupPermissions: String?) {
        self.PathOnHost = PathOnHost
        self.PathInContainer = PathInContainer
        self.CgroupPermissions = CgroupPermissions
    }
}

public struct DeviceRequest: Codable, Sendable, Equatable {
    public var Driver: String?
    public var Count: Int?
    public var DeviceIDs: [String]?
    public var Capabilities: [[String]]?
    public var Options: [String: String]?

    public init() {}
}

/// A resource limit; -1 is none. A limit that is left out is 0, as it is for Docker: its Python client leaves out `Hard`.
public struct Ulimit: Codable, Sendable, Equatable {
    public var Name: String
    public var Soft: Int64
    public var Hard: Int64

    public init(Name: String, Soft: Int64, Hard: Int64) {
        self.Name = Name
        self.Soft = Soft
        self.Hard = Hard
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        Name = try container.decodeIfPresent(String.self, forKey: .Name) ?? ""
        Soft = try container.decodeIfPresent(Int64.self, forKey: .Soft) ?? 0
        Hard = try container.decodeIfPresent(Int64.self, forKey: .Hard) ?? 0
    }
}

/// A mount asked for at creation (API: Mount).
public struct MountRequest: Codable, Sendable, Equatable {
    /// `bind`, `volume`, `tmpfs`, `image`, `npipe` or `cluster`.
    public var `Type`: String?
    public var Source: String?
    public var Target: String?
    public var ReadOnly: Bool?
    public var Consistency: String?
    public var BindOptions: BindOptions?
    public var VolumeOptions: VolumeOptions?
    public var ImageOptions: ImageOptions?
    public var TmpfsOptions: TmpfsOptions?

    public init() {}

    public struct BindOptions: Codable, Sendable, Equatable {
        public var Propagation: String?
        public var NonRecursive: Bool?
        public var CreateMountpoint: Bool?
        public var ReadOnlyNonRecursive: Bool?
        public var ReadOnlyForceRecursive: Bool?

        public init() {}
    }

    public struct VolumeOptions: Codable, Sendable, Equatable {
        public var NoCopy: Bool?
        public var Labels: [String: String]?
        public var DriverConfig: DriverConfig?
        public var Subpath: String?

        public init() {}
    }

    public struct DriverConfig: Codable, Sendable, Equatable {
        public var Name: String?
        public var Options: [String: String]?

        public init() {}
    }

    public struct ImageOptions: Codable, Sendable, Equatable {
        public var Subpath: String?

        public init() {}
    }

    public struct TmpfsOptions: Codable, Sendable, Equatable {
        public var SizeBytes: Int64?
        public var Mode: Int?
        public var Options: [[String]]?

        public init() {}
    }
}
