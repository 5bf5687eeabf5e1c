internal import EngineTypes
internal import Images
internal import Linux
internal import Logging
internal import OCIImageSpec
internal import Volumes

/// Makes containers: checks the request, merges it with the image, finds the mounts, writes the record.
struct ContainerCreation: Sendable {
    let store: ContainerStore
    let images: ImageStore
    let volumes: VolumeStore
    /// The name of the network that a name or ID means; nil when there is none.
    let networkName: @Sendable (String) -> String?
    let configuration: EngineConfiguration
    let events: EventBus
    let logger: Logger

    func create(name: String?, platform: String?, request: ContainerCreateRequest) async throws -> ContainerCreateResponse {
        let imageName = request.config.Image ?? ""
        if imageName.isEmpty { throw EngineError.invalid("Config.Image must not be empty: no image specified") }
        let name = name.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 }.flatMap { $0.isEmpty ? nil : $0 }
        if let name { try ContainerNames.check(name) }
        let host = (request.hostConfig ?? HostConfig())
        try request.config.checkVariables()
        try host.check(config: request.config)
        try host.check(mapping: configuration.identities)
        try configuration.cgroupDriver.check(parent: host.CgroupParent ?? "")
        try StorageOptions.check(host.StorageOpt, configuration)
        let storage = try StorageOptions(host.StorageOpt, standard: configuration.defaultLayerSize)
        let image = try await offloading { [images] in try images.image(imageName) }
        if let wanted = try ImageService.platform(platform) { try image.config.check(wanted, name: imageName) }
        let id = ContainerNames.newID()
        try EndpointChecks.check(request.networkingConfig)
        let links = try ContainerLinks.resolve(host, in: store)
        var filled = try resolveSharing(host).withDefaults(
            shmSize: configuration.defaultShmSize, logDriver: configuration.defaultLogDriver, configuration.containerDefaults)
        // From now on they are the record's, and go with the other container's name.
        if !links.isEmpty { filled.Links = nil }
        try checkRuntime(filled.Runtime ?? "")
        _ = try configuration.logOptions(filled.LogConfig)
        let config = try merge(request.config, with: image.config.config ?? RunConfig(), id: id, host: filled)
        let words = (config.Entrypoint?.words ?? []) + (config.Cmd?.words ?? [])
        guard let path = words.first else { throw EngineError.invalid("no command specified") }
        let security = try SecurityOptions(filled.SecurityOpt ?? [], isPrivileged: filled.Privileged == true)
        let finalName = try reserveName(name, id: id)
        do {
            let mounts = try await offloading { [volumes, store, images, filled] in
                let resolver = MountResolver(
                    volumes: volumes, mountsOfContainer: { try store.find($0).record.mounts },
                    imageID: { try images.image($0).id.description }, defaultDriver: filled.VolumeDriver ?? "")
                return try resolver.resolve(host: filled, config: config)
            }
            // What the request could not be started with is refused now, not at start.
            _ = try CapabilitySet.resolve(add: filled.CapAdd ?? [], drop: filled.CapDrop ?? [], isPrivileged: filled.Privileged == true)
            try refuseSharedBesideOwn(mounts, filled)
            let record = ContainerRecord(
                id: id, name: finalName, created: Timestamp.now().description, imageID: image.id.description, imageName: imageName,
                config: config,
                hostConfig: filled, networks: networks(request, mode: filled.NetworkMode ?? "default"), path: path,
                arguments: Array(words.dropFirst()), mounts: mounts, links: links, outcome: .init())
            let container = Container(record, phase: .created)
            let paths = configuration.paths(of: id)
            try await offloading { [configuration] in
                try Files.makeDirectories(paths.upper)
                try Files.makeDirectories(paths.work)
                try storage.apply(to: paths, configuration)
            }
            try await store.save(container)
            store.insert(container)
            events.publish("create", of: record)
        } catch {
            store.release(finalName, of: id)
            try? await offloading { [configuration] in
                let paths = configuration.paths(of: id)
                try ProjectQuotas.removeTree(paths.data, limitedAt: paths.upper, root: configuration.containersDirectory)
            }
            throw EngineError.from(error)
        }
        return ContainerCreateResponse(
            Id: id, Warnings: warnings(request.hostConfig) + security.warnings(hasAppArmor: configuration.appArmor != nil))
    }

    private func reserveName(_ name: String?, id: String) throws(EngineError) -> String {
        if let name {
            try store.reserve(name, for: id)
            return name
        }
        while true {
            let name = ContainerNames.generate { store.container(withName: $0) != nil }
            do { try store.reserve(name, for: id) } catch { continue }
            return name
        }
    }

    /// Containers whose namespaces are to be joined have to be there; whether they run counts at the start.
    /// `container:NAME` becomes `container:ID`, which goes on meaning the same container when that is renamed.
    private func resolveSharing(_ given: HostConfig) throws(EngineError) -> HostConfig {
        var host = given
        for mode in [\HostConfig.IpcMode, \.PidMode, \.NetworkMode] as [WritableKeyPath<HostConfig, String?>] {
            guard let text = host[keyPath: mode], text.hasPrefix("container:") else { continue }
            do { host[keyPath: mode] = "container:\(try store.find(String(text.dropFirst("container:".count))).id)" } catch {
                // As in Docker a network may come to be until the start.
                if mode == \.NetworkMode { continue }
                // Not "not found": a client would take that for the image, and pull it.
                throw .invalid(error.message)
            }
        }
        return host
    }

    private func checkRuntime(_ name: String) throws(EngineError) {
        guard name == configuration.defaultRuntime || name == "clipper" || configuration.runtimes[name] != nil else {
            throw .invalid("unknown or invalid runtime name: \(name)")
        }
    }

    /// What the shim puts together it puts into a mount namespace of its own, and so does it for another runtime: from there a mount
    /// does not come back to the host.
    private func refuseSharedBesideOwn(_ mounts: [ResolvedMount], _ host: HostConfig) throws(EngineError) {
        guard let shared = mounts.first(where: { ["shared", "rshared"].contains($0.propagation) }) else { return }
        let runtime = host.Runtime ?? ""
        if configuration.runtimes[runtime] != nil { throw .notImplemented("propagation \(shared.propagation) with runtime \(runtime)") }
        // Before it the supervisor makes every root filesystem there (`OverlayMount`).
        if SeccompHost.kernelVersion < (6, 7) { throw .notImplemented("propagation \(shared.propagation) before Linux 6.7") }
        if mounts.contains(where: \.isMadeByShim) || host.IpcMode?.hasPrefix("container:") == true {
            throw .notImplemented("propagation \(shared.propagation) beside a mounted image, a subpath or a joined IPC namespace")
        }
    }

    private func warnings(_ host: HostConfig?) -> [String] {
        var result: [String] = []
        if host?.OomKillDisable == true && (host?.Memory ?? 0) == 0 {
            result.append(
                "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources."
            )
        }
        let missing = CapabilitySet.missing(host?.CapAdd ?? [])
        if !missing.isEmpty {
            result.append("The host lacks \(missing.joined(separator: ", ")): the container will be without.")
        }
        if host?.NetworkMode == "host", !(host?.PortBindings ?? [:]).isEmpty {
            result.append("Published ports are discarded when using host network mode")
        }
        return result
    }

    /// The networks asked for, the one of NetworkMode among them. Who names networks and no mode gets those alone, as in Docker.
    private func networks(_ request: ContainerCreateRequest, mode: String) -> [String: EndpointSettings] {
        var result: [String: EndpointSettings] = [:]
        for (name, settings) in request.networkingConfig?.EndpointsConfig ?? [:] {
            var wanted = settings ?? EndpointSettings()
            // An answer's member: which network it is comes out at the start.
            wanted.NetworkID = nil
            result[name == "default" ? "bridge" : networkName(name) ?? name] = wanted
        }
        if mode.hasPrefix("container:") || request.config.NetworkDisabled == true { return [:] }
        let name = mode == "default" ? "bridge" : networkName(mode) ?? mode
        if result[name] == nil && (mode != "default" || result.isEmpty) { result[name] = EndpointSettings() }
        if let mac = request.config.MacAddress, !mac.isEmpty, (result[name]?.MacAddress ?? "").isEmpty { result[name]?.MacAddress = mac }
        return result
    }

    /// The image gives what the request leaves open; a given Entrypoint drops the image's Cmd, as Docker combines them.
    private func merge(_ request: ContainerConfig, with image: RunConfig, id: String, host: HostConfig) throws(EngineError)
        -> ContainerConfig
    {
        var config = request
        if (config.Hostname ?? "").isEmpty {
            let isHosts = host.NetworkMode == "host" || host.UTSMode == "host"
            config.Hostname = isHosts ? HostFacts.hostname : String(id.prefix(12))
        }
        config.Domainname = config.Domainname ?? ""
        if (config.User ?? "").isEmpty { config.User = image.user ?? "" }
        let given = config.Env ?? []
        let names = Set(given.map { $0.prefix { $0 != "=" } })
        // A variable without "=" takes away the image's, and what the container would have of its own (SpecBuilder).
        config.Env = given + (image.env ?? []).filter { !names.contains($0.prefix { $0 != "=" }) }
        for name in image.exposedPorts?.sorted ?? [] {
            config.ExposedPorts = (config.ExposedPorts ?? [:]).merging([name: EmptyObject()]) { old, _ in old }
        }
        for key in (host.PortBindings ?? [:]).keys {
            config.ExposedPorts = (config.ExposedPorts ?? [:]).merging([key: EmptyObject()]) { old, _ in old }
        }
        for name in image.volumes?.sorted ?? [] {
            config.Volumes = (config.Volumes ?? [:]).merging([name: EmptyObject()]) { old, _ in old }
        }
        if (config.Entrypoint?.words ?? []).isEmpty {
            if (config.Cmd?.words ?? []).isEmpty { config.Cmd = image.cmd.map(CommandWords.init) }
            // An empty list takes the image's away and leaves its Cmd.
            if config.Entrypoint == nil { config.Entrypoint = image.entrypoint.map(CommandWords.init) }
        } else if config.Entrypoint?.words == [""] {
            // `--entrypoint ""` takes both away.
            config.Entrypoint = nil
        }
        if (config.WorkingDir ?? "").isEmpty { config.WorkingDir = image.workingDir ?? "" }
        if let directory = config.WorkingDir, !directory.isEmpty {
            guard directory.hasPrefix("/") else {
                throw .invalid("the working directory '\(directory)' is invalid, it needs to be an absolute path")
            }
            config.WorkingDir = MountResolver.cleaned(directory)
        }
        config.Labels = (image.labels ?? [:]).merging(config.Labels ?? [:]) { $1 }
        if (config.StopSignal ?? "").isEmpty { config.StopSignal = image.stopSignal }
        if let signal = config.StopSignal, !signal.isEmpty, Signals.number(signal) == nil { throw .invalid("Invalid signal: \(signal)") }
        if let check = image.healthcheck { config.Healthcheck = Self.filled(config.Healthcheck ?? HealthConfig(), with: check) }
        config.AttachStdin = config.AttachStdin ?? false
        config.AttachStdout = config.AttachStdout ?? false
        config.AttachStderr = config.AttachStderr ?? false
        config.Tty = config.Tty ?? false
        config.OpenStdin = config.OpenStdin ?? false
        config.StdinOnce = config.StdinOnce ?? false
        return config
    }

    /// Each part that the request leaves open is the image's: who gives the interval alone keeps the image's test.
    private static func filled(_ request: HealthConfig, with image: Healthcheck) -> HealthConfig {
        func open(_ value: Int64?) -> Int64? { value == 0 ? nil : value }
        var health = request
        if (health.Test ?? []).isEmpty { health.Test = image.test }
        health.Interval = open(health.Interval) ?? image.interval
        health.Timeout = open(health.Timeout) ?? image.timeout
        health.StartPeriod = open(health.StartPeriod) ?? image.startPeriod
        health.StartInterval = open(health.StartInterval) ?? image.startInterval
        if (health.Retries ?? 0) == 0 { health.Retries = image.retries }
        return health
    }
}
