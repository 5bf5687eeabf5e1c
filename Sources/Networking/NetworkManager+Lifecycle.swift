internal import Linux
internal import Logging
internal import Netlink
internal import Synchronization

/// Start, restart and end of the daemon.
extension NetworkManager {
    /// Takes up the recorded networks; makes the predefined ones that are missing.
    func start() throws(NetworkError) {
        let recorded: [Network]
        do { recorded = try records.loadNetworks() } catch {
            throw NetworkError(.system, "load networks: \(error)", cause: error)
        }
        try driver.holdingHostLock { () throws(NetworkError) in
            for network in recorded.sorted(by: { $0.created < $1.created }) where !(network.isPredefined && network.driver == "bridge") {
                try takeUp(network)
            }
            try startDefaultBridge(recorded.first { $0.isPredefined && $0.driver == "bridge" })
        }
        for (name, driver) in [("host", "host"), ("none", "null")] where !recorded.contains(where: { $0.driver == driver }) {
            try adopt(
                Network(
                    id: Self.makeID(), name: name, created: Timestamp.now().description, driver: driver, enableIPv6: false,
                    isInternal: false,
                    isAttachable: false, ipam: IPAMSettings(), options: [:], labels: [:], bridgeName: "", isPredefined: true,
                    hasChosenSubnet: false), nil)
        }
        try NetworkError.wrapping("start firewall") { () throws(SystemError) in
            let bridges = firewallBridges()
            if try firewall.exists() { firewall.assume(bridges) } else { try firewall.replace(bridges: bridges, ports: []) }
        }
    }

    /// A recorded network. One whose bridge cannot be made stays recorded and is told of; joining it fails until then.
    private func takeUp(_ network: Network) throws(NetworkError) {
        var entry: BridgeEntry?
        if network.driver == "bridge" {
            do throws(NetworkError) { entry = try raise(network, try Self.plan(of: network), allowsExisting: true) } catch {
                logger.warning(
                    "network cannot be used", metadata: ["network": "\(network.name)", "id": "\(network.id)", "error": "\(error)"])
            }
        }
        let bridge = entry
        state.withLock { $0.networks[network.id] = Entry(network: network, bridge: bridge) }
    }

    private func adopt(_ network: Network, _ bridge: BridgeEntry?) throws(NetworkError) {
        do { try records.save(network) } catch {
            throw NetworkError(.system, "record network \(network.name): \(error)", cause: error)
        }
        state.withLock { $0.networks[network.id] = Entry(network: network, bridge: bridge) }
    }

    /// The network `bridge`: its subnet is that of `--bip`, else the one it had, else the first that is free.
    private func startDefaultBridge(_ recorded: Network?) throws(NetworkError) {
        let name = configuration.defaultBridgeName
        var plan = NetworkPlan()
        if let text = configuration.bridgeAddress {
            guard let address = IPPrefix(text), address.family == .v4, address.length <= 30, address.address != address.first else {
                throw NetworkError(.invalid, "invalid bridge address (--bip): \(text)")
            }
            plan.v4 = .init(subnet: address.network, gateway: address.address)
        } else if let recorded {
            plan.v4 = try Self.plan(of: recorded).v4
            // Left alone while the bridge lives; else the host may have come to use the subnet for something.
            if let subnet = plan.v4?.subnet, try isOccupied(subnet, except: name) { plan.v4 = nil }
        }
        plan = try withSubnets(plan, bridge: name)
        plan.options.hostBinding = try defaultHostBinding()
        let network = Network(
            id: recorded?.id ?? Self.makeID(), name: "bridge", created: recorded?.created ?? Timestamp.now().description, driver: "bridge",
            enableIPv6: false, isInternal: false, isAttachable: false,
            ipam: IPAMSettings(ranges: [plan.v4].compactMap { $0?.described(hidingGateway: false) }),
            options: [
                "com.docker.network.bridge.default_bridge": "true", "com.docker.network.bridge.enable_icc": "true",
                "com.docker.network.bridge.enable_ip_masquerade": "true",
                "com.docker.network.bridge.host_binding_ipv4": configuration.defaultHostAddress ?? "0.0.0.0",
                "com.docker.network.bridge.name": name, "com.docker.network.driver.mtu": "\(configuration.mtu ?? 1500)",
            ], labels: [:], bridgeName: name, isPredefined: true, hasChosenSubnet: false)
        try adopt(network, try raise(network, plan, allowsExisting: true))
    }

    private func isOccupied(_ subnet: IPPrefix, except bridge: String) throws(NetworkError) -> Bool {
        try NetworkError.wrapping("check subnet") { () throws(SystemError) in
            try driver.occupied(except: bridge).contains { $0.length > 0 && $0.overlaps(subnet) }
        }
    }

    private func defaultHostBinding() throws(NetworkError) -> IPAddress? {
        guard let text = configuration.defaultHostAddress else { return nil }
        guard let address = IPAddress(text), address.family == .v4 else {
            throw NetworkError(.invalid, "invalid default address for published ports (--ip): \(text)")
        }
        return address.isUnspecified ? nil : address
    }

    /// The plan of a recorded network, from its texts.
    private static func plan(of network: Network) throws(NetworkError) -> NetworkPlan {
        var plan = NetworkPlan()
        plan.options = try NetworkPlan.BridgeOptions(network.options)
        for range in network.ipam.ranges {
            let subnet = try NetworkPlan.SubnetPlan(range)
            if subnet.subnet.family == .v4 { plan.v4 = subnet } else { plan.v6 = subnet }
        }
        return plan
    }

    private func firewallBridges() -> [Firewall.Bridge] {
        state.withLock { state in
            state.networks.values.compactMap { entry in entry.bridge.map { Self.bridge(entry.network, $0.plan) } }
        }
    }

    /// After a daemon's start: takes up the endpoints of living containers and their ports again, and sets the
    /// firewall to exactly these in one transaction, so that no connection is cut. Interfaces that belong to no living
    /// container are removed.
    public func restore(_ living: [LivingEndpoint]) throws(NetworkError) {
        let known = living.filter { item in
            let isKnown = state.withLock { state in
                guard state.networks[item.endpoint.networkID] != nil else { return false }
                state.register(item.endpoint)
                if let address = item.endpoint.ipv4?.address { state.networks[item.endpoint.networkID]?.bridge?.v4?.restore(address) }
                if let address = item.endpoint.ipv6?.address { state.networks[item.endpoint.networkID]?.bridge?.v6?.restore(address) }
                return true
            }
            if !isKnown {
                logger.warning(
                    "network of a running container is not known",
                    metadata: ["container": "\(item.endpoint.containerID)", "network": "\(item.endpoint.networkName)"])
            }
            return isKnown
        }
        ports.withLock { ports in
            for item in known {
                for binding in item.bindings { ports.take(binding.hostPort, binding.proto, on: binding.hostIP) }
            }
        }
        try NetworkError.wrapping("restore networks") { () throws(SystemError) in
            try firewall.replace(bridges: firewallBridges(), ports: known.flatMap { Self.firewallPorts($0.endpoint, $0.bindings) })
            let wanted = Set(known.map(\.endpoint.hostInterface))
            for bridge in firewallBridges() {
                for port in try driver.ports(of: bridge.name) where !wanted.contains(port) { driver.deleteLater(port) }
            }
        }
    }

    /// Ends the threads. With `removeAll` also every bridge, veth and the table go: for a daemon that ends with no
    /// container alive. Recorded networks stay recorded; the next start makes their bridges again.
    public func shutdown(removeAll: Bool) {
        stopThreads()
        guard removeAll else { return }
        changing.withLock { _ in
            for bridge in firewallBridges() {
                attempt("remove bridge") { () throws(SystemError) in try driver.deleteWithPorts(bridge.name) }
            }
            attempt("remove firewall") { () throws(SystemError) in try firewall.removeTable() }
        }
    }

    /// Work at the end goes on after a failure, which is told.
    private func attempt(_ operation: String, _ body: () throws(SystemError) -> Void) {
        do throws(SystemError) { try body() } catch {
            logger.warning("network clean-up failed", metadata: ["operation": "\(operation)", "error": "\(error)"])
        }
    }
}
