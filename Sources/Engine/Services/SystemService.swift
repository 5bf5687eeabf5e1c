public import Builder
internal import CLinux
public import EngineTypes
internal import Glibc
public import Images
internal import JSON
public import Linux
internal import Networking
internal import RegistryClient
public import Volumes

/// What the API asks for the system as a whole.
public final class SystemService: Sendable {
    private let configuration: EngineConfiguration
    let containers: ContainerService
    let images: ImageStore
    let volumes: VolumeStore
    let builder: ImageBuilder
    let bus: EventBus
    /// Stable for one data root.
    let identity: String

    public init(
        configuration: EngineConfiguration, containers: ContainerService, images: ImageStore, volumes: VolumeStore, builder: ImageBuilder,
        events: EventBus
    ) throws {
        self.builder = builder
        self.configuration = configuration
        self.containers = containers
        self.images = images
        self.volumes = volumes
        bus = events
        let path = "\(configuration.dataRoot)/engine-id"
        if let text = try? Files.readText(path), let line = text.split(separator: "\n").first {
            identity = String(line)
        } else {
            identity = ContainerNames.newID()
            try Files.replace(path, with: Array("\(identity)\n".utf8))
        }
    }

    private static var goArchitecture: String { SeccompHost.architecture }

    public func version() async throws -> SystemVersion {
        let kernel = HostFacts.kernelRelease
        let details = [
            "ApiVersion": EngineVersion.apiVersion, "Arch": Self.goArchitecture, "BuildTime": "",
            "Experimental": "\(configuration.isExperimental)", "GitCommit": "", "GoVersion": "",
            "KernelVersion": kernel, "MinAPIVersion": configuration.minimumAPIVersion, "Os": "linux",
        ]
        var version = SystemVersion(
            Platform: .init(Name: "Clipper"),
            Components: [
                .init(Name: "Engine", Version: EngineVersion.version, Details: details),
                .init(Name: "clipper-runtime", Version: EngineVersion.version, Details: ["GitCommit": ""]),
            ],
            Version: EngineVersion.version, ApiVersion: EngineVersion.apiVersion, MinAPIVersion: configuration.minimumAPIVersion,
            GitCommit: "", Os: "linux",
            Arch: Self.goArchitecture, KernelVersion: kernel, BuildTime: "")
        // Left out where it is not so, as in Docker.
        if configuration.isExperimental { version.Experimental = true }
        return version
    }

    public func info() async throws -> SystemInfo {
        var info = SystemInfo()
        info.ID = identity
        let states = containers.store.all.map { $0.apiState }
        info.Containers = states.count
        info.ContainersPaused = states.count { $0.Paused }
        info.ContainersRunning = states.count { $0.Running && !$0.Paused }
        info.ContainersStopped = info.Containers - info.ContainersPaused - info.ContainersRunning
        info.Images = try await offloading { [images] in images.list().count }
        info.Driver = "overlay2"
        info.DriverStatus = try await offloading { [configuration] in StorageDriver.status(of: configuration.dataRoot) }
        let controllers = Set(HostFacts.cgroups?.controllers ?? [])
        info.MemoryLimit = controllers.contains("memory")
        info.SwapLimit = controllers.contains("memory") && Self.canLimitSwap
        info.CpuCfsPeriod = controllers.contains("cpu")
        info.CpuCfsQuota = controllers.contains("cpu")
        info.CPUShares = controllers.contains("cpu")
        info.CPUSet = controllers.contains("cpuset")
        info.PidsLimit = controllers.contains("pids")
        info.OomKillDisable = controllers.contains("memory") && !HostFacts.isUnifiedCgroup
        info.IPv4Forwarding = (try? Files.readText("/proc/sys/net/ipv4/ip_forward"))?.hasPrefix("1") ?? false
        info.Debug = configuration.isDebug
        info.NFd = (try? Files.list("/proc/self/fd").count) ?? 0
        info.NGoroutines = (try? Files.list("/proc/self/task").count) ?? 0
        info.SystemTime = Timestamp.now().description
        info.LoggingDriver = configuration.defaultLogDriver
        info.CgroupDriver = configuration.cgroupDriver.rawValue
        info.CgroupVersion = HostFacts.isUnifiedCgroup ? "2" : "1"
        info.NEventsListener = bus.listenerCount
        info.KernelVersion = HostFacts.kernelRelease
        info.OperatingSystem = HostFacts.operatingSystem
        info.OSVersion = HostFacts.operatingSystemVersion
        info.Architecture = HostFacts.machine
        let registries = configuration.live.current.registries
        info.RegistryConfig = registries.document
        info.HttpProxy = ProxySettings.masked(registries.proxies.http)
        info.HttpsProxy = ProxySettings.masked(registries.proxies.https)
        info.NoProxy = registries.proxies.none
        info.NCPU = HostFacts.processorCount
        info.MemTotal = HostFacts.totalMemory
        info.DockerRootDir = configuration.dataRoot
        info.Name = HostFacts.hostname
        info.Labels = configuration.labels
        info.ServerVersion = EngineVersion.version
        info.Runtimes = ["clipper": .init(path: configuration.runtimeExecutable)].merging(
            configuration.runtimes.mapValues { .init(path: $0.path, runtimeArgs: $0.arguments.isEmpty ? nil : $0.arguments) }
        ) { $1 }
        info.DefaultRuntime = configuration.defaultRuntime
        info.InitBinary = "clipper-runtime"
        info.SecurityOptions =
            (configuration.appArmor == nil ? [] : ["name=apparmor"]) + ["name=seccomp,profile=\(configuration.seccompDefault.name)"]
            + (configuration.identities == nil ? [] : ["name=userns"])
            + (HostFacts.isUnifiedCgroup ? ["name=cgroupns"] : [])
        if !configuration.addressPools.isEmpty {
            info.DefaultAddressPools = configuration.addressPools.map { .init(Base: "\($0.base)", Size: $0.size) }
        }
        info.ExperimentalBuild = configuration.isExperimental
        info.Warnings = configuration.warnings + Self.warnings(info) + (configuration.appArmor?.warnings ?? [])
        if configuration.seccompDefault != .builtin {
            info.Warnings.append("WARNING: daemon is not using the default seccomp profile")
        }
        return info
    }

    /// Tells that the configuration was read again: dockerd's `daemon reload` event.
    /// - Parameter settings: the values that hold now, by key.
    public func announceReload(_ settings: [String: String]) {
        let cgroupns = configuration.containerDefaults.cgroupnsMode ?? (HostFacts.isUnifiedCgroup ? "private" : "host")
        bus.publish(
            "daemon", "reload", id: identity,
            attributes: settings.merging(["name": HostFacts.hostname, "default-cgroupns-mode": cgroupns]) { $1 })
    }

    private static var canLimitSwap: Bool {
        guard let memory = HostFacts.cgroups?.hierarchy(of: "memory") else { return false }
        return memory.isUnified || Files.exists("\(memory.mountPoint)/memory.memsw.limit_in_bytes")
    }

    private static func warnings(_ info: SystemInfo) -> [String] {
        var result: [String] = []
        if !info.MemoryLimit { result.append("WARNING: No memory limit support") }
        if !info.SwapLimit { result.append("WARNING: No swap limit support") }
        if !info.CpuCfsQuota { result.append("WARNING: No cpu cfs quota support") }
        if !info.PidsLimit { result.append("WARNING: No pids limit support") }
        if !info.IPv4Forwarding { result.append("WARNING: IPv4 forwarding is disabled") }
        return result
    }

    public func events(
        since: Timestamp?, until: Timestamp?, filters: Filters, emit: @escaping @Sendable (EventMessage) async throws -> Void
    ) async throws { try await bus.events(since: since, until: until, filters: filters, emit: emit) }
}
