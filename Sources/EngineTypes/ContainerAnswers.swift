public import JSON

/// The state of a container (API: ContainerState). Times are RFC 3339 with nanoseconds.
public struct ContainerState: Codable, Sendable, Equatable {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    public var Status: String
    public var Running: Bool
    public var Paused: Bool
    public var Restarting: Bool
    public var OOMKilled: Bool
    public var Dead: Bool
    public var Pid: Int
    public var ExitCode: Int
    public var Error: String
    public var StartedAt: String
    public var FinishedAt: String
    public var Health: HealthState?
    /// Clipper's own: one sentence that says why the container stopped when it did not just exit; absent otherwise.
    public var Reason: String?

    public init(
        Status: String, Running: Bool, Paused: Bool, Restarting: Bool, OOMKilled: Bool, Dead: Bool, Pid: Int, ExitCode: Int,
        Error: String, StartedAt: String, FinishedAt: String, Health: HealthState? = nil, Reason: String? = nil
    ) {
        self.Status = Status
        self.Running = Running
        self.Paused = Paused
        self.Restarting = Restarting
        self.OOMKilled = OOMKilled
        self.Dead = Dead
        self.Pid = Pid
        self.ExitCode = ExitCode
        self.Error = Error
        self.StartedAt = StartedAt
        self.FinishedAt = FinishedAt
        self.Health = Health
        self.Reason = Reason
    }
}

/// The result of a container's health checks (API: Health).
public struct HealthState: Codable, Sendable, Equatable {
    public var Status: String
    public var FailingStreak: Int
    public var Log: [JSONValue]

    public init(Status: String, FailingStreak: Int, Log: [JSONValue]) {
        self.Status = Status
        self.FailingStreak = FailingStreak
        self.Log = Log
    }
}

/// A mount of a container (API: MountPoint).
public struct MountPoint: Codable, Sendable, Equatable {
    public var `Type`: String
    public var Name: String?
    public var Source: String
    public var Destination: String
    public var Driver: String?
    public var Mode: String
    public var RW: Bool
    public var Propagation: String

    public init(
        Type: String, Name: String? = nil, Source: String, Destination: String, Driver: String? = nil, Mode: String, RW: Bool,
        Propagation: String
    ) {
        self.Type = Type
        self.Name = Name
        self.Source = Source
        self.Destination = Destination
        self.Driver = Driver
        self.Mode = Mode
        self.RW = RW
        self.Propagation = Propagation
    }
}

/// Where an image or container lies in the storage driver (API: DriverData).
public struct DriverData: Codable, Sendable, Equatable {
    public var Data: [String: String]?
    public var Name: String

    public init(Data: [String: String]?, Name: String) {
        self.Data = Data
        self.Name = Name
    }
}

/// A container's place on one network, as asked for and as it is (API: EndpointSettings).
public struct EndpointSettings: Codable, Sendable, Equatable {
    public var IPAMConfig: EndpointIPAMConfig?
    public var Links: [String]?
    public var Aliases: [String]?
    public var MacAddress: String?
    public var DriverOpts: [String: String]?
    public var GwPriority: Int?
    public var NetworkID: String?
    public var EndpointID: String?
    public var Gateway: String?
    public var IPAddress: String?
    public var IPPrefixLen: Int?
    public var IPv6Gateway: String?
    public var GlobalIPv6Address: String?
    public var GlobalIPv6PrefixLen: Int?
    public var DNSNames: [String]?

    public init() {}
}

public struct EndpointIPAMConfig: Codable, Sendable, Equatable {
    public var IPv4Address: String?
    public var IPv6Address: String?
    public var LinkLocalIPs: [String]?

    public init() {}
}

/// The network side of a container (API: NetworkSettings).
public struct NetworkSettings: Codable, Sendable {
    public var Bridge: String = ""
    public var SandboxID: String = ""
    public var SandboxKey: String = ""
    public var Ports: [String: [PortBinding]?] = [:]
    public var HairpinMode: Bool = false
    public var LinkLocalIPv6Address: String = ""
    public var LinkLocalIPv6PrefixLen: Int = 0
    public var EndpointID: String = ""
    public var Gateway: String = ""
    public var GlobalIPv6Address: String = ""
    public var GlobalIPv6PrefixLen: Int = 0
    public var IPAddress: String = ""
    public var IPPrefixLen: Int = 0
    public var IPv6Gateway: String = ""
    public var MacAddress: String = ""
    public var Networks: [String: EndpointSettings] = [:]

    public init() {}
}

/// The answer to `GET /containers/{id}/json`.
public struct ContainerInspect: Codable, Sendable {
    public var Id: String
    public var Created: String
    public var Path: String
    public var Args: [String]
    public var State: ContainerState
    public var Image: String
    public var ResolvConfPath: String
    public var HostnamePath: String
    public var HostsPath: String
    public var LogPath: String
    public var Name: String
    public var RestartCount: Int
    public var Driver: String
    public var Platform: String
    public var MountLabel: String
    public var ProcessLabel: String
    public var AppArmorProfile: String
    public var ExecIDs: [String]?
    public var HostConfig: HostConfig
    public var GraphDriver: DriverData
    public var SizeRw: Int64?
    public var SizeRootFs: Int64?
    public var Mounts: [MountPoint]
    public var Config: ContainerConfig
    public var NetworkSettings: NetworkSettings

    public init(
        Id: String, Created: String, Path: String, Args: [String], State: ContainerState, Image: String, ResolvConfPath: String,
        HostnamePath: String, HostsPath: String, LogPath: String, Name: String, RestartCount: Int, Driver: String, Platform: String,
        ExecIDs: [String]?, HostConfig: HostConfig, GraphDriver: DriverData, Mounts: [MountPoint], Config: ContainerConfig,
        NetworkSettings: NetworkSettings
    ) {
        self.Id = Id
        self.Created = Created
        self.Path = Path
        self.Args = Args
        self.State = State
        self.Image = Image
        self.ResolvConfPath = ResolvConfPath
        self.HostnamePath = HostnamePath
        self.HostsPath = HostsPath
        self.LogPath = LogPath
        self.Name = Name
        self.RestartCount = RestartCount
        self.Driver = Driver
        self.Platform = Platform
        self.MountLabel = ""
        self.ProcessLabel = ""
        self.AppArmorProfile = ""
        self.ExecIDs = ExecIDs
        self.HostConfig = HostConfig
        self.GraphDriver = GraphDriver
        self.Mounts = Mounts
        self.Config = Config
        self.NetworkSettings = NetworkSettings
    }
}

/// One row of `GET /containers/json` (API: ContainerSummary).
public struct ContainerSummary: Codable, Sendable, Equatable {
    public var Id: String
    public var Names: [String]
    public var Image: String
    public var ImageID: String
    public var Command: String
    public var Created: Int64
    public var Ports: [Port]
    public var SizeRw: Int64?
    public var SizeRootFs: Int64?
    public var Labels: [String: String]
    public var State: String
    public var Status: String
    public var HostConfig: SummaryHostConfig
    public var NetworkSettings: SummaryNetworkSettings
    public var Mounts: [MountPoint]
    /// Clipper's own, as `ContainerState.Reason`.
    public var Reason: String?

    public struct Port: Codable, Sendable, Equatable {
        public var IP: String?
        public var PrivatePort: Int
        public var PublicPort: Int?
        public var `Type`: String

        public init(IP: String?, PrivatePort: Int, PublicPort: Int?, Type: String) {
            self.IP = IP
            self.PrivatePort = PrivatePort
            self.PublicPort = PublicPort
            self.Type = Type
        }
    }

    public struct SummaryHostConfig: Codable, Sendable, Equatable {
        public var NetworkMode: String
        public var Annotations: [String: String]?

        public init(NetworkMode: String, Annotations: [String: String]? = nil) {
            self.NetworkMode = NetworkMode
            self.Annotations = Annotations
        }
    }

    public struct SummaryNetworkSettings: Codable, Sendable, Equatable {
        public var Networks: [String: EndpointSettings]
        public init(Networks: [String: EndpointSettings]) { self.Networks = Networks }
    }

    public init(
        Id: String, Names: [String], Image: String, ImageID: String, Command: String, Created: Int64, Ports: [Port],
        Labels: [String: String], State: String, Status: String, HostConfig: SummaryHostConfig,
        NetworkSettings: SummaryNetworkSettings, Mounts: [MountPoint]
    ) {
        self.Id = Id
        self.Names = Names
        self.Image = Image
        self.ImageID = ImageID
        self.Command = Command
        self.Created = Created
        self.Ports = Ports
        self.Labels = Labels
        self.State = State
        self.Status = Status
        self.HostConfig = HostConfig
        self.NetworkSettings = NetworkSettings
        self.Mounts = Mounts
    }
}

/// The answer to `POST /containers/{id}/wait`.
public struct ContainerWaitResponse: Codable, Sendable {
    public var StatusCode: Int64
    public var Error: WaitError?
    /// Clipper's own, as `ContainerState.Reason`.
    public var Reason: String?

    public struct WaitError: Codable, Sendable {
        public var Message: String
        public init(Message: String) { self.Message = Message }
    }

    public init(StatusCode: Int64, Error: WaitError? = nil, Reason: String = "") {
        self.StatusCode = StatusCode
        self.Error = Error
        self.Reason = Reason.isEmpty ? nil : Reason
    }
}

/// The answer to `GET /containers/{id}/top`.
public struct ContainerTop: Codable, Sendable {
    public var Titles: [String]
    public var Processes: [[String]]

    public init(Titles: [String], Processes: [[String]]) {
        self.Titles = Titles
        self.Processes = Processes
    }
}

/// The body of `POST /containers/{id}/exec` (API: ExecConfig).
public struct ExecCreateRequest: Codable, Sendable {
    public var AttachStdin: Bool?
    public var AttachStdout: Bool?
    public var AttachStderr: Bool?
    public var ConsoleSize: [Int]?
    public var DetachKeys: String?
    public var Tty: Bool?
    public var Env: [String]?
    public var Cmd: [String]?
    public var Privileged: Bool?
    public var User: String?
    public var WorkingDir: String?

    public init() {}
}

/// The body of `POST /exec/{id}/start`.
public struct ExecStartRequest: Codable, Sendable {
    public var Detach: Bool?
    public var Tty: Bool?
    public var ConsoleSize: [Int]?

    public init() {}
}

/// The answer to `GET /exec/{id}/json`.
public struct ExecInspect: Codable, Sendable {
    public var ID: String
    public var Running: Bool
    /// A number, or null until the command has ended.
    public var ExitCode: JSONValue
    public var ProcessConfig: ExecProcess
    public var OpenStdin: Bool
    public var OpenStderr: Bool
    public var OpenStdout: Bool
    public var CanRemove: Bool
    public var ContainerID: String
    public var DetachKeys: String
    public var Pid: Int

    public struct ExecProcess: Codable, Sendable {
        public var tty: Bool
        public var entrypoint: String
        public var arguments: [String]
        public var privileged: Bool?
        public var user: String?

        public init(tty: Bool, entrypoint: String, arguments: [String], privileged: Bool?, user: String?) {
            self.tty = tty
            self.entrypoint = entrypoint
            self.arguments = arguments
            self.privileged = privileged
            self.user = user
        }
    }

    public init(
        ID: String, Running: Bool, ExitCode: Int?, ProcessConfig: ExecProcess, OpenStdin: Bool, OpenStderr: Bool, OpenStdout: Bool,
        CanRemove: Bool, ContainerID: String, DetachKeys: String, Pid: Int
    ) {
        self.ID = ID
        self.Running = Running
        self.ExitCode = ExitCode.map { .integer(Int64($0)) } ?? .null
        self.ProcessConfig = ProcessConfig
        self.OpenStdin = OpenStdin
        self.OpenStderr = OpenStderr
        self.OpenStdout = OpenStdout
        self.CanRemove = CanRemove
        self.ContainerID = ContainerID
        self.DetachKeys = DetachKeys
        self.Pid = Pid
    }
}

/// One line of `docker diff`.
public struct FilesystemChange: Codable, Sendable, Equatable {
    /// The numbers that the API shows.
    public enum Kind: Int, Codable, Sendable { case modified = 0, added = 1, deleted = 2 }
    /// Absolute in the container.
    public var Path: String
    public var Kind: Kind

    public init(Path: String, Kind: Kind) {
        self.Path = Path
        self.Kind = Kind
    }
}

/// The answer to a prune.
public struct PruneReport: Codable, Sendable {
    public var ContainersDeleted: [String]?
    public var VolumesDeleted: [String]?
    public var NetworksDeleted: [String]?
    public var ImagesDeleted: [ImageDeletion]?
    public var CachesDeleted: [String]?
    public var SpaceReclaimed: Int64?

    public init() {}
}
