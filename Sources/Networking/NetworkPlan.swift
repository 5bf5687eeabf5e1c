internal import Netlink

/// A network as asked for, checked: what `create` works from. Every option is understood or refused by name.
struct NetworkPlan: Sendable {
    var v4: SubnetPlan?
    var v6: SubnetPlan?
    var options = BridgeOptions()

    /// One subnet with what stands in it.
    struct SubnetPlan: Sendable, Equatable {
        var subnet: IPPrefix
        var range: IPPrefix?
        var gateway: IPAddress
        var auxiliary: [String: IPAddress] = [:]

        /// Where containers send what leaves the network: the bridge, or the auxiliary address of a name that Docker knows.
        var containerGateway: IPAddress { auxiliary[Self.gatewayName(subnet.family)] ?? gateway }

        static func gatewayName(_ family: IPAddress.Family) -> String { family == .v4 ? "DefaultGatewayIPv4" : "DefaultGatewayIPv6" }

        var gatewayPrefix: IPPrefix { IPPrefix(gateway, length: subnet.length) ?? subnet }
    }

    /// The bridge driver's options.
    struct BridgeOptions: Sendable, Equatable {
        var bridgeName: String?
        var allowsInterContainerTraffic = true
        var masquerades = true
        var hostBinding: IPAddress?
        var mtu: Int?
        var interfacePrefix = "eth"
    }
}

extension NetworkPlan.BridgeOptions {
    /// Reads the options of a bridge network. Throws invalid for values that cannot be, notImplemented for what Clipper lacks.
    init(_ options: [String: String]) throws(NetworkError) {
        for (key, value) in options.sorted(by: { $0.key < $1.key }) {
            switch key {
            case "com.docker.network.bridge.name":
                guard isInterfaceName(value) else { throw NetworkError(.invalid, "invalid bridge name: \"\(value)\"") }
                bridgeName = value
            case "com.docker.network.bridge.enable_icc": allowsInterContainerTraffic = try Self.flag(key, value)
            case "com.docker.network.bridge.enable_ip_masquerade": masquerades = try Self.flag(key, value)
            case "com.docker.network.bridge.host_binding_ipv4":
                guard let address = IPAddress(value), address.family == .v4 else {
                    throw NetworkError(.invalid, "invalid value for \(key): \"\(value)\" is not an IPv4 address")
                }
                hostBinding = address
            case "com.docker.network.driver.mtu":
                guard let number = Int(value), (68...65535).contains(number) else {
                    throw NetworkError(.invalid, "invalid value for \(key): \"\(value)\" is not an MTU")
                }
                mtu = number
            case "com.docker.network.container_iface_prefix":
                guard isInterfaceName(value + "99") else { throw NetworkError(.invalid, "invalid value for \(key): \"\(value)\"") }
                interfacePrefix = value
            case "com.docker.network.bridge.default_bridge": _ = try Self.flag(key, value)
            case "com.docker.network.bridge.gateway_mode_ipv4", "com.docker.network.bridge.gateway_mode_ipv6":
                guard value == "nat" else { throw NetworkError(.notImplemented, "not implemented: network option \(key)=\(value)") }
            default: throw NetworkError(.notImplemented, "not implemented: network option \(key)")
            }
        }
    }

    /// A truth value as Go reads it.
    private static func flag(_ key: String, _ value: String) throws(NetworkError) -> Bool {
        switch value {
        case "1", "t", "T", "true", "TRUE", "True", "": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: throw NetworkError(.invalid, "invalid value for \(key): \"\(value)\" is not true or false")
        }
    }
}

extension NetworkSpec {
    /// Refuses what Clipper cannot make. Names in use are the manager's to check.
    func validateKind() throws(NetworkError) {
        guard !name.isEmpty, !name.utf8.contains(0), name.first?.isWhitespace == false, !name.contains("/") else {
            throw NetworkError(.invalid, "invalid network name: \"\(name)\"")
        }
        if ["bridge", "host", "none", "default"].contains(name) {
            throw NetworkError(.forbidden, "operation is not permitted on predefined \(name) network")
        }
        if isIngress { throw NetworkError(.notImplemented, "not implemented: ingress networks") }
        if isConfigOnly || !(configFrom ?? "").isEmpty {
            throw NetworkError(.notImplemented, "not implemented: configuration-only networks")
        }
        if !scope.isEmpty && scope != "local" { throw NetworkError(.notImplemented, "not implemented: network scope \(scope)") }
        if !enableIPv4 { throw NetworkError(.notImplemented, "not implemented: networks without IPv4") }
        switch driver {
        case "bridge": break
        case "host", "null": throw NetworkError(.forbidden, "only one instance of \"\(driver)\" network is allowed")
        case "macvlan", "ipvlan", "overlay": throw NetworkError(.notImplemented, "not implemented: network driver \(driver)")
        default: throw NetworkError(.notFound, "plugin \"\(driver)\" not found")
        }
        if !ipam.driver.isEmpty && ipam.driver != "default" {
            throw NetworkError(.notImplemented, "not implemented: IPAM driver \(ipam.driver)")
        }
        if let option = ipam.options.keys.sorted().first { throw NetworkError(.notImplemented, "not implemented: IPAM option \(option)") }
    }

    /// The subnets as asked for. nil for a family: choose one (IPv4), or have none.
    func subnets() throws(NetworkError) -> (v4: NetworkPlan.SubnetPlan?, v6: NetworkPlan.SubnetPlan?) {
        var result: (v4: NetworkPlan.SubnetPlan?, v6: NetworkPlan.SubnetPlan?) = (nil, nil)
        for range in ipam.ranges {
            if range.subnet.isEmpty {
                guard range == IPAMRange() else { throw NetworkError(.invalid, "invalid IPAM configuration: a subnet is required") }
                continue
            }
            let plan = try NetworkPlan.SubnetPlan(range)
            switch plan.subnet.family {
            case .v4:
                if result.v4 != nil { throw NetworkError(.invalid, "bridge driver doesn't support multiple subnets") }
                result.v4 = plan
            case .v6:
                guard enableIPv6 else { throw NetworkError(.invalid, "invalid subnet \(range.subnet): IPv6 is not enabled on the network") }
                if result.v6 != nil { throw NetworkError(.invalid, "bridge driver doesn't support multiple subnets") }
                result.v6 = plan
            }
        }
        return result
    }
}

extension NetworkPlan.SubnetPlan {
    /// The whole subnet, its first address for the gateway.
    init(_ subnet: IPPrefix) {
        self.init(subnet: subnet.network, range: nil, gateway: subnet.first.advanced(by: 1))
    }

    /// Reads and checks the texts.
    init(_ range: IPAMRange) throws(NetworkError) {
        guard let subnet = IPPrefix(range.subnet) else {
            throw NetworkError(.invalid, "invalid subnet \(range.subnet): invalid CIDR block notation")
        }
        guard subnet.address == subnet.first else {
            throw NetworkError(.invalid, "invalid subnet \(range.subnet): it should be \(subnet.network)")
        }
        // An address for the bridge and one for a container at least.
        guard subnet.length <= subnet.family.bits - 2, subnet.length >= 8 else {
            throw NetworkError(.invalid, "invalid subnet \(range.subnet): prefix length not supported")
        }
        self.init(subnet)
        if let text = range.ipRange, !text.isEmpty {
            guard let part = IPPrefix(text) else { throw NetworkError(.invalid, "invalid ip-range \(text): invalid CIDR block notation") }
            guard subnet.contains(part.network), part.length >= subnet.length else {
                throw NetworkError(.invalid, "invalid ip-range \(text): not within the subnet \(subnet)")
            }
            self.range = part.network
            // Docker's gateway is the first address of the range.
            gateway = part.first == subnet.first ? subnet.first.advanced(by: 1) : part.first
        }
        if let text = range.gateway, !text.isEmpty { gateway = try Self.member(text, of: subnet, "gateway") }
        for (name, text) in range.auxiliaryAddresses { auxiliary[name] = try Self.member(text, of: subnet, "auxiliary address") }
    }

    private static func member(_ text: String, of subnet: IPPrefix, _ what: String) throws(NetworkError) -> IPAddress {
        // Docker takes a gateway with a prefix length as well.
        guard let address = IPAddress(text) ?? IPPrefix(text)?.address else {
            throw NetworkError(.invalid, "invalid \(what) address: \(text)")
        }
        guard subnet.contains(address), address != subnet.first, subnet.family == .v6 || address != subnet.last else {
            throw NetworkError(.invalid, "invalid \(what) \(text): not within the subnet \(subnet)")
        }
        return address
    }

    /// As it is recorded and shown.
    func described(hidingGateway: Bool) -> IPAMRange {
        IPAMRange(
            subnet: subnet.description, ipRange: range?.description, gateway: hidingGateway ? nil : gateway.description,
            auxiliaryAddresses: auxiliary.mapValues(\.description))
    }

    var allocator: AddressAllocator {
        AddressAllocator(subnet: subnet, range: range, reserved: [gateway] + auxiliary.values)
    }
}
