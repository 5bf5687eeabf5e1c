internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import JSON

extension Command {
    static var networkCreate: Command {
        Command(
            "network create", summary: "Create a network", usage: "[OPTIONS] NETWORK", arity: .exactly(1),
            flags: [
                Flag("attachable", .bool, "Enable manual container attachment"),
                Flag("aux-address", .map, "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
                Flag("config-from", .string, "The network from which to copy the configuration"),
                Flag("config-only", .bool, "Create a configuration only network"),
                Flag("driver", "d", .string, "Driver to manage the Network", default: "bridge"),
                Flag("gateway", .commaList, "IPv4 or IPv6 Gateway for the master subnet"),
                Flag("ingress", .bool, "Create swarm routing-mesh network"),
                Flag("internal", .bool, "Restrict external access to the network"),
                Flag("ip-range", .commaList, "Allocate container ip from a sub-range"),
                Flag("ipam-driver", .string, "IP Address Management Driver", default: "default"),
                Flag("ipam-opt", .map, "Set IPAM driver specific options"),
                Flag("ipv4", .bool, "Enable or disable IPv4 address assignment"),
                Flag("ipv6", .bool, "Enable or disable IPv6 address assignment"),
                Flag("label", .list, "Set metadata on a network"), Flag("opt", "o", .map, "Set driver specific options"),
                Flag("scope", .string, "Control the network's scope"),
                Flag("subnet", .commaList, "Subnet in CIDR format that represents a network segment"),
            ]
        ) { context in
            let flags = context.flags
            var request = NetworkCreateRequest()
            request.Name = context.arguments[0]
            request.Driver = flags.string("driver")
            request.Scope = flags.given("scope")
            request.Internal = flags.givenBool("internal")
            request.Attachable = flags.givenBool("attachable")
            request.Ingress = flags.givenBool("ingress")
            request.ConfigOnly = flags.givenBool("config-only")
            request.ConfigFrom = flags.given("config-from").map { ConfigReference(Network: $0) }
            request.EnableIPv4 = flags.givenBool("ipv4")
            request.EnableIPv6 = flags.givenBool("ipv6")
            if flags.has("opt") { request.Options = flags.pairs("opt") }
            if flags.has("label") { request.Labels = flags.pairs("label") }
            let pools = try NetworkPools.parse(flags)
            if !pools.isEmpty || flags.has("ipam-driver") || flags.has("ipam-opt") {
                request.IPAM = IPAM(
                    Driver: flags.string("ipam-driver"), Options: flags.has("ipam-opt") ? flags.pairs("ipam-opt") : nil,
                    Config: pools.isEmpty ? nil : pools)
            }
            let answer = try context.post("/networks/create", [], .json(try JSON.value(request)))
            if let warning = answer["Warning"]?.stringValue, !warning.isEmpty { context.printError("WARNING: \(warning)") }
            context.print(answer["Id"]?.stringValue ?? "")
            return 0
        }
    }
}

/// `--subnet`, `--ip-range`, `--gateway` and `--aux-address`, each put to the subnet it lies in.
enum NetworkPools {
    static func parse(_ flags: FlagValues) throws -> [IPAMConfig] {
        let subnets = flags.list("subnet")
        if subnets.isEmpty {
            guard flags.list("ip-range").isEmpty && flags.list("gateway").isEmpty || subnets.count > 0 else {
                throw Failure("every ip-range or gateway must have a corresponding subnet")
            }
            return []
        }
        var pools = subnets.map { IPAMConfig(Subnet: $0) }
        func index(of address: String, _ what: String) throws -> Int {
            guard let found = try subnets.firstIndex(where: { try AddressRange($0).contains(address) }) else {
                throw Failure("no matching subnet for \(what)\(address)")
            }
            return found
        }
        for range in flags.list("ip-range") {
            let found = try index(of: String(range.prefix { $0 != "/" }), "range ")
            guard pools[found].IPRange == nil else {
                throw Failure(
                    "cannot configure multiple ranges (\(range), \(pools[found].IPRange ?? "")) on the same subnet (\(subnets[found]))")
            }
            pools[found].IPRange = range
        }
        for gateway in flags.list("gateway") {
            let found = try index(of: gateway, "gateway ")
            guard pools[found].Gateway == nil else {
                throw Failure(
                    "cannot configure multiple gateways (\(gateway), \(pools[found].Gateway ?? "")) for the same subnet (\(subnets[found]))"
                )
            }
            pools[found].Gateway = gateway
        }
        for (name, address) in flags.pairs("aux-address") {
            let found = try index(of: address, "aux-address ")
            pools[found].AuxiliaryAddresses = (pools[found].AuxiliaryAddresses ?? [:]).merging([name: address]) { $1 }
        }
        return pools
    }
}
