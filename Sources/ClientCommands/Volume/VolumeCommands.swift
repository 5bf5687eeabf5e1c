internal import ClientUI
internal import EngineClient
internal import EngineTypes
internal import JSON

extension Command {
    static var volumeCreate: Command {
        let cluster = [
            "availability", "group", "limit-bytes", "required-bytes", "scope", "secret", "sharing", "topology-preferred",
            "topology-required", "type",
        ]
        return Command(
            "volume create", summary: "Create a volume", usage: "[OPTIONS] [VOLUME]", arity: .atMost(1),
            flags: [
                Flag("driver", "d", .string, "Specify volume driver name", default: "local"),
                Flag("label", .list, "Set metadata for a volume"),
                Flag("name", .string, "Specify volume name", hidden: true), Flag("opt", "o", .map, "Set driver specific options"),
            ] + cluster.map { Flag($0, .string, "Of cluster volumes", hidden: true) }
        ) { context in
            for flag in cluster where context.flags.has(flag) { throw Failure.notImplemented("--\(flag) (cluster volumes)") }
            var request = VolumeCreateRequest()
            request.Name = context.arguments.first ?? context.flags.given("name")
            request.Driver = context.flags.string("driver")
            if context.flags.has("opt") { request.DriverOpts = context.flags.pairs("opt") }
            if context.flags.has("label") { request.Labels = context.flags.pairs("label") }
            context.print(try context.post("/volumes/create", [], .json(try JSON.value(request)))["Name"]?.stringValue ?? "")
            return 0
        }
    }

    static var volumeList: Command {
        Command(
            "volume ls", "volume list", summary: "List volumes", usage: "[OPTIONS]",
            flags: [
                ListFlags.filter("Provide filter values (e.g. \"dangling=true\")"), ListFlags.format,
                ListFlags.quiet("Only display volume names"),
                Flag("cluster", .bool, "Display only cluster volumes, and use cluster volume list formatting", hidden: true),
            ]
        ) { context in
            if context.flags.has("cluster") { throw Failure.notImplemented("--cluster (cluster volumes)") }
            let volumes = (try context.get("/volumes", context.filters())["Volumes"]?.arrayValue ?? [])
                .sorted { ($0["Name"]?.stringValue ?? "") < ($1["Name"]?.stringValue ?? "") }
            let rows = volumes.map { volume in
                let usage = volume["UsageData"]
                return [
                    "Availability": "N/A", "Group": "N/A", "Status": "N/A", "Driver": volume["Driver"]?.stringValue ?? "",
                    "Name": volume["Name"]?.stringValue ?? "",
                    "Scope": volume["Scope"]?.stringValue ?? "",
                    "Mountpoint": volume["Mountpoint"]?.stringValue ?? "", "Labels": ContainerRow.labels(volume["Labels"]),
                    "Links": usage?["RefCount"]?.intValue.map { "\($0)" } ?? "N/A",
                    "Size": usage?["Size"]?.doubleValue.map { HumanSize.decimal($0) } ?? "N/A",
                ]
            }
            let headers = [
                "Driver": "DRIVER", "Name": "VOLUME NAME", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
                "Links": "LINKS", "Size": "SIZE", "Availability": "AVAILABILITY", "Group": "GROUP", "Status": "STATUS",
            ]
            var list = ListFormat(columns: ["Driver", "Name"], headers: headers, quietField: "Name")
            list.methods = { index, name, arguments in
                guard name == "Label", let key = arguments.first?.stringValue else { return nil }
                return .string(volumes[index]["Labels"]?[key]?.stringValue ?? "")
            }
            try list.print(rows, format: context.listFormat("volumesFormat"), quiet: context.flags.bool("quiet"), to: context.out)
            return 0
        }
    }

    static var volumeRemove: Command {
        Command(
            "volume rm", "volume remove", summary: "Remove one or more volumes", usage: "[OPTIONS] VOLUME [VOLUME...]", arity: .atLeast(1),
            flags: [Flag("force", "f", .bool, "Force the removal of one or more volumes")]
        ) { context in
            let query = context.flags.bool("force") ? [("force", "1")] : []
            return context.forEach(context.arguments) { name in
                try context.delete("/volumes/\(Context.segment(name))", query)
                context.print(name)
            }
        }
    }

    static var volumePrune: Command {
        Command(
            "volume prune", summary: "Remove unused local volumes", usage: "[OPTIONS]",
            flags: [Flag("all", "a", .bool, "Remove all unused volumes, not just anonymous ones")]
                + Prune.flags("Provide filter values (e.g. \"label=<label>\")")
        ) { context in
            var filters = JSONObject()
            for (_, text) in try context.filters() { filters = try JSONValue(parsing: text).objectValue ?? filters }
            if context.flags.bool("all") { filters["all"] = ["true": true] }
            let kind = context.flags.bool("all") ? "all" : "anonymous"
            return try Prune.run(
                context, "/volumes/prune", query: filters.isEmpty ? [] : [("filters", JSONValue.object(filters).text())],
                warning: "This will remove \(kind) local volumes not used by at least one container.", title: "Deleted Volumes",
                member: "VolumesDeleted")
        }
    }
}
