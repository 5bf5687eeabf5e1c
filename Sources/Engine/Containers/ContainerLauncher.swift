internal import CLinux
internal import EngineTypes
internal import Glibc
internal import Images
internal import JSON
internal import Linux
internal import Logging
internal import Netlink
internal import Networking
internal import OCIImageSpec
internal import OCIRuntimeSpec
internal import ShimProtocol
internal import Supervision
internal import Volumes

/// Prepares what a container needs (files, mounts, addresses, ports, configuration) and hands it to a shim.
final class ContainerLauncher: Sendable {
    let store: ContainerStore
    let images: ImageStore
    let initLayers: InitLayers
    let volumes: VolumeStore
    let networks: NetworkManager
    let supervisor: Supervisor
    let configuration: EngineConfiguration
    private let events: EventBus
    let logger: Logger
    /// Streams of clients that attached before the start.
    private let pendingStreams = Locked<[String: [InitialStream]]>([:])

    init(
        store: ContainerStore, images: ImageStore, initLayers: InitLayers, volumes: VolumeStore, networks: NetworkManager,
        supervisor: Supervisor, configuration: EngineConfiguration, events: EventBus, logger: Logger
    ) {
        self.store = store
        self.images = images
        self.initLayers = initLayers
        self.volumes = volumes
        self.networks = networks
        self.supervisor = supervisor
        self.configuration = configuration
        self.events = events
        self.logger = logger
    }

    // MARK: Streams before the start

    /// Those of clients that have gone meanwhile are let go of, so that a container that never starts does not collect them.
    func addPendingStream(_ stream: InitialStream, for id: String) {
        pendingStreams.withLock { streams in
            let waiting = streams[id, default: []]
            let left = waiting.filter { Self.hasPeer($0.socket) }
            for stream in waiting where !left.contains(where: { $0.socket == stream.socket }) { _ = close(stream.socket) }
            streams[id] = left + [stream]
        }
    }

    private static func hasPeer(_ socket: Int32) -> Bool {
        var polled = pollfd(fd: socket, events: 0, revents: 0)
        return poll(&polled, 1, 0) == 0 || polled.revents & Int16(POLLHUP | POLLERR) == 0
    }

    private func takePendingStreams(of id: String) -> [InitialStream] { pendingStreams.withLock { $0.removeValue(forKey: id) ?? [] } }

    func dropPendingStreams(of id: String) {
        for stream in takePendingStreams(of: id) { _ = close(stream.socket) }
    }

    // MARK: Launch

    /// What the container has on networks is in its record when this returns, and was written down before there was a process: a
    /// daemon that dies in between leaves it to the next one.
    func launch(_ container: Container) async throws -> ShimConnection {
        let record = container.record
        let streams = takePendingStreams(of: record.id)
        var streamsAreMine = true
        defer { if streamsAreMine { for stream in streams { _ = close(stream.socket) } } }
        let image = try await offloading { [images, initLayers] in try initLayers.layers(of: try images.image(record.imageID)) }
        let shared = try sharedNamespaces(record)
        try ContainerLinks.requireRunning(record, in: store)
        try record.hostConfig.check(mapping: configuration.identities)
        try configuration.cgroupDriver.check(parent: record.hostConfig.CgroupParent ?? "")
        let identities = try await ContainerIdentities.make(
            record.hostConfig, sharing: shared.processes, ownNetwork: shared.network == nil, configuration, supervisor, networks)
        try await copyImageContentIntoVolumes(record, layers: image, identities, user: record.id)
        let firstDescriptor = Int32(4 + streams.count)
        let prepared = try await offloading { [self] in
            try prepare(record, layers: image, shared: shared, identities, firstDescriptor: firstDescriptor)
        }
        // Their descriptors are used by number.
        defer { withExtendedLifetime(prepared) {} }
        let root = prepared.root
        events.publishMounts(of: record)
        do {
            var request = LaunchRequest(
                containerID: record.id, directory: prepared.paths.run, bundle: prepared.paths.bundle, runtime: runtime(record))
            request.rootfs = .overlay(
                Overlay(
                    layers: image, upper: prepared.paths.upper, work: prepared.paths.work, isVolatile: record.hostConfig.AutoRemove == true,
                    mappedRoot: root)
            )
            request.systemdCgroup = configuration.cgroupDriver == .systemd
            request.runtimeTimeout = configuration.runtimeTimeout
            request.openFiles = configuration.givenOpenFiles
            request.mountSources = try await mountSources(record, prepared.paths, root)
            if let pid = shared.ipc {
                request.mountSources.append(
                    MountSource(origin: .process(pid, path: "/dev/shm"), subpath: "", place: prepared.paths.sharedMemory))
            }
            request.log = try await log(record, prepared.paths.data)
            request.terminal = record.config.Tty == true
            request.stdin = record.config.OpenStdin != true ? .closed : record.config.StdinOnce == true ? .once : .open
            request.exitRecordPath = prepared.paths.exitRecord
            request.exitRecordIsDurable = record.hostConfig.AutoRemove != true
            request.relay = prepared.relay
            if !prepared.attachments.isEmpty {
                container.withState { $0.record.attachments = prepared.attachments }
                try await store.save(container, durable: false)
            }
            streamsAreMine = false
            let connection = try await supervisor.launch(request, descriptors: prepared.descriptors, attaching: streams)
            prepared.published?.closeSockets()
            return connection
        } catch {
            await detach(prepared.attachments)
            events.publishUnmounts(of: record)
            try? await offloading { try Files.removeTree(prepared.paths.run) }
            throw error
        }
    }

    /// What the shim has to put together: images, and parts of volumes and images.
    private func mountSources(
        _ record: ContainerRecord, _ paths: EngineConfiguration.ContainerPaths, _ root: MappedRoot?
    ) async throws -> [MountSource] {
        guard record.mounts.contains(where: \.isMadeByShim) else { return [] }
        return try await offloading { [images] in
            try record.mounts.enumerated().filter(\.element.isMadeByShim).map { index, mount in
                let origin: MountSource.Origin =
                    mount.kind == .image
                    ? .layers(images.layerDirectories(of: try images.image(mount.source)), mappedRoot: root) : .directory(mount.source)
                return MountSource(origin: origin, subpath: mount.subpath, place: paths.mountSource(index))
            }
        }
    }

    private func log(_ record: ContainerRecord, _ directory: String) async throws -> LaunchRequest.Log {
        let launch = try LogLaunch(record, configuration, directory: directory)
        if ["none", "json-file", "local"].contains(launch.options.driver) { return try launch.make() }
        return try await offloading { try launch.make() }
    }

    private func runtime(_ record: ContainerRecord) -> LaunchRequest.Runtime {
        let name = record.hostConfig.Runtime ?? configuration.defaultRuntime
        if let runtime = configuration.runtimes[name] {
            return .external(path: runtime.path, root: configuration.runtimeRoot + "/" + name, arguments: runtime.arguments)
        }
        return .inProcess(root: configuration.runtimeRoot + "/clipper")
    }

    /// First processes of the containers whose namespaces this one shares.
    private struct SharedNamespaces: Sendable {
        var network: (id: String, pid: Int32)?
        var pid: Int32?
        var ipc: Int32?

        /// Of those, in the order in which they matter.
        var processes: [Int32] { [network?.pid, ipc, pid].compactMap { $0 } }
    }

    private func sharedNamespaces(_ record: ContainerRecord) throws(EngineError) -> SharedNamespaces {
        func target(_ mode: String?, _ what: String) throws(EngineError) -> (id: String, pid: Int32)? {
            guard let mode, mode.hasPrefix("container:") else { return nil }
            let other = try store.find(String(mode.dropFirst("container:".count)))
            do { return (other.id, try other.connection().containerPID) } catch {
                throw .conflict("cannot join \(what) of a non running container: \(other.id)")
            }
        }
        var shared = SharedNamespaces()
        shared.network = try target(record.hostConfig.NetworkMode, "network namespace")
        shared.pid = try target(record.hostConfig.PidMode, "PID namespace")?.pid
        if let donor = try target(record.hostConfig.IpcMode, "IPC namespace") {
            let mode = try store.find(donor.id).record.hostConfig.IpcMode ?? ""
            guard mode == "shareable" || mode == "host" || mode.hasPrefix("container:") else {
                throw .invalid(
                    "can't join IPC of container \(donor.id): non-shareable IPC (hint: use IpcMode:shareable for the donor container)")
            }
            shared.ipc = donor.pid
        }
        return shared
    }

    /// First use of a volume: it gets what the image has at its place.
    /// - Parameter user: who holds the volumes until it releases them.
    func copyImageContentIntoVolumes(
        _ record: ContainerRecord, layers: [String], _ identities: ContainerIdentities, user: String
    ) async throws {
        for mount in record.mounts where mount.kind == .volume {
            let needsContent = try await offloading { [volumes] in
                _ = try volumes.acquire(mount.name, user: user)
                guard mount.copiesImageContent, mount.subpath.isEmpty, try Files.list(mount.source).isEmpty else { return false }
                return layers.contains { Files.exists("\($0)\(mount.destination)") }
                    || layers.count > 0 && mount.destination.split(separator: "/").count > 1
            }
            guard needsContent else { continue }
            let target = RootfsRequest.Target.overlay(Overlay(layers: layers, upper: nil, work: nil, mappedRoot: identities.rootForHelpers))
            do {
                try await supervisor.runHelper(
                    RootfsRequest(target: target, operation: .copyUp(path: mount.destination, destination: mount.source)))
            } catch { throw EngineError(.system, "cannot copy the image's content into volume \(mount.name): \(error)", cause: error) }
        }
    }

    // MARK: Preparation, blocking

    private struct Prepared: Sendable {
        var paths: EngineConfiguration.ContainerPaths
        var attachments: [NetworkAttachment] = []
        var published: PublishedPorts?
        var sandbox: NetworkSandbox?
        let identities: ContainerIdentities
        /// Number of the first descriptor that the shim gets.
        let firstDescriptor: Int32

        /// What the shim keeps open: the network namespace first, then the user namespace and the sockets that hold the ports.
        var descriptors: [Int32] {
            (sandbox.map { [$0.descriptor] } ?? []) + identities.descriptors + (published?.descriptors ?? [])
        }

        var root: MappedRoot? { identities.rootForShim(descriptor: firstDescriptor + (sandbox == nil ? 0 : 1)) }

        /// The sockets that the shim serves, by the numbers that they have there.
        var relay: PortRelay? {
            let first = firstDescriptor + (sandbox == nil ? 0 : 1) + Int32(identities.descriptors.count)
            return published?.relay { first + Int32($0) }
        }
    }

    private func prepare(
        _ record: ContainerRecord, layers: [String], shared: SharedNamespaces, _ identities: ContainerIdentities, firstDescriptor: Int32
    ) throws -> Prepared {
        var prepared = Prepared(
            paths: configuration.paths(of: record.id), identities: identities, firstDescriptor: firstDescriptor)
        do {
            try Files.makeDirectories("\(prepared.paths.run)/rootfs", mode: 0o700)
            if prepared.root != nil { try IdentityMapping.letThrough(prepared.paths.run) }
            _ = unlink(prepared.paths.exitRecord)
            for mount in record.mounts where mount.createsSource && !Files.exists(mount.source) {
                try configuration.makeBindSource(mount.source)
            }
            for mount in record.mounts where mount.kind == .bind && !Files.exists(mount.source) {
                throw EngineError.invalid("invalid mount config for type \"bind\": bind source path does not exist: \(mount.source)")
            }
            try MountPropagation.check(record.mounts)
            let mode = record.hostConfig.NetworkMode ?? "default"
            var choice = SpecBuilder.NetworkNamespaceChoice.host
            if let other = shared.network {
                choice = .path("/proc/\(other.pid)/ns/net")
            } else if mode != "host" {
                prepared.sandbox = try identities.sandbox ?? networks.takeSandbox()
                choice = .path("/proc/self/fd/\(firstDescriptor)")
            }
            try connect(record, &prepared)
            if let other = shared.network {
                // As Docker: the files of the container whose network is shared.
                let theirs = configuration.paths(of: other.id)
                for (from, to) in [
                    (theirs.hosts, prepared.paths.hosts), (theirs.resolvConf, prepared.paths.resolvConf),
                    (theirs.hostname, prepared.paths.hostname),
                ] {
                    try Files.replace(to, with: try Files.read(from), mode: 0o644, durable: false)
                }
            } else {
                try writeNetworkFiles(record, prepared)
            }
            // Also back to the host's root: the setting may have changed since the last start.
            for path in [prepared.paths.hosts, prepared.paths.hostname, prepared.paths.resolvConf] {
                try Files.changeOwner(path, uid: prepared.root?.uid ?? 0, gid: prepared.root?.gid ?? 0)
            }
            var builder = SpecBuilder(
                record: record, paths: prepared.paths, configuration: configuration, layers: layers, networkNamespace: choice)
            builder.userNamespace = prepared.root?.userNamespace
            builder.sharedPID = shared.pid
            builder.sharedIPC = shared.ipc
            builder.linkedVariables = ContainerLinks.linked(record, in: store).flatMap { $0.environment(for: record.name) }
            let spec = try builder.build()
            try configuration.appArmor?.prepare(spec.process?.apparmorProfile)
            let file = try OwnedFD.open(prepared.paths.config, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
            try file.writeAll(spec.json.serialized())
            return prepared
        } catch {
            for attachment in prepared.attachments { try? networks.detach(attachment.endpoint, bindings: attachment.published) }
            throw error
        }
    }

    private func connect(_ record: ContainerRecord, _ prepared: inout Prepared) throws {
        guard record.config.NetworkDisabled != true else { return }
        let mode = record.hostConfig.NetworkMode ?? "default"
        let primary = mode == "default" ? "bridge" : (try? networks.network(mode).name) ?? mode
        // The first network's interface is eth0: the highest priority, then the network of NetworkMode.
        func rank(_ name: String) -> (Int, Int, String) { (-(record.networks[name]?.GwPriority ?? 0), name == primary ? 0 : 1, name) }
        // Without a default bridge those who want none but it get nothing, as in Docker.
        let isMissing = networks.configuration.defaultBridge.isMissing
        for name in record.networks.keys.sorted(by: { rank($0) < rank($1) }) where !(isMissing && name == "bridge") {
            let wanted = record.networks[name] ?? EndpointSettings()
            prepared.attachments.append(try attach(record, to: name, wanted, sandbox: prepared.sandbox))
        }
        if let sandbox = prepared.sandbox {
            try serveNames(record, prepared.attachments, sandbox)
            if prepared.attachments.count > 1 { try chooseGateways(prepared.attachments, sandbox) }
        }
        let target = prepared.attachments.publishing?.endpoint.id
        guard let index = prepared.attachments.firstIndex(where: { $0.endpoint.id == target }) else { return }
        let ports = try PortRequests(record).requests
        guard !ports.isEmpty else { return }
        let published = try networks.publish(prepared.attachments[index].endpoint, ports: ports)
        prepared.published = published
        prepared.attachments[index].published = published.bindings
    }

    /// Blocks.
    func chooseGateways(_ attachments: [NetworkAttachment], _ sandbox: NetworkSandbox) throws {
        try networks.chooseGateways(attachments.byPreference.map(\.endpoint), in: sandbox)
    }

    /// What a container is called on a network beside its name: aliases, short ID and host name.
    private static func names(_ record: ContainerRecord, _ wanted: EndpointSettings) -> [String] {
        var names: [String] = []
        for name in (wanted.Aliases ?? []) + [String(record.id.prefix(12)), record.config.Hostname ?? ""]
        where !name.isEmpty && !names.contains(name) {
            names.append(name)
        }
        return names
    }

    /// `container:alias`, `container`, or `/container:/own/alias` as Docker shows them: by alias.
    private static func links(_ texts: [String]) -> [String: String] {
        var links: [String: String] = [:]
        for text in texts {
            let parts = text.split(separator: ":", maxSplits: 1).map { $0.split(separator: "/").last.map(String.init) ?? "" }
            guard let container = parts.first, !container.isEmpty else { continue }
            links[parts.count > 1 ? parts[1] : container] = container
        }
        return links
    }

    /// Starts the name server for a container that is on a network with names. Blocks.
    func serveNames(_ record: ContainerRecord, _ attachments: [NetworkAttachment], _ sandbox: NetworkSandbox) throws {
        guard attachments.contains(where: { networks.servesNames(onNetwork: $0.endpoint.networkID) }) else { return }
        let given = record.hostConfig.Dns ?? []
        try networks.serveNames(containerID: record.id, sandbox: sandbox, upstream: given.isEmpty ? configuration.dns : given)
    }

    /// One network more. Blocks.
    func attach(_ record: ContainerRecord, to network: String, _ wanted: EndpointSettings, sandbox: NetworkSandbox?) throws
        -> NetworkAttachment
    {
        let hasNames = networks.servesNames(onNetwork: network)
        let links = (wanted.Links ?? []) + (record.hostConfig.NetworkMode == network ? record.hostConfig.Links ?? [] : [])
        if !links.isEmpty && !hasNames { throw EngineError.notImplemented("links on network \(network)") }
        var request = EndpointRequest(
            ipv4: wanted.IPAMConfig?.IPv4Address.flatMap { $0.isEmpty ? nil : $0 },
            ipv6: wanted.IPAMConfig?.IPv6Address.flatMap { $0.isEmpty ? nil : $0 },
            mac: wanted.MacAddress.flatMap { $0.isEmpty ? nil : $0 },
            aliases: hasNames ? Self.names(record, wanted) : wanted.Aliases ?? [], links: Self.links(links))
        request.linkLocal = wanted.IPAMConfig?.LinkLocalIPs ?? []
        request.options = try EndpointOptions(wanted.DriverOpts ?? [:])
        let endpoint = try networks.attach(
            containerID: record.id, containerName: record.name, hostname: record.config.Hostname ?? "", network: network,
            sandbox: sandbox, request: request)
        publish("connect", endpoint)
        return NetworkAttachment(
            networkName: endpoint.networkName, endpoint: endpoint, settings: settings(endpoint, wanted), published: [])
    }

    private func settings(_ endpoint: Endpoint, _ wanted: EndpointSettings) -> EndpointSettings {
        var settings = wanted
        if networks.servesNames(onNetwork: endpoint.networkID) { settings.DNSNames = [endpoint.containerName] + endpoint.aliases }
        settings.NetworkID = endpoint.networkID
        settings.EndpointID = endpoint.id
        settings.MacAddress = endpoint.macAddress
        settings.Gateway = endpoint.ipv4Gateway.map { "\($0)" } ?? ""
        settings.IPAddress = endpoint.ipv4.map { "\($0.address)" } ?? ""
        settings.IPPrefixLen = endpoint.ipv4.map { Int($0.length) } ?? 0
        settings.IPv6Gateway = endpoint.ipv6Gateway.map { "\($0)" } ?? ""
        settings.GlobalIPv6Address = endpoint.ipv6.map { "\($0.address)" } ?? ""
        settings.GlobalIPv6PrefixLen = endpoint.ipv6.map { Int($0.length) } ?? 0
        return settings
    }

    private func writeNetworkFiles(_ record: ContainerRecord, _ prepared: Prepared) throws {
        try writeHosts(record, prepared.attachments)
        try writeResolvConf(record, prepared.attachments)
        try Self.overwrite(prepared.paths.hostname, ContainerFiles.hostname(record.config.Hostname ?? ""))
    }

    /// The container's /etc/resolv.conf, in place: it is bind-mounted in the container. Blocks.
    func writeResolvConf(_ record: ContainerRecord, _ attachments: [NetworkAttachment]) throws {
        let host = record.hostConfig
        func first(_ given: [String]?, _ fallback: [String]) -> [String] { given.flatMap { $0.isEmpty ? nil : $0 } ?? fallback }
        let searches = first(host.DnsSearch, configuration.dnsSearch)
        let options = first(host.DnsOptions, configuration.dnsOptions)
        let text =
            attachments.contains { networks.servesNames(onNetwork: $0.endpoint.networkID) }
            ? try ContainerFiles.resolvConfOfNameServer(searches: searches, options: options)
            : try ContainerFiles.resolvConf(
                nameservers: first(host.Dns, configuration.dns), searches: searches, options: options,
                usesHostNetwork: host.NetworkMode == "host")
        try Self.overwrite(configuration.paths(of: record.id).resolvConf, text)
    }

    private static func overwrite(_ path: String, _ text: String) throws(SystemError) {
        let file = try OwnedFD.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try file.writeAll(Array(text.utf8))
    }

    /// The container's /etc/hosts, in place: it is bind-mounted in the container. Blocks.
    func writeHosts(_ record: ContainerRecord, _ attachments: [NetworkAttachment]) throws {
        let host = record.hostConfig
        let hosts =
            host.NetworkMode == "host" && (host.ExtraHosts ?? []).isEmpty
            ? (try? Files.readText("/etc/hosts")) ?? ""
            : try ContainerFiles.hosts(
                hostname: record.config.Hostname ?? "", domainname: record.config.Domainname ?? "",
                endpoints: attachments.map(\.endpoint), extraHosts: host.ExtraHosts ?? [],
                hostGateways: hostGateways(attachments))
                + ContainerLinks.hosts(ContainerLinks.linked(record, in: store))
        try Self.overwrite(configuration.paths(of: record.id).hosts, hosts)
    }

    /// What `host-gateway` means to the container: what the daemon was told, the way out of its own network, or the default
    /// bridge where that has none.
    private func hostGateways(_ attachments: [NetworkAttachment]) -> [IPAddress] {
        let told = configuration.containerDefaults.hostGateways
        if !told.isEmpty { return told }
        let own = attachments.first?.endpoint.gateways ?? []
        return own.isEmpty ? networks.hostGateways : own
    }

    // MARK: The end of a run, and after a restart of the daemon

    /// Gives back addresses and ports.
    func detach(_ attachments: [NetworkAttachment]) async {
        guard !attachments.isEmpty else { return }
        do {
            try await offloading { [networks] in
                for attachment in attachments { try networks.detach(attachment.endpoint, bindings: attachment.published) }
            }
        } catch { logger.warning("cannot give back a container's address", metadata: ["error": "\(error)"]) }
        for attachment in attachments {
            publish("disconnect", attachment.endpoint)
        }
    }

    /// A container came to a network, or left it.
    func publish(_ action: String, _ endpoint: Endpoint) {
        let kind = (try? networks.network(endpoint.networkID).driver) ?? "bridge"
        events.publish(
            "network", action, id: endpoint.networkID,
            attributes: ["container": endpoint.containerID, "name": endpoint.networkName, "type": kind])
    }

    func reconnect(_ container: Container) async -> ShimReconnection {
        let paths = configuration.paths(of: container.id)
        return await supervisor.reconnect(directory: paths.run, exitRecordPath: paths.exitRecord)
    }

    func restoreNetworks(of containers: [Container]) async throws {
        let living = containers.flatMap {
            // The first with a gateway has the default route.
            $0.record.attachments.byPreference.map { LivingEndpoint(endpoint: $0.endpoint, bindings: $0.published) }
        }
        try await offloading { [self] in
            try networks.restore(living)
            for container in containers {
                let record = container.record
                do {
                    guard record.attachments.contains(where: { networks.servesNames(onNetwork: $0.endpoint.networkID) }) else { continue }
                    try serveNames(record, record.attachments, try networks.reopenSandbox(pid: record.outcome.pid))
                } catch {
                    logger.warning("a container has no name server", metadata: ["container": "\(record.id)", "error": "\(error)"])
                }
            }
        }
    }
}

extension PublishedPorts {
    /// What the shim serves, where the sockets have these numbers by their place in `sockets`; nil for nothing.
    func relay(_ number: (Int) -> Int32) -> PortRelay? {
        guard let relayTarget else { return nil }
        let listeners = sockets.enumerated().filter(\.element.isServed).map { index, socket in
            PortRelay.Listener(descriptor: number(index), port: socket.containerPort, isUDP: socket.proto == .udp)
        }
        return PortRelay(target: "\(relayTarget)", listeners: listeners)
    }
}
