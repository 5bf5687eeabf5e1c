internal import ClientUI
internal import JSON
internal import Netlink
internal import Networking

extension DaemonOption {
    /// How containers reach each other and the world.
    static let networks: [DaemonOption] = [
        number("mtu", Flag("mtu", .int, "MTU of container networks"), \.mtu),
        fixed(
            "ip-forward-no-drop",
            Flag("ip-forward-no-drop", .bool, "Leave alone what the host forwards for others (always so)", default: "true"),
            to: .bool(true), because: "what the host forwards for others is never dropped"),
        fixed(
            "firewall-backend", Flag("firewall-backend", .string, "Firewall backend to use: nftables"), to: .string("nftables"), .null,
            because: "rules are made with nftables"),
        bool(
            "allow-direct-routing",
            Flag("allow-direct-routing", .bool, "Allow remote access to published ports on container IP addresses"),
            \.admission.includesDirectRouting),
        DaemonOption(
            key: "bridge-accept-fwmark",
            flag: Flag("bridge-accept-fwmark", .string, "In bridge networks, accept packets with this firewall mark/mask"),
            apply: setAcceptedMark),
        bool("ip-forward", Flag("ip-forward", .bool, "Enable net.ipv4.ip_forward", default: "true"), \.forwardsIP),
        firewall("iptables", Flag("iptables", .bool, "Filter and translate IPv4 packets", default: "true"), .v4),
        firewall("ip6tables", Flag("ip6tables", .bool, "Filter and translate IPv6 packets", default: "true"), .v6),
        bool(
            "userland-proxy",
            Flag(
                "userland-proxy", .bool, "Pass on what comes to published ports of containers that the kernel does not translate for",
                default: "true"),
            \.relaysIPv6),
        optionalText("ip", Flag("ip", .string, "Host address of published ports that name none"), \.publishAddress),
        DaemonOption(
            key: "default-address-pools",
            flag: Flag("default-address-pool", .list, "Pool from which networks have their subnets (base=10.10.0.0/16,size=24)"),
            apply: setPools),
        DaemonOption(
            key: "default-network-opts",
            flag: Flag("default-network-opt", .list, "Default network options (driver=option=value)"), apply: setNetworkOptions),
        texts("dns", Flag("dns", .list, "DNS server of containers"), \.dns),
        texts("dns-search", Flag("dns-search", .list, "DNS search domain of containers"), \.dnsSearch),
        texts("dns-opts", Flag("dns-opt", .list, "DNS option of containers"), \.dnsOptions),
    ]

    /// The network `bridge`.
    static let defaultBridge: [DaemonOption] = [
        DaemonOption(
            key: "bridge", flag: Flag("bridge", "b", .string, "Bridge of the host for the network \"bridge\"; none: no such network")
        ) { options, value throws(OptionError) in
            let name = try value.text(of: "bridge")
            options.defaultBridge.isMissing = name == "none"
            options.defaultBridge.hostBridge = ["", "none"].contains(name) ? nil : name
        },
        optionalText(
            "bip", Flag("bip", .string, "Address and network of the default bridge, as 172.30.0.1/16"), \.defaultBridge.address),
        optionalText(
            "bip6", Flag("bip6", .string, "IPv6 address and network of the default bridge, as fd00:1::1/64"), \.defaultBridge.addressIPv6),
        network("fixed-cidr", Flag("fixed-cidr", .string, "IPv4 subnet for fixed IPs"), .v4, \.defaultBridge.range),
        network("fixed-cidr-v6", Flag("fixed-cidr-v6", .string, "IPv6 subnet for fixed IPs"), .v6, \.defaultBridge.rangeIPv6),
        address(
            "default-gateway", Flag("default-gateway", .string, "Container default gateway IPv4 address"), .v4, \.defaultBridge.gateway),
        address(
            "default-gateway-v6", Flag("default-gateway-v6", .string, "Container default gateway IPv6 address"), .v6,
            \.defaultBridge.gatewayIPv6),
        bool("ipv6", Flag("ipv6", .bool, "Enable IPv6 networking"), \.defaultBridge.enablesIPv6),
        bool(
            "icc", Flag("icc", .bool, "Enable inter-container communication", default: "true"),
            \.defaultBridge.allowsInterContainerTraffic),
        bool("ip-masq", Flag("ip-masq", .bool, "Enable IP masquerading", default: "true"), \.defaultBridge.masquerades),
    ]

    private static func firewall(_ key: String, _ flag: Flag, _ family: IPAddress.Family) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in
            if try value.bool(of: key) { options.firewallFamilies.insert(family) } else { options.firewallFamilies.remove(family) }
        }
    }

    /// `0x1/0x3`, or a mark alone: then it is the whole mark.
    @Sendable private static func setAcceptedMark(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        let text = try value.text(of: "bridge-accept-fwmark")
        if text.isEmpty { return }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map { GoInteger.unsigned(String($0)) }
        guard let mark = parts[0].flatMap({ UInt32(exactly: $0) }) else { throw OptionError("invalid firewall mark \"\(text)\"") }
        guard let mask = parts.count == 1 ? .max : parts[1].flatMap({ UInt32(exactly: $0) }) else {
            throw OptionError("invalid firewall mask \"\(text)\"")
        }
        options.admission.mark = (mark, mask)
    }

    private static func network(_ key: String, _ flag: Flag, _ family: IPAddress.Family, _ place: any Place<IPPrefix?>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in
            let text = try value.text(of: key)
            guard let prefix = IPPrefix(text), prefix.family == family else { throw OptionError("\(key): invalid CIDR address: \(text)") }
            options[keyPath: place] = prefix.network
        }
    }

    private static func address(_ key: String, _ flag: Flag, _ family: IPAddress.Family, _ place: any Place<IPAddress?>) -> DaemonOption {
        DaemonOption(key: key, flag: flag) { options, value throws(OptionError) in
            let text = try value.text(of: key)
            guard let address = IPAddress(text), address.family == family else { throw OptionError("\(key): invalid IP address: \(text)") }
            options[keyPath: place] = address
        }
    }

    /// `[{"base": "10.10.0.0/16", "size": 24}]` of the file, or `["base=10.10.0.0/16,size=24"]` of the flag.
    @Sendable private static func setPools(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        guard let elements = value.arrayValue else { throw OptionError("default-address-pools: expected an array, found \(value.kind)") }
        options.addressPools = try elements.map { element throws(OptionError) in
            let (base, size) = if let text = element.stringValue { try poolWords(text) } else { try poolMembers(element) }
            guard let prefix = IPPrefix(base) else { throw OptionError("invalid base pool \"\(base)\": invalid CIDR address: \(base)") }
            guard size >= prefix.length, size <= prefix.family.bits - 2 else { throw OptionError("invalid pools size: \(size)") }
            return .init(base: prefix.network, size: size)
        }
    }

    private static func poolMembers(_ value: JSONValue) throws(OptionError) -> (String, Int) {
        var (base, size) = ("", 0)
        for member in try value.object(of: "default-address-pools").members {
            switch member.name.lowercased() {
            case "base": base = try member.value.text(of: "default-address-pools.base")
            case "size":
                guard let number = member.value.intValue else { throw OptionError("default-address-pools.size: expected a number") }
                size = Int(number)
            default: throw OptionError("default-address-pools: unexpected key '\(member.name)'")
            }
        }
        return (base, size)
    }

    private static func poolWords(_ text: String) throws(OptionError) -> (String, Int) {
        func invalid(_ reason: String) -> OptionError {
            OptionError("invalid argument \"\(text)\" for \"--default-address-pool\" flag: \(reason)")
        }
        var (base, size) = ("", 0)
        for field in text.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { $0.lowercased() }
            guard pair.count == 2 else { throw invalid("invalid field '\(field)' must be a key=value pair") }
            switch pair[0] {
            case "base": base = pair[1]
            case "size":
                guard let number = Int(pair[1]) else {
                    throw invalid(
                        "invalid size value: \"\(pair[1])\" (must be integer): strconv.Atoi: parsing \"\(pair[1])\": invalid syntax")
                }
                size = number
            default: throw invalid("unexpected key '\(pair[0])' in '\(field)'")
            }
        }
        return (base, size)
    }

    /// `{"bridge": {"com.docker.network.driver.mtu": "1400"}}` of the file, or `["bridge=com.docker.network.driver.mtu=1400"]` of
    /// the flag.
    @Sendable private static func setNetworkOptions(_ options: inout DaemonOptions, _ value: JSONValue) throws(OptionError) {
        var given: [String: [String: String]] = [:]
        if let texts = value.arrayValue?.compactMap(\.stringValue) {
            for text in texts {
                let parts = text.split(separator: "=", maxSplits: 2).map(String.init)
                guard parts.count == 3 else {
                    throw OptionError("invalid argument \"\(text)\" for \"--default-network-opt\" flag: expected driver=option=value")
                }
                given[parts[0], default: [:]][parts[1]] = parts[2]
            }
        } else {
            for driver in try value.object(of: "default-network-opts").members {
                let key = "default-network-opts.\(driver.name)"
                for member in try driver.value.object(of: key).members {
                    given[driver.name, default: [:]][member.name] = try member.value.text(of: "\(key).\(member.name)")
                }
            }
        }
        do throws(NetworkError) { try NetworkConfiguration.checkBridgeOptions(given["bridge"] ?? [:]) } catch {
            throw OptionError("default-network-opts: \(error)")
        }
        options.defaultNetworkOptions = given
    }
}
