internal import Linux
internal import Logging
internal import Netlink
internal import Synchronization

/// Containers joining and leaving networks.
extension NetworkManager {
    /// A network namespace with `lo` up, from the pool. For every network but `host`; on `none` it stays as it is.
    public func takeSandbox() throws(NetworkError) -> NetworkSandbox {
        try NetworkError.wrapping("take network namespace") { () throws(SystemError) in try pool.take() }
    }

    /// Makes ready a namespace that somebody else made for a container. Takes the descriptor over.
    public func adoptSandbox(_ namespace: Int32) throws(NetworkError) -> NetworkSandbox {
        let owned = OwnedFD(owning: namespace)
        do {
            return try NetworkNamespace.run(in: .existing(owned.raw)) { try NetworkSandbox.adopt() }
        } catch { throw NetworkError(.system, "set up network namespace: \(error)", cause: error) }
    }

    /// The namespace of a living container, after a restart of the daemon (`/proc/<pid>/ns/net`).
    public func reopenSandbox(pid: Int32) throws(NetworkError) -> NetworkSandbox {
        do {
            let namespace = try OwnedFD.open("/proc/\(pid)/ns/net")
            return try NetworkNamespace.run(in: .existing(namespace.raw)) { try NetworkSandbox() }
        } catch { throw NetworkError(.system, "open network namespace of process \(pid): \(error)", cause: error) }
    }

    /// Joins a container to a network: address, veth, routes. `sandbox` may be nil on `host` only. The first network with a
    /// gateway gives the container its default route.
    public func attach(
        containerID: String, containerName: String, hostname: String, network nameOrID: String, sandbox: NetworkSandbox?,
        request: EndpointRequest = EndpointRequest()
    ) throws(NetworkError) -> Endpoint {
        let network = try network(nameOrID)
        guard network.driver == "bridge" else {
            return try attachWithoutBridge(containerID, containerName, network, sandbox: sandbox, request: request)
        }
        guard let sandbox else { throw NetworkError(.invalid, "network \(network.name) requires a network namespace") }
        let place = try allocate(containerID, containerName, network, request)
        do throws(SystemError) { try connect(place, sandbox) } catch {
            driver.deleteLater(place.endpoint.hostInterface)
            state.withLock { $0.forget(place.endpoint) }
            throw NetworkError(
                .system, "failed to create endpoint \(containerName) on network \(network.name): \(error)", cause: error)
        }
        return place.endpoint
    }

    private func attachWithoutBridge(
        _ containerID: String, _ containerName: String, _ network: Network, sandbox: NetworkSandbox?, request: EndpointRequest
    ) throws(NetworkError) -> Endpoint {
        if request.ipv4 != nil || request.ipv6 != nil || request.mac != nil || !request.linkLocal.isEmpty {
            throw NetworkError(.invalid, "conflicting options: addresses and the network mode \(network.name)")
        }
        if request.options != EndpointOptions() {
            throw NetworkError(.invalid, "conflicting options: driver options and the network mode \(network.name)")
        }
        if network.driver == "null" && sandbox == nil {
            throw NetworkError(.invalid, "network \(network.name) requires a network namespace")
        }
        let endpoint = Endpoint(
            id: Self.makeID(), networkID: network.id, networkName: network.name, containerID: containerID, containerName: containerName,
            aliases: request.aliases, interface: "", hostInterface: "", macAddress: "", ipv4: nil, ipv4Gateway: nil, ipv6: nil,
            ipv6Gateway: nil)
        state.withLock { $0.register(endpoint) }
        return endpoint
    }

    /// An endpoint whose addresses are taken and whose interface is still to be made.
    private struct Place {
        let endpoint: Endpoint
        let bridge: BridgeEntry
        let mac: [UInt8]
        let gateways: [IPAddress]
        let linkLocal: [IPPrefix]
        let options: EndpointOptions

        var addresses: [IPPrefix] { [endpoint.ipv4, endpoint.ipv6].compactMap { $0 } + linkLocal }
    }

    private func allocate(
        _ containerID: String, _ containerName: String, _ network: Network, _ request: EndpointRequest
    ) throws(NetworkError) -> Place {
        let wanted = try Wanted(request, network)
        return try state.withLock { state throws(NetworkError) in
            guard let entry = state.networks[network.id], !entry.isBeingRemoved else {
                throw NetworkError(.notFound, "network \(network.name) not found")
            }
            guard var bridge = entry.bridge else {
                throw NetworkError(.system, "network \(network.name) cannot be used: its bridge could not be created")
            }
            let interface = try state.interface(containerID, wanted: request.options.interfaceName, bridge.plan.options)
            let v4 = try Self.take(wanted.ipv4, from: &bridge.v4, network)
            let v6 = request.options.disablesIPv6 ? nil : try Self.take(wanted.ipv6, from: &bridge.v6, network)
            state.networks[network.id]?.bridge = bridge
            let mac = wanted.mac ?? Self.mac(for: v4?.address)
            let endpoint = Endpoint(
                id: Self.makeID(), networkID: network.id, networkName: network.name, containerID: containerID, containerName: containerName,
                aliases: request.aliases, interface: interface,
                hostInterface: "veth\(Self.makeID().prefix(7))", macAddress: macText(mac), ipv4: v4,
                ipv4Gateway: network.isInternal || v4 == nil ? nil : bridge.plan.v4?.containerGateway, ipv6: v6,
                ipv6Gateway: network.isInternal || v6 == nil ? nil : bridge.plan.v6?.containerGateway,
                links: request.links.isEmpty ? nil : request.links)
            let gateways = state.claimDefaultRoutes(endpoint)
            state.register(endpoint)
            return Place(
                endpoint: endpoint, bridge: bridge, mac: mac, gateways: gateways, linkLocal: wanted.linkLocal, options: request.options)
        }
    }

    /// The request's texts, checked against the network.
    private struct Wanted {
        var ipv4: IPAddress?
        var ipv6: IPAddress?
        var mac: [UInt8]?
        var linkLocal: [IPPrefix] = []

        init(_ request: EndpointRequest, _ network: Network) throws(NetworkError) {
            for text in request.linkLocal {
                guard let address = IPAddress(text), !address.isUnspecified,
                    let prefix = IPPrefix(address, length: address.family == .v4 ? 16 : 64)
                else { throw NetworkError(.invalid, "invalid link-local IP address: \(text)") }
                linkLocal.append(prefix)
            }
            ipv4 = try Self.address(request.ipv4, .v4, network)
            ipv6 = try Self.address(request.ipv6, .v6, network)
            guard let text = request.mac, !text.isEmpty else { return }
            // An odd first byte is a group address, which no interface can have.
            guard let bytes = macBytes(text), bytes[0] & 1 == 0 else { throw NetworkError(.invalid, "invalid MAC address: \(text)") }
            mac = bytes
        }

        private static func address(_ text: String?, _ family: IPAddress.Family, _ network: Network) throws(NetworkError) -> IPAddress? {
            guard let text, !text.isEmpty else { return nil }
            guard let address = IPAddress(text), address.family == family else { throw NetworkError(.invalid, "invalid address: \(text)") }
            if network.isPredefined {
                throw NetworkError(.invalid, "user specified IP address is supported on user defined networks only")
            }
            if family == .v4 && !network.hasChosenSubnet {
                throw NetworkError(
                    .invalid, "user specified IP address is supported only when connecting to networks with user configured subnets")
            }
            if family == .v6 && !network.enableIPv6 {
                throw NetworkError(.invalid, "invalid address \(text): IPv6 is not enabled on network \(network.name)")
            }
            return address
        }
    }

    private static func take(_ wanted: IPAddress?, from allocator: inout AddressAllocator?, _ network: Network) throws(NetworkError)
        -> IPPrefix?
    {
        guard var addresses = allocator else { return nil }
        let subnet = addresses.subnet
        let taken: IPAddress
        if let wanted {
            guard subnet.contains(wanted) else {
                throw NetworkError(.invalid, "invalid address \(wanted): It does not belong to any of this network's subnets")
            }
            guard addresses.reserve(wanted) else { throw NetworkError(.forbidden, "Address already in use") }
            taken = wanted
        } else {
            guard let next = addresses.allocate() else {
                let family = subnet.family == .v4 ? "IPv4" : "IPv6"
                throw NetworkError(
                    .system, "no available \(family) addresses on this network's address pools: \(network.name) (\(network.id))")
            }
            taken = next
        }
        allocator = addresses
        return IPPrefix(taken, length: subnet.length)
    }

    /// Docker's hardware addresses: 02:42 and the IPv4 address.
    private static func mac(for address: IPAddress?) -> [UInt8] {
        [0x02, 0x42] + (address?.bytes ?? (0..<4).map { _ in UInt8.random(in: .min ... .max) })
    }

    private func connect(_ place: Place, _ sandbox: NetworkSandbox) throws(SystemError) {
        let endpoint = place.endpoint
        let hasIPv6 = place.addresses.contains { $0.family == .v6 }
        if hasIPv6 { try sandbox.setIPv6(true) }
        try driver.connect(
            RouteNetlink.VethPair(
                name: endpoint.hostInterface, master: place.bridge.index, mtu: UInt32(place.bridge.mtu), peerName: endpoint.interface,
                peerMAC: place.mac, peerNamespace: sandbox.descriptor), isolated: !place.bridge.plan.options.allowsInterContainerTraffic)
        // Some settings count from the moment at which the interface comes up.
        try place.options.apply(to: endpoint.interface, in: sandbox.descriptor)
        try sandbox.configure(endpoint.interface, addresses: place.addresses, defaultGateways: place.gateways)
        if hasIPv6 { try sandbox.setIPv6(false) }
    }

    /// Takes a container that has ended off a network: its ports first, then its address; the interface is removed in the
    /// background. `bindings` are those of `publish`. An endpoint that is not known is no error.
    ///
    /// The host ports are free again when the shim has closed its sockets as well: detach after it has ended.
    public func detach(_ endpoint: Endpoint, bindings: [PublishedPort]) throws(NetworkError) {
        let known = state.withLock { $0.endpoints[endpoint.id] != nil }
        guard known else { return }
        // The address goes back even when the firewall fails: its ports are no longer in the model, and the next
        // change puts the table right.
        defer {
            if !endpoint.hostInterface.isEmpty { driver.deleteLater(endpoint.hostInterface) }
            let isAlone = state.withLock { state in
                state.forget(endpoint)
                return !state.endpoints.values.contains { $0.containerID == endpoint.containerID }
            }
            // Its sockets would keep the namespace alive.
            if isAlone { names.stop(containerID: endpoint.containerID) }
        }
        try unpublish(endpoint, bindings)
    }

    /// Takes a living container off one network: its ports, its interface, then its address, which is another's only when the
    /// container has it no more. After a failure it is on the network as before, without published ports.
    public func leave(_ endpoint: Endpoint, bindings: [PublishedPort]) throws(NetworkError) {
        do throws(NetworkError) { try unpublish(endpoint, bindings) } catch {
            // They are no longer in the model, and the next change puts the table right.
            logger.warning("cannot close a container's ports", metadata: ["container": "\(endpoint.containerID)", "error": "\(error)"])
        }
        if !endpoint.hostInterface.isEmpty {
            try NetworkError.wrapping("disconnect \(endpoint.containerName)") { () throws(SystemError) in
                try driver.delete(endpoint.hostInterface)
            }
        }
        state.withLock { $0.forget(endpoint) }
    }

    /// Gives the container's default routes to the first of its endpoints that has a gateway of the family, in place of those
    /// that it has.
    /// - Parameter endpoints: all of one container, in the order of preference.
    public func chooseGateways(_ endpoints: [Endpoint], in sandbox: NetworkSandbox) throws(NetworkError) {
        for family in [IPAddress.Family.v4, .v6] {
            guard let endpoint = endpoints.first(where: { $0.gateway(family) != nil }), let gateway = endpoint.gateway(family) else {
                continue
            }
            try NetworkError.wrapping("move default route to network \(endpoint.networkName)") { () throws(SystemError) in
                try sandbox.replaceDefaultRoutes([gateway], endpoint.interface)
            }
            state.withLock { $0.defaultRoutes[DefaultRoute(containerID: endpoint.containerID, family: family)] = endpoint.id }
        }
    }
}

extension NetworkManager.State {
    /// Counts an endpoint as being on its network.
    mutating func register(_ endpoint: Endpoint) {
        endpoints[endpoint.id] = endpoint
        networks[endpoint.networkID]?.endpoints.insert(endpoint.id)
        if !endpoint.interface.isEmpty { interfaces[endpoint.containerID, default: []].insert(endpoint.interface) }
        _ = claimDefaultRoutes(endpoint)
    }

    /// Gives back all that an endpoint had.
    mutating func forget(_ endpoint: Endpoint) {
        guard endpoints.removeValue(forKey: endpoint.id) != nil else { return }
        networks[endpoint.networkID]?.endpoints.remove(endpoint.id)
        interfaces[endpoint.containerID]?.remove(endpoint.interface)
        if interfaces[endpoint.containerID]?.isEmpty == true { interfaces[endpoint.containerID] = nil }
        if let address = endpoint.ipv4?.address { networks[endpoint.networkID]?.bridge?.v4?.release(address) }
        if let address = endpoint.ipv6?.address { networks[endpoint.networkID]?.bridge?.v6?.release(address) }
        for family in [IPAddress.Family.v4, .v6] {
            let route = NetworkManager.DefaultRoute(containerID: endpoint.containerID, family: family)
            if defaultRoutes[route] == endpoint.id { defaultRoutes[route] = nil }
        }
    }

    /// The name asked for, which the container must not have yet; else the next free one.
    func interface(_ containerID: String, wanted: String?, _ options: NetworkPlan.BridgeOptions) throws(NetworkError) -> String {
        guard let wanted else { return freeInterface(containerID, prefix: options.interfacePrefix) }
        if wanted == "lo" || interfaces[containerID]?.contains(wanted) == true {
            throw NetworkError(.invalid, "interface name \"\(wanted)\" is in use in the container")
        }
        return wanted
    }

    /// The first name of `eth0`, `eth1`, … that the container does not have.
    func freeInterface(_ containerID: String, prefix: String) -> String {
        let taken = interfaces[containerID] ?? []
        return (0...taken.count).map { "\(prefix)\($0)" }.first { !taken.contains($0) } ?? "\(prefix)\(taken.count)"
    }

    /// The gateways that become the container's default routes: those of families in which it has none yet.
    mutating func claimDefaultRoutes(_ endpoint: Endpoint) -> [IPAddress] {
        endpoint.gateways.filter { gateway in
            let route = NetworkManager.DefaultRoute(containerID: endpoint.containerID, family: gateway.family)
            if let owner = defaultRoutes[route], owner != endpoint.id { return false }
            defaultRoutes[route] = endpoint.id
            return true
        }
    }
}
