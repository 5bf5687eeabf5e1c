public import EngineTypes
internal import Images
internal import Linux
internal import Netlink
internal import Networking
internal import OCIImageSpec
internal import Supervision

extension ContainerService {
    public func inspect(_ id: String, size: Bool) async throws -> ContainerInspect {
        let container = try store.find(id)
        let record = container.record
        let paths = configuration.paths(of: container.id)
        var directories = ["UpperDir": paths.upper, "WorkDir": paths.work, "MergedDir": "\(paths.run)/rootfs"]
        if let image = try? images.image(record.imageID) {
            directories["LowerDir"] = ([initLayers.path(for: image)] + images.layerDirectories(of: image)).joined(separator: ":")
        }
        var answer = ContainerInspect(
            Id: record.id, Created: record.created, Path: record.path, Args: record.arguments, State: container.apiState,
            Image: record.imageID,
            ResolvConfPath: paths.resolvConf, HostnamePath: paths.hostname, HostsPath: paths.hosts,
            LogPath: record.hostConfig.LogConfig?.Type == "json-file" ? configuration.logPath(of: record) ?? "" : "",
            Name: "/\(record.name)",
            RestartCount: record.restartCount, Driver: "overlay2", Platform: "linux", ExecIDs: nil, HostConfig: record.hostConfig,
            GraphDriver: DriverData(Data: directories, Name: "overlay2"),
            Mounts: Self.mountPoints(record), Config: record.config,
            NetworkSettings: Self.networkSettings(record))
        // As in Docker: it is chosen with the first start.
        if record.outcome.phase != .created || !record.outcome.error.isEmpty {
            answer.AppArmorProfile = try appArmorProfile(of: record.hostConfig) ?? ""
        }
        let open = execs.open(in: record.id)
        answer.ExecIDs = open.isEmpty ? nil : open
        let links = record.links.compactMap { link in
            (try? store.find(link.containerID)).map { "/\($0.name):/\(record.name)/\(link.alias)" }
        }
        if !links.isEmpty { answer.HostConfig.Links = links }
        if size {
            let upper = paths.upper
            let written = try await offloading { try DirectorySize.bytes(of: upper) }
            answer.SizeRw = written
            answer.SizeRootFs = written + (try await imageSize(record.imageID))
        }
        return answer
    }

    private func appArmorProfile(of host: HostConfig) throws -> String? {
        let options = (host.SecurityOpt ?? []).filter { $0.hasPrefix("apparmor") }
        let wanted = try SecurityOptions(options, isPrivileged: false).appArmorProfile
        return configuration.appArmor?.profile(wanted, isPrivileged: host.Privileged == true)
    }

    func imageSize(_ id: String) async throws -> Int64 { try await offloading { [images] in try images.image(id).size } }

    /// What `--tmpfs` mounts is no mount point, says Docker; what `--mount type=tmpfs` does is one.
    static func mountPoints(_ record: ContainerRecord) -> [MountPoint] {
        let quiet = Set((record.hostConfig.Tmpfs ?? [:]).keys.compactMap { try? MountResolver.destination($0) })
        return record.mounts.filter { $0.kind != .tmpfs || !quiet.contains($0.destination) }.map(mountPoint)
    }

    private static func mountPoint(_ mount: ResolvedMount) -> MountPoint {
        MountPoint(
            Type: mount.kind.rawValue, Name: mount.name.isEmpty ? nil : mount.name, Source: mount.source, Destination: mount.destination,
            Driver: mount.kind == .volume ? "local" : nil, Mode: mount.mode, RW: !mount.isReadOnly,
            Propagation: mount.kind == .bind ? mount.propagation : "")
    }

    static func networkSettings(_ record: ContainerRecord) -> NetworkSettings {
        var settings = NetworkSettings()
        settings.Networks = record.networks
        for (name, wanted) in record.networks {
            var empty = wanted
            empty.IPAddress = ""
            empty.NetworkID = wanted.NetworkID ?? ""
            empty.EndpointID = ""
            empty.Gateway = ""
            empty.MacAddress = wanted.MacAddress ?? ""
            empty.IPPrefixLen = 0
            settings.Networks[name] = empty
        }
        for attachment in record.attachments { settings.Networks[attachment.networkName] = attachment.settings }
        if record.outcome.phase == .running || record.outcome.phase == .paused {
            for key in (record.config.ExposedPorts ?? [:]).keys { settings.Ports[key] = .some(nil) }
            for port in record.attachments.flatMap(\.published) {
                let binding = PortBinding(HostIp: "\(port.hostIP)", HostPort: "\(port.hostPort)")
                settings.Ports[port.containerKey] = ((settings.Ports[port.containerKey] ?? nil) ?? []) + [binding]
            }
            settings.SandboxID = record.id
            settings.SandboxKey = "/proc/\(record.outcome.pid)/ns/net"
        }
        if let bridge = record.attachments.first(where: { $0.networkName == "bridge" })?.settings {
            settings.EndpointID = bridge.EndpointID ?? ""
            settings.Gateway = bridge.Gateway ?? ""
            settings.IPAddress = bridge.IPAddress ?? ""
            settings.IPPrefixLen = bridge.IPPrefixLen ?? 0
            settings.MacAddress = bridge.MacAddress ?? ""
            settings.IPv6Gateway = bridge.IPv6Gateway ?? ""
            settings.GlobalIPv6Address = bridge.GlobalIPv6Address ?? ""
            settings.GlobalIPv6PrefixLen = bridge.GlobalIPv6PrefixLen ?? 0
        }
        return settings
    }

    /// The ports of a container that runs: published ones, then those that are exposed only.
    static func ports(_ container: Container) -> [ContainerSummary.Port] {
        container.apiState.Running ? ports(container.record) : []
    }

    /// The ports that a container has while it runs.
    static func ports(_ record: ContainerRecord) -> [ContainerSummary.Port] {
        let published = record.attachments.flatMap(\.published)
        var ports = published.map {
            ContainerSummary.Port(
                IP: "\($0.hostIP)", PrivatePort: Int($0.containerPort), PublicPort: Int($0.hostPort), Type: $0.proto.rawValue)
        }
        for key in (record.config.ExposedPorts ?? [:]).keys.sorted() where !published.contains(where: { $0.containerKey == key }) {
            if let (port, proto) = try? PortRequests.parse(key) {
                ports.append(.init(IP: nil, PrivatePort: Int(port), PublicPort: nil, Type: proto.rawValue))
            }
        }
        return ports
    }

    public func top(_ id: String, arguments: String) async throws -> ContainerTop {
        let container = try store.find(id)
        let table = try await container.whileRunning { connection in
            try await offloading { try ProcessTable(processes: try connection.cgroup().processes()).table(arguments: arguments) }
        }
        lifecycle.publish(container, "top")
        return table
    }
}

/// `Up 3 minutes (Paused)`: a container's state in words, as `docker ps` shows it.
enum StatusText {
    static func text(_ state: ContainerState) -> String {
        func since(_ text: String) -> String { Timestamp(text).map { words(Timestamp.now().nanoseconds(since: $0) / 1_000_000_000) } ?? "" }
        switch state.Status {
        case "running", "paused":
            // The error of a container that runs is its supervisor's silence.
            if !state.Error.isEmpty { return "Up \(since(state.StartedAt)) (supervisor does not answer)" }
            if state.Paused { return "Up \(since(state.StartedAt)) (Paused)" }
            if let health = state.Health, health.Status != "none" {
                return "Up \(since(state.StartedAt)) (\(health.Status == "starting" ? "health: starting" : health.Status))"
            }
            return "Up \(since(state.StartedAt))"
        case "restarting": return "Restarting (\(state.ExitCode)) \(since(state.FinishedAt)) ago"
        case "removing": return "Removal In Progress"
        case "dead": return "Dead"
        case "created": return "Created"
        default: return "Exited (\(state.ExitCode)) \(since(state.FinishedAt)) ago"
        }
    }

    /// go-units' HumanDuration.
    static func words(_ seconds: Int64) -> String {
        let minutes = seconds / 60
        let hours = (seconds + 1800) / 3600
        switch seconds {
        case ..<1: return "Less than a second"
        case 1: return "1 second"
        case ..<60: return "\(seconds) seconds"
        default: break
        }
        if minutes == 1 { return "About a minute" }
        if minutes < 60 { return "\(minutes) minutes" }
        if hours == 1 { return "About an hour" }
        if hours < 48 { return "\(hours) hours" }
        if hours < 24 * 7 * 2 { return "\(hours / 24) days" }
        if hours < 24 * 30 * 2 { return "\(hours / 24 / 7) weeks" }
        if hours < 24 * 365 * 2 { return "\(hours / 24 / 30) months" }
        return "\(hours / 24 / 365) years"
    }
}
