internal import ClientUI
internal import JSON
internal import Linux

extension Command {
    static var containerList: Command {
        Command(
            "container ls", "container list", "container ps", "ps", summary: "List containers", usage: "[OPTIONS]",
            flags: [
                Flag("all", "a", .bool, "Show all containers (default shows just running)"), ListFlags.filter(), ListFlags.format,
                Flag("last", "n", .int, "Show n last created containers (includes all states)", default: "-1"),
                Flag("latest", "l", .bool, "Show the latest created container (includes all states)"), ListFlags.noTrunc,
                ListFlags.quiet("Only display container IDs"), Flag("size", "s", .bool, "Display total file sizes"),
            ]
        ) { try list($0) }
    }

    private static func list(_ context: Context) throws -> Int32 {
        let flags = context.flags
        let format = context.listFormat("psFormat")
        var query = try context.filters()
        if flags.bool("all") { query.append(("all", "1")) }
        let limit = flags.bool("latest") && flags.int("last") == -1 ? 1 : flags.int("last") ?? -1
        if limit > 0 { query.append(("limit", "\(limit)")) }
        if flags.bool("size") || format.contains(".Size") || format.contains("json .") { query.append(("size", "1")) }
        let containers = try context.get("/containers/json", query).arrayValue ?? []
        let isTruncated = !flags.bool("no-trunc")
        let now = Timestamp.now().seconds
        let rows = containers.map { ContainerRow.fields($0, isTruncated: isTruncated, now: now) }
        var list = ListFormat(
            columns: ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"] + (flags.bool("size") ? ["Size"] : []),
            headers: ContainerRow.headers, quietField: "ID")
        list.methods = { index, name, arguments in
            // Clipper's own: why a container stopped. Not a field, which Docker's JSON would not have.
            if name == "Reason", arguments.isEmpty { return .string(containers[index]["Reason"]?.stringValue ?? "") }
            guard name == "Label", let key = arguments.first?.stringValue else { return nil }
            return .string(containers[index]["Labels"]?[key]?.stringValue ?? "")
        }
        try list.print(rows, format: format, quiet: flags.bool("quiet"), to: context.out)
        return 0
    }
}

/// A container as a row of `ps`.
enum ContainerRow {
    static let headers = [
        "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT", "RunningFor": "CREATED", "Ports": "PORTS",
        "State": "STATE", "Status": "STATUS", "Size": "SIZE", "Names": "NAMES", "Labels": "LABELS", "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Reason": "REASON", "Platform": "PLATFORM",
    ]

    static func fields(_ container: JSONValue, isTruncated: Bool, now: Int64) -> [String: String] {
        let created = container["Created"]?.intValue ?? 0
        let command = container["Command"]?.stringValue ?? ""
        let mounts = container["Mounts"]?.arrayValue ?? []
        return [
            "ID": Cell.id(container["Id"]?.stringValue ?? "", truncated: isTruncated),
            "Image": image(container, isTruncated),
            "Command": quoted(isTruncated ? Cell.ellipsis(command, 20) : command),
            "CreatedAt": LocalTime.text(seconds: created),
            "RunningFor": HumanDuration.text(seconds: now - created) + " ago",
            "Ports": PortList.text(container["Ports"]?.arrayValue ?? []),
            "State": container["State"]?.stringValue ?? "",
            "Status": status(container), "Platform": ListFormat.nothing,
            "Size": size(container),
            "Names": names(container, isTruncated),
            "Labels": labels(container["Labels"]),
            "Mounts": mounts.map { mount in
                let name = mount["Name"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? mount["Source"]?.stringValue ?? ""
                return isTruncated ? Cell.ellipsis(name, 15) : name
            }.joined(separator: ","),
            "LocalVolumes": "\(mounts.filter { $0["Driver"]?.stringValue == "local" }.count)",
            "Networks": (container["NetworkSettings"]?["Networks"]?.objectValue?.members.map(\.name).sorted() ?? []).joined(separator: ","),
        ]
    }

    /// The daemon's words, and in short why the container stopped: `Exited (137) 2 minutes ago (out of memory)`.
    private static func status(_ container: JSONValue) -> String {
        let status = container["Status"]?.stringValue ?? ""
        guard let reason = container["Reason"]?.stringValue, let colon = reason.firstIndex(of: ":") else { return status }
        return "\(status) (\(reason[..<colon]))"
    }

    private static func image(_ container: JSONValue, _ isTruncated: Bool) -> String {
        let image = container["Image"]?.stringValue ?? ""
        if image.isEmpty { return "<no image>" }
        guard isTruncated else { return image }
        let id = Cell.id(container["ImageID"]?.stringValue ?? "")
        if !id.isEmpty && Cell.id(image) == id { return id }
        let (name, tag) = ImagePull.split(image)
        return tag.hasPrefix("sha256:") && !name.isEmpty ? name : image
    }

    /// Names without their slash; those of links (`other/alias`) only in full.
    private static func names(_ container: JSONValue, _ isTruncated: Bool) -> String {
        let all = (container["Names"]?.arrayValue ?? []).compactMap {
            $0.stringValue.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 }
        }
        return all.filter { !isTruncated || !$0.contains("/") }.joined(separator: ",")
    }

    private static func size(_ container: JSONValue) -> String {
        let own = HumanSize.decimal(container["SizeRw"]?.doubleValue ?? 0, precision: 3)
        guard let whole = container["SizeRootFs"]?.doubleValue, whole > 0 else { return own }
        return "\(own) (virtual \(HumanSize.decimal(whole, precision: 3)))"
    }

    static func labels(_ value: JSONValue?) -> String {
        (value?.objectValue?.members ?? []).map { "\($0.name)=\($0.value.stringValue ?? "")" }.sorted().joined(separator: ",")
    }
}
