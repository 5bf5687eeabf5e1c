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
            do throws(NetworkError) { entry = try raise(network, try Self.plan(of: network), .ours) } catch {
                logger.warning(
                    "network cannot be used", metadata: ["network": "\(network.name)", "id": "\(network.id)", "error": "\(error)"])
            }
        }
        let bridge = entry
        state.withLock { $0.networks[network.id] = Entry(network: network, bridge: bridge) }
    }

    func adopt(_ network: Network, _ bridge: BridgeEntry?) throws(NetworkError) {
        do { try records.save(network) } catch {
            throw NetworkError(.system, "record network \(network.name): \(error)", cause: error)
        }
        state.withLock { $0.networks[network.id] = Entry(network: network, bridge: bridge) }
    }

    /// The plan of a recorded network, from its texts.
    static func plan(of network: Network) throws(NetworkError) -> NetworkPlan {
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

    /// The names of all bridges that the daemon has made. What else hangs on a bridge of the host is not known here.
    private func ownBridges() -> [String] { firewallBridges().map(\.name).filter { $0 != configuration.hostBridge } }

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
            for bridge in ownBridges() {
                for port in try driver.ports(of: bridge) where !wanted.contains(port) { driver.deleteLater(port) }
            }
        }
    }

    /// Ends the threads. With `removeAll` also every bridge, veth and the table go: for a daemon that ends with no
    /// container alive. Recorded networks stay recorded; the next start makes their bridges again.
    public func shutdown(removeAll: Bool) {
        stopThreads()
        guard removeAll else { return }
        changing.withLock { _ in
            for bridge in ownBridges() {
                attempt("remove bridge") { () throws(SystemError) in try driver.deleteWithPorts(bridge) }
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
