public import EngineTypes
internal import Linux
public import Networking

/// What the API asks for networks.
public final class NetworkService: Sendable {
    private let networks: NetworkManager
    private let containers: ContainerService
    private let events: EventBus

    public init(networks: NetworkManager, containers: ContainerService, events: EventBus) {
        self.networks = networks
        self.containers = containers
        self.events = events
    }

    private func resource(_ network: Network, showsContainers: Bool = true) -> NetworkResource {
        var joined: [String: NetworkContainer] = [:]
        for endpoint in showsContainers ? networks.endpoints(onNetwork: network.id) : [] {
            joined[endpoint.containerID] = NetworkContainer(
                Name: endpoint.containerName, EndpointID: endpoint.id, MacAddress: endpoint.macAddress,
                IPv4Address: endpoint.ipv4.map { "\($0)" } ?? "", IPv6Address: endpoint.ipv6.map { "\($0)" } ?? "")
        }
        let ranges = network.ipam.ranges.map {
            IPAMConfig(
                Subnet: $0.subnet, IPRange: $0.ipRange, Gateway: $0.gateway,
                AuxiliaryAddresses: $0.auxiliaryAddresses.isEmpty ? nil : $0.auxiliaryAddresses)
        }
        return NetworkResource(
            Name: network.name, Id: network.id, Created: network.created, Driver: network.driver, EnableIPv6: network.enableIPv6,
            IPAM: IPAM(Driver: network.ipam.driver, Options: network.ipam.options, Config: ranges), Internal: network.isInternal,
            Attachable: network.isAttachable, Containers: joined, Options: network.options, Labels: network.labels)
    }

    /// - Parameter showsContainers: whether each shows what is on it, as answers to old clients do.
    public func list(filters: Filters, showsContainers: Bool) async throws -> [NetworkResource] {
        try filters.requireOnly(["dangling", "driver", "id", "label", "name", "scope", "type"])
        for kind in filters["type"] ?? [] where !["builtin", "custom"].contains(kind) {
            throw EngineError.invalid("invalid filter: 'type'='\(kind)'")
        }
        if let given = filters["dangling"] {
            if given.count > 1 { throw EngineError.invalid("got more than one value for filter key \"dangling\"") }
            if !["0", "1", "false", "true"].contains(given[0]) {
                throw EngineError.invalid("invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")")
            }
        }
        let (names, ids, dangling) = (NamePatterns(filters["name"]), NamePatterns(filters["id"]), try filters.flag("dangling"))
        return networks.networks().filter { network in
            if let names, !names.matches(network.name) { return false }
            if let ids, !ids.matches(network.id) { return false }
            if let wanted = filters["driver"], !wanted.contains(network.driver) { return false }
            if let wanted = filters["scope"], !wanted.contains(network.scope) { return false }
            if let wanted = filters["type"], !wanted.contains(network.isPredefined ? "builtin" : "custom") { return false }
            if let wanted = filters["label"], !Filters.labels(network.labels, satisfy: wanted) { return false }
            guard let dangling else { return true }
            return dangling == (!network.isPredefined && networks.endpoints(onNetwork: network.id).isEmpty)
        }.map { resource($0, showsContainers: showsContainers) }
    }

    public func create(_ request: NetworkCreateRequest) async throws -> NetworkCreateResponse {
        var spec = NetworkSpec(name: request.Name ?? "")
        spec.driver = request.Driver.flatMap { $0.isEmpty ? nil : $0 } ?? "bridge"
        spec.enableIPv4 = request.EnableIPv4 ?? true
        spec.enableIPv6 = request.EnableIPv6 ?? false
        spec.isInternal = request.Internal ?? false
        spec.isAttachable = request.Attachable ?? false
        spec.isIngress = request.Ingress ?? false
        spec.isConfigOnly = request.ConfigOnly ?? false
        spec.configFrom = request.ConfigFrom.flatMap { $0.Network.isEmpty ? nil : $0.Network }
        spec.scope = request.Scope ?? ""
        spec.options = request.Options ?? [:]
        spec.labels = request.Labels ?? [:]
        spec.ipam = IPAMSettings(
            driver: request.IPAM?.Driver.flatMap { $0.isEmpty ? nil : $0 } ?? "default", options: request.IPAM?.Options ?? [:],
            ranges: (request.IPAM?.Config ?? []).map {
                IPAMRange(
                    subnet: $0.Subnet ?? "", ipRange: $0.IPRange, gateway: $0.Gateway, auxiliaryAddresses: $0.AuxiliaryAddresses ?? [:])
            })
        let network = try await offloading { [networks, spec] in try networks.create(spec) }
        events.publish("network", "create", id: network.id, attributes: ["name": network.name, "type": network.driver])
        return NetworkCreateResponse(Id: network.id, Warning: "")
    }

    public func inspect(_ id: String, verbose: Bool, scope: String?) async throws -> NetworkResource {
        do { return resource(try networks.network(id)) } catch { throw EngineError.from(error) }
    }

    public func remove(_ id: String) async throws {
        let network = try await offloading { [networks] in try networks.remove(id) }
        events.publish("network", "destroy", id: network.id, attributes: ["name": network.name, "type": network.driver])
    }

    public func connect(_ id: String, _ request: NetworkConnectRequest) async throws {
        let network = try await offloading { [networks] in try networks.network(id) }
        guard let container = request.Container, !container.isEmpty else { throw EngineError.invalid("no container given") }
        do { try await containers.connect(container, to: network, request.EndpointConfig ?? EndpointSettings()) } catch {
            throw EngineError.from(error)
        }
    }

    public func disconnect(_ id: String, _ request: NetworkDisconnectRequest) async throws {
        let network = try await offloading { [networks] in try networks.network(id) }
        guard let container = request.Container, !container.isEmpty else { throw EngineError.invalid("no container given") }
        do { try await containers.disconnect(container, from: network, force: request.Force == true) } catch {
            throw EngineError.from(error)
        }
    }

    public func prune(filters: Filters) async throws -> PruneReport {
        let filter = try PruneFilter(filters)
        var report = PruneReport()
        var deleted: [String] = []
        for network in networks.networks() where !network.isPredefined && networks.endpoints(onNetwork: network.id).isEmpty {
            guard filter.matches(labels: network.labels, created: Timestamp(network.created)) else { continue }
            try await remove(network.id)
            deleted.append(network.name)
        }
        report.NetworksDeleted = deleted
        events.publishPrune("network", reclaimed: 0)
        return report
    }
}
