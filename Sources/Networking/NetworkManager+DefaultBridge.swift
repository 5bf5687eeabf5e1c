internal import Linux
internal import Logging
internal import Netlink

/// The network `bridge`, made from its configuration at each start.
extension NetworkManager {
    /// Makes the network or takes it up. Where containers live on the daemon's own bridge, its addresses stay what they are, as in
    /// Docker.
    func startDefaultBridge(_ recorded: Network?) throws(NetworkError) {
        let own = configuration.defaultBridgeName
        let isLivedOn = try NetworkError.wrapping("look at default bridge") { () throws(SystemError) in try !driver.ports(of: own).isEmpty }
        if let recorded, recorded.bridgeName == own, isLivedOn {
            logger.info("containers live on the default bridge: its addresses stay", metadata: ["bridge": "\(own)"])
            return try adopt(recorded, own, try Self.plan(of: recorded))
        }
        if configuration.defaultBridge.isMissing || configuration.hostBridge != nil {
            try NetworkError.wrapping("remove default bridge") { () throws(SystemError) in try driver.delete(own) }
        }
        if configuration.defaultBridge.isMissing {
            guard let recorded else { return }
            do { try records.remove(networkID: recorded.id) } catch {
                throw NetworkError(.system, "remove network \(recorded.name): \(error)", cause: error)
            }
            return
        }
        let name = configuration.hostBridge ?? own
        var plan = NetworkPlan()
        plan.v4 = try subnet(.v4, bridge: name, recorded)
        if configuration.defaultBridge.enablesIPv6 { plan.v6 = try subnet(.v6, bridge: name, recorded) }
        plan = try withSubnets(plan, bridge: name, needsIPv6: configuration.defaultBridge.enablesIPv6)
        try configuration.defaultBridge.narrow(&plan.v4, configuration.defaultBridge.range, configuration.defaultBridge.gateway)
        try configuration.defaultBridge.narrow(
            &plan.v6, configuration.defaultBridge.rangeIPv6, configuration.defaultBridge.gatewayIPv6)
        try adopt(recorded, name, plan)
    }

    private func adopt(_ recorded: Network?, _ name: String, _ plan: NetworkPlan) throws(NetworkError) {
        let settings = configuration.defaultBridge
        var plan = plan
        plan.options.hostBinding = try defaultHostBinding()
        plan.options.allowsInterContainerTraffic = settings.allowsInterContainerTraffic
        plan.options.masquerades = settings.masquerades && configuration.firewallFamilies.contains(.v4)
        let network = Network(
            id: recorded?.id ?? Self.makeID(), name: "bridge", created: recorded?.created ?? Timestamp.now().description, driver: "bridge",
            enableIPv6: plan.v6 != nil, isInternal: false, isAttachable: false,
            ipam: IPAMSettings(ranges: [plan.v4, plan.v6].compactMap { $0?.described(hidingGateway: false) }),
            options: [
                "com.docker.network.bridge.default_bridge": "true",
                "com.docker.network.bridge.enable_icc": "\(plan.options.allowsInterContainerTraffic)",
                "com.docker.network.bridge.enable_ip_masquerade": "\(plan.options.masquerades)",
                "com.docker.network.bridge.host_binding_ipv4": configuration.defaultHostAddress ?? "0.0.0.0",
                "com.docker.network.bridge.name": name, "com.docker.network.driver.mtu": "\(configuration.mtu ?? 1500)",
            ], labels: [:], bridgeName: name, isPredefined: true, hasChosenSubnet: false)
        try adopt(network, try raise(network, plan, name == configuration.hostBridge ? .host : .ours))
    }

    /// The subnet that is asked for, else the one that the bridge has, else the one it had; nil: choose one.
    private func subnet(
        _ family: IPAddress.Family, bridge: String, _ recorded: Network?
    ) throws(NetworkError) -> NetworkPlan.SubnetPlan? {
        let settings = configuration.defaultBridge
        let range = family == .v4 ? settings.range : settings.rangeIPv6
        if let text = family == .v4 ? settings.address : settings.addressIPv6 {
            guard let address = IPPrefix(text), address.family == family, address.length <= family.bits - 2,
                address.address != address.first
            else { throw NetworkError(.invalid, "invalid bridge address (\(family == .v4 ? "--bip" : "--bip6")): \(text)") }
            return .init(subnet: address.network, gateway: address.address)
        }
        if configuration.hostBridge != nil {
            let all = try NetworkError.wrapping("find bridge") { () throws(SystemError) in try driver.addresses(of: bridge) }
            guard let all else {
                throw NetworkError(.invalid, "bridge device with non default name \(bridge) must be created manually")
            }
            let present = all.filter { $0.family == family }
            if let address = present.first(where: { address in range.map { address.contains($0) } ?? false }) ?? present.first {
                return .init(subnet: address.network, gateway: address.address)
            }
        } else if let recorded, recorded.bridgeName == bridge, let old = try Self.plan(of: recorded)[family] {
            // The host may have come to use the subnet for something, or other pools be asked for.
            let pools = configuration.addressPools.filter { $0.base.family == family }
            let isStillMeant = range.map { old.subnet.contains($0) } ?? (pools.isEmpty || pools.contains { $0.base.contains(old.subnet) })
            if isStillMeant, try !isOccupied(old.subnet, except: bridge) { return .init(subnet: old.subnet, gateway: old.gateway) }
        }
        return range.map { NetworkPlan.SubnetPlan($0) }
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
}

extension DefaultBridge {
    /// Limits what containers get of a subnet, and says where its way out is.
    fileprivate func narrow(
        _ plan: inout NetworkPlan.SubnetPlan?, _ range: IPPrefix?, _ gateway: IPAddress?
    ) throws(NetworkError) {
        guard let subnet = plan?.subnet else { return }
        if let range {
            guard subnet.contains(range) else {
                let flag = range.family == .v4 ? "fixed-cidr" : "fixed-cidr-v6"
                throw NetworkError(.invalid, "\(flag)=\(range) is outside the subnet of the default bridge, \(subnet)")
            }
            if range.network != subnet { plan?.range = range.network }
        }
        guard let gateway else { return }
        let name = NetworkPlan.SubnetPlan.gatewayName(subnet.family)
        guard subnet.contains(gateway) else {
            throw NetworkError(.invalid, "auxiliary address: (\(name):\(gateway)) must belong to the master pool: \(subnet)")
        }
        plan?.auxiliary[name] = gateway
    }
}

extension NetworkPlan {
    fileprivate subscript(_ family: IPAddress.Family) -> SubnetPlan? { family == .v4 ? v4 : v6 }
}
