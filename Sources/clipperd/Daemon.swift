internal import Builder
internal import ClientUI
internal import Engine
internal import EngineAPI
internal import Glibc
internal import HTTPServer
internal import Images
internal import Linux
internal import Logging
internal import NIOCore
internal import Networking
internal import RecordStore
internal import RegistryClient
internal import Supervision
internal import Systemd
internal import Volumes

/// The daemon's parts, made and joined.
struct Daemon {
    let options: DaemonOptions
    let logger: Logger
    let live: LiveSettings
    let system: SystemService
    let registries: RegistryClient
    let transfers: ImageTransfers
    private let networks: NetworkManager
    private let containers: ContainerService
    private let builds: BuildService
    private let server: HTTPServer
    /// Serves `metrics-addr`; nil without it.
    private let metricsServer: HTTPServer?
    private let tls: ServerTLS?

    /// What the daemon is told while it runs.
    enum Command {
        case stop
        case reload
    }

    /// Opens the stores and finds running containers again. Nothing listens yet.
    init(options: DaemonOptions, runtimeExecutable: String, logger: Logger) async throws {
        self.options = options
        self.logger = logger
        tls = try Self.tls(options)
        if options.cgroupDriver == .systemd { try Self.requireSystemd() }
        if let score = options.oomScoreAdjust { try Files.write("/proc/self/oom_score_adj", "\(score)", flags: O_WRONLY) }
        try Files.makeDirectories(options.dataRoot, mode: 0o711)
        try Files.makeDirectories(options.execRoot, mode: 0o711)
        let records = try RecordStore(root: options.dataRoot)
        if let aside = records.setAside {
            logger.error(
                "the database was damaged and is set aside; starting with a new one",
                metadata: ["path": "\(aside.path)", "reason": "\(aside.reason)"])
        }
        var configuration = try Self.engineConfiguration(options, runtimeExecutable)
        let supervisor = Supervisor(
            runtimeExecutable: runtimeExecutable, runtimeTimeout: configuration.runtimeTimeout, logger: logger)
        if let given = DescriptorLimit.raise(logger) {
            configuration.givenOpenFiles = given.soft
            if configuration.defaultUlimits["nofile"] == nil {
                configuration.defaultUlimits["nofile"] = (Int64(clamping: given.soft), Int64(clamping: given.hard))
            }
        }
        if options.layerSize > 0 {
            configuration.defaultLayerSize = UInt64(options.layerSize)
            try configuration.checkDefaultLayerSize()
        }
        configuration.identities = try await Self.identities(options, supervisor, logger)
        configuration.appArmor = Self.appArmor(options, logger)
        live = configuration.live

        let images = try ImageStore(root: options.dataRoot, records: records, logger: logger, blobPolicy: options.blobPolicy)
        registries = RegistryClient(
            settings: options.registries, userAgent: "clipper/\(EngineVersion.version) (linux)", logger: logger)
        let events = EventBus()
        let volumes = try VolumeStore(
            root: options.dataRoot, records: records, owner: configuration.identities.map { ($0.rootUser, $0.rootGroup) }, logger: logger
        ) { events.publish($0) }
        networks = try NetworkManager(
            configuration: Self.networkConfiguration(options), records: try StoredNetworkRecords(records, logger: logger), logger: logger)
        let store = try ContainerStore(records: records, logger: logger)
        containers = ContainerService(
            store: store, images: images, volumes: volumes, networks: networks, supervisor: supervisor, events: events,
            configuration: configuration,
            logger: logger)
        let executor = ContainerBuildExecutor(networks: networks, supervisor: supervisor, configuration: configuration, logger: logger)
        await executor.removeRemains()
        transfers = try ImageTransfers(store: images, access: registries, limits: options.transferLimits)
        let imageService = ImageService(
            images: images, transfers: transfers, containers: containers, events: events, logger: logger)
        let builder = try ImageBuilder(
            images: images, records: records, executor: executor, bases: PulledBaseImages(imageService),
            scratchDirectory: "\(options.dataRoot)/builder", logger: logger)
        system = try SystemService(
            configuration: configuration, containers: containers, images: images, volumes: volumes, builder: builder, events: events)
        builds = BuildService(
            builder: builder, images: imageService, events: events, metrics: containers.metrics,
            policies: try options.builder.policies(diskOf: options.dataRoot), logger: logger)
        let backends = Backends(
            system: system,
            containers: containers,
            images: imageService,
            builds: builds,
            volumes: VolumeService(volumes: volumes, containers: containers, events: events),
            networks: NetworkService(networks: networks, containers: containers, events: events),
            registries: RegistryService(client: registries))
        let api = EngineAPI(
            backends: backends, serverVersion: EngineVersion.version, minimumVersion: options.minimumAPIVersion,
            isExperimental: options.isExperimental, logger: logger)
        var serverConfiguration = HTTPServerConfiguration()
        serverConfiguration.mayHijack = EngineAPI.mayHijack
        server = HTTPServer(configuration: serverConfiguration, logger: logger, handler: api.handle)
        metricsServer = options.metricsAddress == nil ? nil : MetricsServer.make(system, logger: logger)
    }

    /// Refuses to start where no container could.
    private static func requireSystemd() throws(OptionError) {
        do { _ = try SystemdManager.connect() } catch {
            throw OptionError("native.cgroupdriver=systemd: systemd support for managing cgroups is not available: \(error)")
        }
    }

    /// The host's AppArmor, with the default profile loaded. A daemon starts without it; a container that is to have it does not.
    private static func appArmor(_ options: DaemonOptions, _ logger: Logger) -> AppArmor? {
        let appArmor = AppArmor(directory: options.execRoot, container: getenv("container").map { String(cString: $0) })
        do { try appArmor?.loadDefault() } catch { logger.error("AppArmor", metadata: ["error": "\(error)"]) }
        for warning in appArmor?.warnings ?? [] { logger.warning("AppArmor", metadata: ["warning": "\(warning)"]) }
        return appArmor
    }

    /// What `userns-remap` means. Refuses to start where the kernel or the data root's filesystem cannot map owners.
    private static func identities(_ options: DaemonOptions, _ supervisor: Supervisor, _ logger: Logger) async throws -> IdentityMapping? {
        guard let setting = options.remappedUser, !setting.isEmpty, let mapping = try await RemappedUser(logger: logger).mapping(setting)
        else { return nil }
        try await mapping.probe(directory: options.dataRoot, supervisor)
        logger.info("user namespaces: ids are mapped to subordinate ids", metadata: ["user": "\(mapping.name)"])
        return mapping
    }

    /// The server's certificate and what it asks of clients; nil without TLS. Throws `HTTPServerError` naming the file.
    static func tls(_ options: DaemonOptions) throws -> ServerTLS? {
        guard options.usesTLS, let certificate = options.tlsCertificate, let key = options.tlsKey else { return nil }
        return try ServerTLS(
            certificate: certificate, key: key, clientAuthorities: options.verifiesClients ? options.tlsAuthorities : nil)
    }

    private static func engineConfiguration(_ options: DaemonOptions, _ runtimeExecutable: String) throws -> EngineConfiguration {
        var configuration = EngineConfiguration(
            dataRoot: options.dataRoot, execRoot: options.execRoot, runtimeExecutable: runtimeExecutable)
        configuration.cgroupDriver = options.cgroupDriver
        configuration.defaultCgroupParent = options.cgroupParent
        configuration.defaultLogDriver = options.logDriver
        configuration.defaultLogOptions = options.logOptions ?? (options.logDriver == "json-file" ? EngineConfiguration.rotation : [:])
        do { try configuration.checkLog() } catch { throw OptionError("\(error)") }
        configuration.dns = options.dns
        configuration.dnsSearch = options.dnsSearch
        configuration.dnsOptions = options.dnsOptions
        configuration.addressPools = options.addressPools
        configuration.defaultUlimits = options.defaultUlimits
        configuration.seccompDefault = try SeccompDefault(options.seccompProfile)
        configuration.isExperimental = options.isExperimental
        configuration.minimumAPIVersion = options.minimumAPIVersion
        configuration.deviceSpecDirectories = options.usesDeviceSpecs ? options.deviceSpecDirectories : []
        if let seconds = options.runtimeTimeout { configuration.runtimeTimeout = UInt32(clamping: seconds) }
        configuration.warnings = insecureDoors(options)
        configuration.live.replace(with: options.live)
        return configuration
    }

    private static func networkConfiguration(_ options: DaemonOptions) -> NetworkConfiguration {
        // Eight letters and digits from the exec root: what tells one daemon's bridges and tables from another's.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in options.execRoot.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        var configuration = NetworkConfiguration(
            instanceKey: String(String(hash, radix: 36).suffix(8)), isDefaultInstance: options.execRoot == DaemonOptions.standardExecRoot)
        configuration.defaultBridge = options.defaultBridge
        configuration.addressPools = options.addressPools
        configuration.defaultOptions = options.defaultNetworkOptions
        configuration.firewallFamilies = options.firewallFamilies
        configuration.admission = options.admission
        configuration.mtu = options.mtu
        configuration.enablesForwarding = options.forwardsIP
        configuration.relaysIPv6 = options.relaysIPv6
        configuration.defaultHostAddress = options.publishAddress
        return configuration
    }

    /// Listens on all addresses and answers until told to stop. `activated` are sockets that the service manager has opened.
    func run(_ commands: AsyncStream<Command>, flags: FlagValues, activated: [Int32], tell: (String) -> Void) async throws {
        // A daemon that cannot open its doors leaves no bridge and no firewall table behind either.
        defer { networks.shutdown(removeAll: options.cleansUp && !containers.hasLivingContainers) }
        try await containers.restore()
        try await open(activated)
        for warning in Self.insecureDoors(options) { logger.warning("insecure API", metadata: ["warning": "\(warning)"]) }
        logger.info("clipperd is ready", metadata: ["version": "\(EngineVersion.version)"])
        tell("READY=1")
        // What was too much when the former daemon ended, but not beside all else that a start has to do.
        Task { [builds] in
            try? await Task.sleep(for: .seconds(60))
            builds.collect()
        }
        var current = options
        for await command in commands {
            guard case .reload = command else { break }
            tell("RELOADING=1\nMONOTONIC_USEC=\(Self.microseconds)")
            current = reload(current, flags)
            tell("READY=1")
        }
        tell("STOPPING=1")
        logger.info("clipperd stops; containers go on")
        let grace = current.shutdownTimeout ?? 5
        await server.stop(grace: grace < 0 ? nil : .seconds(Int64(grace)))
        await metricsServer?.stop(grace: .zero)
    }

    private func open(_ activated: [Int32]) async throws {
        if let metricsServer, let address = options.metricsAddress {
            try await metricsServer.listen(on: try MetricsServer.address(address))
        }
        for host in options.hosts {
            switch try Door(parsing: host, usesTLS: options.usesTLS, group: options.group) {
            case .address(let address): try await server.listen(on: address, tls: tls)
            case .activated(nil):
                guard !activated.isEmpty else {
                    throw OptionError("no sockets found via socket activation: make sure the service was started by systemd")
                }
                for descriptor in activated { try await server.listen(on: .inherited(descriptor: descriptor), tls: tls) }
            case .activated(let number?):
                guard activated.contains(number) else {
                    throw OptionError("too few socket activated files passed in by systemd for \(host)")
                }
                try await server.listen(on: .inherited(descriptor: number), tls: tls)
            }
        }
    }

    /// One warning for each TCP address where anybody who reaches it can do everything.
    private static func insecureDoors(_ options: DaemonOptions) -> [String] {
        guard !options.verifiesClients else { return [] }
        let reference =
            "Access to the remote API is equivalent to root access on the host. Refer to the 'Docker daemon attack surface' section "
            + "in the documentation for more information: https://docs.docker.com/go/attack-surface/"
        return options.hosts.compactMap { host in
            guard case .address(.tcp(let name, let port))? = try? Door(parsing: host, usesTLS: options.usesTLS) else { return nil }
            return options.usesTLS
                ? "WARNING: API is accessible on https://\(name):\(port) without TLS client verification. \(reference)"
                : "WARNING: API is accessible on http://\(name):\(port) without encryption. \(reference)"
        }
    }

    private static var microseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
