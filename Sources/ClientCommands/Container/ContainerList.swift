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
        let members = ListFormat.isStandard(format) ? ContainerRow.standardMembers : nil
        let containers = try context.get("/containers/json", query, rowMembers: members).arrayValue ?? []
        var list = ListFormat(
            columns: ["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"] + (flags.bool("size") ? ["Size"] : []),
            headers: ContainerRow.headers, quietField: "ID")
        let now = Timestamp.now().seconds
        let rows = containers.map { ContainerRow($0, isTruncated: !flags.bool("no-trunc"), now: now) }
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
struct ContainerRow: ListRow {
    static let headers = [
        "ID": "CONTAINER ID", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT", "RunningFor": "CREATED", "Ports": "PORTS",
        "State": "STATE", "Status": "STATUS", "Size": "SIZE", "Names": "NAMES", "Labels": "LABELS", "Mounts": "MOUNTS",
        "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Reason": "REASON", "Platform": "PLATFORM",
    ]

    /// What the standard columns, and that of the size, are made of.
    static let standardMembers: Set = [
        "Id", "Image", "ImageID", "Command", "Created", "Status", "Reason", "Ports", "Names", "SizeRw", "SizeRootFs",
    ]

    /// All but `Reason`, which is Clipper's own.
    private static let allFields = headers.keys.filter { $0 != "Reason" }.sorted()

    private let container: JSONValue
    private let isTruncated: Bool
    /// Seconds since 1970.
    private let now: Int64

    /// - Parameter container: An element of the answer to `GET /containers/json`.
    init(_ container: JSONValue, isTruncated: Bool, now: Int64) {
        self.container = container
        self.isTruncated = isTruncated
        self.now = now
    }

    var fields: [String] { Self.allFields }

    func text(of field: String) -> String {
        switch field {
        case "ID": Cell.id(string("Id"), truncated: isTruncated)
        case "Image": image
        case "Command": quoted(isTruncated ? DisplayWidth.ellipsis(string("Command"), 20) : string("Command"))
        case "CreatedAt": LocalTime.text(seconds: created)
        case "RunningFor": HumanDuration.text(seconds: now - created) + " ago"
        case "Ports": PortList.text(container["Ports"]?.arrayValue ?? [])
        case "State": string("State")
        case "Status": status
        case "Platform": ListFormat.nothing
        case "Size": size
        case "Names": names
        case "Labels": Self.labels(container["Labels"])
        case "Mounts": mounts.map(mountName).joined(separator: ",")
        case "LocalVolumes": "\(mounts.filter { $0["Driver"]?.stringValue == "local" }.count)"
        case "Networks":
            (container["NetworkSettings"]?["Networks"]?.objectValue?.members.map(\.name).sorted() ?? []).joined(separator: ",")
        default: ""
        }
    }

    private func string(_ member: String) -> String { container[member]?.stringValue ?? "" }

    private var created: Int64 { container["Created"]?.intValue ?? 0 }

    private var mounts: [JSONValue] { container["Mounts"]?.arrayValue ?? [] }

    private func mountName(_ mount: JSONValue) -> String {
        let name = mount["Name"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } ?? mount["Source"]?.stringValue ?? ""
        return isTruncated ? DisplayWidth.ellipsis(name, 15) : name
    }

    /// The daemon's words, and in short why the container stopped: `Exited (137) 2 minutes ago (out of memory)`.
    private var status: String {
        let status = string("Status")
        guard let reason = container["Reason"]?.stringValue, let colon = reason.firstIndex(of: ":") else { return status }
        return "\(status) (\(reason[..<colon]))"
    }

    private var image: String {
        let image = string("Image")
        if image.isEmpty { return "<no image>" }
        guard isTruncated else { return image }
        let id = Cell.id(string("ImageID"))
        if !id.isEmpty && Cell.id(image) == id { return id }
        let (name, tag) = ImagePull.split(image)
        return tag.hasPrefix("sha256:") && !name.isEmpty ? name : image
    }

    /// Names without their slash; those of links (`other/alias`) only in full.
    private var names: String {
        let all = (container["Names"]?.arrayValue ?? []).compactMap {
            $0.stringValue.map { $0.hasPrefix("/") ? String($0.dropFirst()) : $0 }
        }
        return all.filter { !isTruncated || !$0.contains("/") }.joined(separator: ",")
    }

    private var size: String {
        let own = HumanSize.decimal(container["SizeRw"]?.doubleValue ?? 0, precision: 3)
        guard let whole = container["SizeRootFs"]?.doubleValue, whole > 0 else { return own }
        return "\(own) (virtual \(HumanSize.decimal(whole, precision: 3)))"
    }

    static func labels(_ value: JSONValue?) -> String {
        (value?.objectValue?.members ?? []).map { "\($0.name)=\($0.value.stringValue ?? "")" }.sorted().joined(separator: ",")
    }
}
