internal import EngineTypes
internal import Linux
public import Netlink
public import Networking
public import OCIRuntimeSpec

/// Where the engine keeps things and how it runs containers; made by clipperd from flags and daemon.json.
public struct EngineConfiguration: Sendable {
    /// Images, containers and volumes (`--data-root`).
    public var dataRoot: String
    /// What need not survive a reboot: bundles, sockets, exit records (`--exec-root`).
    public var execRoot: String
    /// Path of clipper-runtime.
    public var runtimeExecutable: String
    /// Bytes that the writable layer of a container may hold that names no size; nil: as many as there is room for.
    public var defaultLayerSize: UInt64?
    public var cgroupDriver = CgroupDriver.cgroupfs
    /// Where containers are that name no parent; empty: the driver's own place for them.
    public var defaultCgroupParent = ""
    public var defaultLogDriver = "json-file"
    /// Log options for containers that give none; logs rotate by default.
    public var defaultLogOptions = EngineConfiguration.rotation
    /// How json-file rotates where nobody says otherwise.
    public static let rotation = ["max-size": "20m", "max-file": "5"]
    /// Limits of containers that ask for no other, by names in lower case (`nofile`); -1 is unlimited.
    public var defaultUlimits: [String: (soft: Int64, hard: Int64)] = [:]
    /// The soft limit of open files with which the daemon was started, when it has raised its own: what hooks and other runtimes get.
    public var givenOpenFiles: UInt64?
    public var seccompDefault = SeccompDefault.builtin
    /// Told to clients, which offer more commands then.
    public var isExperimental = false
    /// The oldest version of the API that clients may speak.
    public var minimumAPIVersion = EngineVersion.minimumAPIVersion
    /// Whose ids containers have that do not ask for the host's; nil: the host's.
    public var identities: IdentityMapping?
    /// nil where containers cannot be confined by it.
    public var appArmor: AppArmor?
    public var dns: [String] = []
    public var dnsSearch: [String] = []
    public var dnsOptions: [String] = []
    /// Where the subnets of networks come from that name none; empty: Docker's own pools.
    public var addressPools: [NetworkConfiguration.AddressPool] = []
    /// Seconds that a runtime that is not Clipper's own may take for one command; 0: as long as it takes.
    public var runtimeTimeout: UInt32 = 120
    /// Directories of CDI specifications, those that win last.
    public var deviceSpecDirectories = ["/etc/cdi", "/var/run/cdi"]
    /// What is to be told to everybody who asks for `info`, besides what the engine finds itself.
    public var warnings: [String] = []
    /// What a reload of daemon.json changes while the engine runs; all copies of one configuration share it.
    public let live = LiveSettings()

    public init(dataRoot: String, execRoot: String, runtimeExecutable: String) {
        self.dataRoot = dataRoot
        self.execRoot = execRoot
        self.runtimeExecutable = runtimeExecutable
    }

    /// The directories and files of one container.
    struct ContainerPaths: Sendable {
        let data: String
        let run: String

        var upper: String { "\(data)/upper" }
        var work: String { "\(data)/work" }
        var hostname: String { "\(data)/hostname" }
        var hosts: String { "\(data)/hosts" }
        var resolvConf: String { "\(data)/resolv.conf" }
        var bundle: String { run }
        var config: String { "\(run)/config.json" }
        var exitRecord: String { "\(data)/exit.json" }
        var health: String { "\(run)/health.json" }
        /// Where the shim puts the source of a mount that no path of the host has.
        func mountSource(_ index: Int) -> String { "\(run)/sources/\(index)" }
        /// The same for /dev/shm of a container whose IPC namespace is joined.
        var sharedMemory: String { "\(run)/sources/shm" }
    }

    var containersDirectory: String { "\(dataRoot)/containers" }

    func paths(of id: String) -> ContainerPaths {
        ContainerPaths(data: "\(containersDirectory)/\(id)", run: "\(execRoot)/containers/\(id)")
    }

    /// OCI's `linux.cgroupsPath` of a container with this parent; nil or empty: with none of its own.
    func cgroupsPath(of id: String, parent: String?) -> String {
        let named = [parent ?? "", defaultCgroupParent].first { !$0.isEmpty }
        return cgroupDriver.cgroupsPath(of: id, parent: named ?? cgroupDriver.defaultParent)
    }

    /// State directory of the OCI runtimes.
    var runtimeRoot: String { "\(execRoot)/runtime" }
}

/// What a container is like where its request leaves it open.
public struct ContainerDefaults: Sendable, Equatable {
    /// A first process that reaps what others leave behind (`--init`).
    public var usesInit = false
    /// No process gains privileges by executing a program (`--security-opt no-new-privileges`).
    public var hasNoNewPrivileges = false
    /// `private` or `shareable`.
    public var ipcMode = "private"
    /// `private` or `host`; nil: private where there is cgroup v2 alone, as Docker.
    public var cgroupnsMode: String?
    /// The addresses that `host-gateway` stands for, one of a family; none: the gateways of the container's network.
    public var hostGateways: [IPAddress] = []

    public init() {}
}

/// The seccomp profile of containers that ask for none.
public enum SeccompDefault: Sendable, Equatable {
    case builtin
    case unconfined
    /// Read from a file.
    case file(path: String, DockerSeccompProfile)

    /// `builtin`, nothing, `unconfined` or a path, which is read. Throws an error with dockerd's words.
    public init(_ setting: String) throws {
        switch setting {
        case "", "builtin": self = .builtin
        case "unconfined": self = .unconfined
        default:
            do { self = .file(path: setting, try DockerSeccompProfile(parsing: try Files.read(setting))) } catch {
                throw EngineError.invalid("opening seccomp profile (\(setting)) failed: \(error)", cause: error)
            }
        }
    }

    /// As `info` has it.
    var name: String {
        switch self {
        case .builtin: "builtin"
        case .unconfined: "unconfined"
        case .file(let path, _): path
        }
    }
}

/// What this Clipper is called in answers.
public enum EngineVersion {
    public static let version = "0.1.0"
    public static let apiVersion = "1.50"
    public static let minimumAPIVersion = "1.22"
}
