internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import JSON

extension Command {
    /// RFC 3339 as Go prints a time: `2026-11-23 22:18:00.616054039 +0000 UTC`.
    private static func moment(_ text: String) -> String {
        guard text.hasSuffix("Z"), let separator = text.firstIndex(of: "T") else { return text }
        return "\(text[..<separator]) \(text[text.index(after: separator)...].dropLast()) +0000 UTC"
    }

    static var networkList: Command {
        Command(
            "network ls", "network list", summary: "List networks", usage: "[OPTIONS]",
            flags: [
                ListFlags.filter("Provide filter values (e.g. \"driver=bridge\")"), ListFlags.format, ListFlags.noTrunc,
                ListFlags.quiet("Only display network IDs"),
            ]
        ) { context in
            let networks = (try context.get("/networks", context.filters()).arrayValue ?? [])
                .sorted { ($0["Name"]?.stringValue ?? "") < ($1["Name"]?.stringValue ?? "") }
            let isTruncated = !context.flags.bool("no-trunc")
            let rows = networks.map { network in
                [
                    "ID": Cell.id(network["Id"]?.stringValue ?? "", truncated: isTruncated), "Name": network["Name"]?.stringValue ?? "",
                    "Driver": network["Driver"]?.stringValue ?? "", "Scope": network["Scope"]?.stringValue ?? "",
                    "IPv4": "\(network["EnableIPv4"]?.boolValue ?? false)", "IPv6": "\(network["EnableIPv6"]?.boolValue ?? false)",
                    "Internal": "\(network["Internal"]?.boolValue ?? false)", "Labels": ContainerRow.labels(network["Labels"]),
                    "CreatedAt": Self.moment(network["Created"]?.stringValue ?? ""),
                ]
            }
            let headers = [
                "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv4": "IPV4", "IPv6": "IPV6",
                "Internal": "INTERNAL", "Labels": "LABELS",
                "CreatedAt": "CREATED AT",
            ]
            var list = ListFormat(columns: ["ID", "Name", "Driver", "Scope"], headers: headers, quietField: "ID")
            list.methods = { index, name, arguments in
                guard name == "Label", let key = arguments.first?.stringValue else { return nil }
                return .string(networks[index]["Labels"]?[key]?.stringValue ?? "")
            }
            try list.print(rows, format: context.listFormat("networksFormat"), quiet: context.flags.bool("quiet"), to: context.out)
            return 0
        }
    }

    static var networkRemove: Command {
        Command(
            "network rm", "network remove", summary: "Remove one or more networks", usage: "NETWORK [NETWORK...]", arity: .atLeast(1),
            flags: [Flag("force", "f", .bool, "Do not error if the network does not exist")]
        ) { context in
            context.forEach(context.arguments) { name in
                do { try context.delete("/networks/\(Context.segment(name))") } catch ClientError.api(404, _)
                    where context.flags.bool("force")
                { return }
                context.print(name)
            }
        }
    }

    static var networkPrune: Command {
        Command(
            "network prune", summary: "Remove all unused networks", usage: "[OPTIONS]",
            flags: Prune.flags("Provide filter values (e.g. \"until=<timestamp>\")")
        ) { context in
            try Prune.run(
                context, "/networks/prune", warning: "This will remove all custom networks not used by at least one container.",
                title: "Deleted Networks",
                member: "NetworksDeleted", reclaims: false)
        }
    }

    static var networkConnect: Command {
        Command(
            "network connect", summary: "Connect a container to a network", usage: "[OPTIONS] NETWORK CONTAINER", arity: .exactly(2),
            flags: [
                Flag("alias", .commaList, "Add network-scoped alias for the container"),
                Flag("driver-opt", .commaList, "driver options for the network"),
                Flag("gw-priority", .int, "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
                Flag("ip", .string, "IPv4 address (e.g., \"172.30.100.104\")"),
                Flag("ip6", .string, "IPv6 address (e.g., \"2001:db8::33\")"),
                Flag("link", .list, "Add link to another container"),
                Flag("link-local-ip", .commaList, "Add a link-local address for the container"),
            ]
        ) { context in
            let flags = context.flags
            var endpoint = EndpointSettings()
            if flags.has("alias") { endpoint.Aliases = flags.list("alias") }
            if flags.has("driver-opt") { endpoint.DriverOpts = flags.pairs("driver-opt") }
            endpoint.GwPriority = flags.givenInt("gw-priority").map { Int($0) }
            if flags.has("link") { endpoint.Links = flags.list("link") }
            if flags.has("ip") || flags.has("ip6") || flags.has("link-local-ip") {
                var addresses = EndpointIPAMConfig()
                addresses.IPv4Address = flags.given("ip")
                addresses.IPv6Address = flags.given("ip6")
                if flags.has("link-local-ip") { addresses.LinkLocalIPs = flags.list("link-local-ip") }
                endpoint.IPAMConfig = addresses
            }
            var request = NetworkConnectRequest()
            request.Container = context.arguments[1]
            request.EndpointConfig = endpoint
            try context.post("/networks/\(Context.segment(context.arguments[0]))/connect", [], .json(try JSON.value(request)))
            return 0
        }
    }

    static var networkDisconnect: Command {
        Command(
            "network disconnect", summary: "Disconnect a container from a network", usage: "[OPTIONS] NETWORK CONTAINER",
            arity: .exactly(2),
            flags: [Flag("force", "f", .bool, "Force the container to disconnect from a network")]
        ) { context in
            var request = NetworkDisconnectRequest()
            request.Container = context.arguments[1]
            request.Force = context.flags.bool("force")
            try context.post("/networks/\(Context.segment(context.arguments[0]))/disconnect", [], .json(try JSON.value(request)))
            return 0
        }
    }
}
