internal import Linux
internal import Netlink
internal import Synchronization

/// Making and removing networks.
extension NetworkManager {
    /// Makes a network and its bridge. Throws conflict for a name in use, forbidden for a subnet in use or a
    /// predefined name, invalid and notImplemented for what cannot be.
    public func create(_ spec: NetworkSpec) throws(NetworkError) -> Network {
        try spec.validateKind()
        var spec = spec
        spec.options.merge(configuration.defaultOptions[spec.driver] ?? [:]) { given, _ in given }
        return try make(spec)
    }

    private func make(_ spec: NetworkSpec) throws(NetworkError) -> Network {
        var plan = NetworkPlan()
        plan.options = try NetworkPlan.BridgeOptions(spec.options)
        let asked = try spec.subnets()
        (plan.v4, plan.v6) = asked
        let settled = plan
        return try changing.withLock { _ throws(NetworkError) in
            let all = networks()
            if all.contains(where: { $0.name == spec.name }) {
                throw NetworkError(.conflict, "network with name \(spec.name) already exists")
            }
            let id = Self.makeID()
            let bridge = settled.options.bridgeName ?? "br-\(id.prefix(12))"
            if all.contains(where: { $0.bridgeName == bridge }) {
                throw NetworkError(.conflict, "network with bridge name \(bridge) already exists")
            }
            return try driver.holdingHostLock { () throws(NetworkError) in
                let plan = try withSubnets(settled, bridge: bridge, needsIPv6: spec.enableIPv6)
                let network = Network(
                    id: id, name: spec.name, created: Timestamp.now().description, driver: "bridge", enableIPv6: plan.v6 != nil,
                    isInternal: spec.isInternal, isAttachable: spec.isAttachable,
                    ipam: IPAMSettings(
                        ranges: [plan.v4, plan.v6].compactMap { $0?.described(hidingGateway: false) }),
                    options: spec.options, labels: spec.labels, bridgeName: bridge, isPredefined: false, hasChosenSubnet: asked.v4 != nil)
                try build(network, plan)
                return network
            }
        }
    }

    /// Chooses the subnets that are still to be, and makes sure that no other network of ours has these.
    func withSubnets(_ plan: NetworkPlan, bridge: String, needsIPv6: Bool) throws(NetworkError) -> NetworkPlan {
        var plan = plan
        let ours = state.withLock { state in
            state.networks.values.flatMap { [$0.bridge?.plan.v4?.subnet, $0.bridge?.plan.v6?.subnet].compactMap { $0 } }
        }
        let choosesIPv6 = needsIPv6 && plan.v6 == nil
        if plan.v4 == nil || choosesIPv6 {
            let hosts = try NetworkError.wrapping("choose subnet") { () throws(SystemError) in try driver.occupied(except: bridge) }
            let occupied = ours + hosts
            if plan.v4 == nil { plan.v4 = .init(try SubnetChooser.choose(configuration.addressPools, avoiding: occupied)) }
            if choosesIPv6 { plan.v6 = .init(try SubnetChooser.chooseIPv6(configuration.addressPools, avoiding: occupied)) }
        }
        for subnet in [plan.v4?.subnet, plan.v6?.subnet].compactMap({ $0 }) where ours.contains(where: { $0.overlaps(subnet) }) {
            throw NetworkError(.forbidden, "Pool overlaps with other one on this address space")
        }
        return plan
    }

    /// Makes a new network real: record, bridge, firewall; all or nothing. The record comes first: after a crash the next
    /// start makes what is missing, while a bridge without a record would stay for ever.
    private func build(_ network: Network, _ plan: NetworkPlan) throws(NetworkError) {
        do {
            try records.save(network)
            let entry = try raise(network, plan, .new)
            do throws(SystemError) { try firewall.add(Self.bridge(network, plan)) } catch {
                try? driver.delete(network.bridgeName)
                throw error
            }
            state.withLock { $0.networks[network.id] = Entry(network: network, bridge: entry) }
        } catch {
            try? records.remove(networkID: network.id)
            throw error as? NetworkError ?? NetworkError(.system, "create network \(network.name): \(error)", cause: error)
        }
    }

    /// Makes the bridge of a network, or takes up the one that is there.
    func raise(_ network: Network, _ plan: NetworkPlan, _ origin: BridgeDriver.Plan.Origin) throws(NetworkError) -> BridgeEntry {
        let mtu = plan.options.mtu ?? configuration.mtu ?? 1500
        let index = try NetworkError.wrapping("create network \(network.name)") { () throws(SystemError) in
            if configuration.enablesForwarding {
                try driver.enableForwarding(.v4)
                if plan.v6 != nil { try driver.enableForwarding(.v6) }
            }
            return try driver.ensure(
                .init(
                    name: network.bridgeName, addresses: [plan.v4, plan.v6].compactMap { $0?.gatewayPrefix }, mtu: mtu,
                    origin: origin, reachesLoopback: configuration.firewallFamilies.contains(.v4)))
        }
        return BridgeEntry(plan: plan, index: index, mtu: mtu, v4: plan.v4?.allocator, v6: plan.v6?.allocator)
    }

    /// What the firewall is told of a network.
    static func bridge(_ network: Network, _ plan: NetworkPlan) -> Firewall.Bridge {
        Firewall.Bridge(
            name: network.bridgeName, subnets: [plan.v4, plan.v6].compactMap { $0?.subnet }, isInternal: network.isInternal,
            masquerades: plan.options.masquerades)
    }

    /// Removes a network without endpoints, and its bridge. Returns what was removed. Throws forbidden for predefined
    /// networks and for one with endpoints.
    @discardableResult
    public func remove(_ nameOrID: String) throws(NetworkError) -> Network {
        let network = try network(nameOrID)
        if network.isPredefined { throw NetworkError(.forbidden, "\(network.name) is a pre-defined network and cannot be removed") }
        return try changing.withLock { _ throws(NetworkError) in
            try state.withLock { state throws(NetworkError) in
                guard let entry = state.networks[network.id] else { throw NetworkError(.notFound, "network \(nameOrID) not found") }
                guard entry.endpoints.isEmpty else {
                    throw NetworkError(
                        .forbidden, "error while removing network: network \(network.name) id \(network.id) has active endpoints")
                }
                state.networks[network.id]?.isBeingRemoved = true
            }
            do {
                // The record goes last: after a crash the network is there, whole, and can be removed again.
                try driver.deleteWithPorts(network.bridgeName)
                try firewall.removeBridge(network.bridgeName)
                try records.remove(networkID: network.id)
            } catch {
                state.withLock { $0.networks[network.id]?.isBeingRemoved = false }
                throw NetworkError(.system, "remove network \(network.name): \(error)", cause: error)
            }
            state.withLock { _ = $0.networks.removeValue(forKey: network.id) }
            return network
        }
    }
}
