internal import Builder
internal import Engine
internal import EngineAPI
internal import HTTPServer
internal import Images
internal import Linux
internal import Logging
internal import Networking
internal import RecordStore
internal import Supervision
internal import Volumes

/// The daemon's parts, made and joined.
struct Daemon {
    let options: DaemonOptions
    let logger: Logger
    private let networks: NetworkManager
    private let containers: ContainerService
    private let server: HTTPServer

    /// Opens the stores and finds running containers again. Nothing listens yet.
    init(options: DaemonOptions, runtimeExecutable: String, logger: Logger) async throws {
        self.options = options
        self.logger = logger
        try Files.makeDirectories(options.dataRoot, mode: 0o711)
        try Files.makeDirectories(options.execRoot, mode: 0o711)
        let records = try RecordStore(root: options.dataRoot)
        if let aside = records.setAside {
            logger.error(
                "the database was damaged and is set aside; starting with a new one",
                metadata: ["path": "\(aside.path)", "reason": "\(aside.reason)"])
        }
        var configuration = EngineConfiguration(
            dataRoot: options.dataRoot, execRoot: options.execRoot, runtimeExecutable: runtimeExecutable)
        configuration.runtimes = options.runtimes
        configuration.defaultRuntime = options.defaultRuntime
        configuration.defaultCgroupParent = options.cgroupParent
        configuration.defaultShmSize = options.shmSize
        configuration.defaultLogDriver = options.logDriver
        configuration.defaultLogOptions = options.logOptions ?? (options.logDriver == "json-file" ? EngineConfiguration.rotation : [:])
        do { try configuration.checkLog() } catch { throw OptionError("\(error)") }
        configuration.labels = options.labels
        configuration.dns = options.dns
        configuration.dnsSearch = options.dnsSearch
        configuration.dnsOptions = options.dnsOptions
        configuration.isDebug = options.isDebug

        let images = try ImageStore(root: options.dataRoot, records: records, logger: logger)
        let volumes = try VolumeStore(root: options.dataRoot, records: records, logger: logger)
        networks = try NetworkManager(
            configuration: Self.networkConfiguration(options), records: try StoredNetworkRecords(records, logger: logger), logger: logger)
        let supervisor = Supervisor(runtimeExecutable: runtimeExecutable, logger: logger)
        let events = EventBus()
        let store = try ContainerStore(records: records, logger: logger)
        containers = ContainerService(
            store: store, images: images, volumes: volumes, networks: networks, supervisor: supervisor, events: events,
            configuration: configuration,
            logger: logger)
        let executor = ContainerBuildExecutor(networks: networks, supervisor: supervisor, configuration: configuration, logger: logger)
        await executor.removeRemains()
        let builder = try ImageBuilder(
            images: images, records: records, executor: executor, scratchDirectory: "\(options.dataRoot)/builder", logger: logger)
        let imageService = ImageService(images: images, containers: containers, events: events, logger: logger)
        let backends = Backends(
            system: try SystemService(
                configuration: configuration, containers: containers, images: images, volumes: volumes, events: events),
            containers: containers,
            images: imageService,
            builds: BuildService(builder: builder, images: imageService, events: events, logger: logger),
            volumes: VolumeService(volumes: volumes, containers: containers, events: events),
            networks: NetworkService(networks: networks, containers: containers, events: events))
        let api = EngineAPI(backends: backends, serverVersion: EngineVersion.version, logger: logger)
        var serverConfiguration = HTTPServerConfiguration()
        serverConfiguration.mayHijack = EngineAPI.mayHijack
        server = HTTPServer(configuration: serverConfiguration, logger: logger, handler: api.handle)
    }

    private static func networkConfiguration(_ options: DaemonOptions) -> NetworkConfiguration {
        // Eight letters and digits from the exec root: what tells one daemon's bridges and tables from another's.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in options.execRoot.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        var configuration = NetworkConfiguration(
            instanceKey: String(String(hash, radix: 36).suffix(8)), isDefaultInstance: options.execRoot == DaemonOptions.standardExecRoot)
        configuration.bridgeAddress = options.bridgeAddress
        configuration.mtu = options.mtu
        configuration.enablesForwarding = options.forwardsIP
        configuration.defaultHostAddress = options.publishAddress
        return configuration
    }

    /// Listens on all addresses and answers until told to stop.
    func run(until stop: AsyncStream<Void>) async throws {
        try await containers.restore()
        for host in options.hosts { try await server.listen(on: try Self.address(host, group: options.group)) }
        logger.info("clipperd is ready", metadata: ["version": "\(EngineVersion.version)"])
        for await _ in stop { break }
        logger.info("clipperd stops; containers go on")
        await server.stop()
        networks.shutdown(removeAll: options.cleansUp && !containers.hasLivingContainers)
    }

    static func address(_ text: String, group: String?) throws(OptionError) -> ListenAddress {
        if text.hasPrefix("unix://") { return .unix(path: String(text.dropFirst(7)), group: group) }
        if text.hasPrefix("/") { return .unix(path: text, group: group) }
        if text.hasPrefix("fd://") {
            // systemd passes listening sockets from descriptor 3 on (sd_listen_fds(3)).
            return .inherited(descriptor: Int32(text.dropFirst(5)) ?? 3)
        }
        let rest = text.hasPrefix("tcp://") ? String(text.dropFirst(6)) : text
        guard let colon = rest.lastIndex(of: ":"), let port = Int(rest[rest.index(after: colon)...]), (0...65535).contains(port) else {
            throw OptionError("invalid bind address format: \(text)")
        }
        let host = rest[..<colon].filter { $0 != "[" && $0 != "]" }
        return .tcp(host: host.isEmpty ? "0.0.0.0" : String(host), port: port)
    }
}
