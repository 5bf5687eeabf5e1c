internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux

/// `system df -v`: what each image, container, volume and record of the build cache takes.
struct DiskUsageDetails {
    private let usage: JSONValue
    private let context: Context
    private let now = Timestamp.now().seconds

    init(_ usage: JSONValue, _ context: Context) {
        self.usage = usage
        self.context = context
    }

    private func items(_ name: String) -> [JSONValue] { usage[name]?.arrayValue ?? [] }

    func show() throws -> Int32 {
        let format = context.flags.string("format")
        if !format.isEmpty && format != "table" {
            let document = JSONValue.object(
                JSONObject(
                    [("Images", images), ("Containers", containers), ("Volumes", volumes), ("BuildCache", buildCache)].map { name, rows in
                        JSONObject.Member(name: name, value: .array(rows.map(ListFormat.document)))
                    }))
            // A template says itself where lines end, as with Docker.
            if format == "json" {
                context.print(document.text())
            } else {
                context.out.write(try Template(ListFormat.unescaped(format)).render(document))
            }
            return 0
        }
        try section(
            "Images space usage:", ["Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers"], images)
        try section(
            "Containers space usage:", ["ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names"], containers)
        try section("Local Volumes space usage:", ["Name", "Links", "Size"], volumes)
        let cacheSize = items("BuildCache").reduce(0) { $0 + ($1["Size"]?.doubleValue ?? 0) }
        try section(
            "Build cache usage: \(HumanSize.decimal(cacheSize))",
            ["ID", "CacheType", "Size", "CreatedSince", "LastUsedSince", "UsageCount", "Shared"], buildCache)
        return try showPlaces()
    }

    /// Where every byte is, which Clipper's daemon alone tells: logs and work in flight among it.
    private func showPlaces() throws -> Int32 {
        let answer: JSONValue
        do { answer = try context.get("/system/usage") } catch let error as ClientError where error.status == 404 { return 0 }
        let places = answer.arrayValue ?? []
        let rows = places.map { place in
            [
                "Place": place["Place"]?.stringValue ?? "", "Files": "\(place["Files"]?.intValue ?? 0)",
                "Size": HumanSize.decimal(place["Size"]?.doubleValue ?? 0), "Path": place["Path"]?.stringValue ?? "",
            ]
        }
        let total = places.reduce(0) { $0 + ($1["Size"]?.doubleValue ?? 0) }
        context.print("")
        try section("Disk space by place: \(HumanSize.decimal(total))", ["Place", "Files", "Size", "Path"], rows)
        return 0
    }

    private static let headers = [
        "Repository": "REPOSITORY", "Tag": "TAG", "CreatedSince": "CREATED", "Size": "SIZE", "SharedSize": "SHARED SIZE",
        "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS", "Image": "IMAGE", "Command": "COMMAND", "LocalVolumes": "LOCAL VOLUMES",
        "RunningFor": "CREATED", "Status": "STATUS", "Names": "NAMES", "Name": "VOLUME NAME", "Links": "LINKS", "CacheType": "CACHE TYPE",
        "Place": "PLACE", "Files": "FILES", "Path": "PATH", "LastUsedSince": "LAST USED", "UsageCount": "USAGE", "Shared": "SHARED",
    ]

    private func section(_ title: String, _ columns: [String], _ rows: [[String: String]]) throws {
        let kind = columns.contains("Repository") ? "IMAGE ID" : columns.contains("CacheType") ? "CACHE ID" : "CONTAINER ID"
        let list = ListFormat(columns: columns, headers: Self.headers.merging(["ID": kind]) { $1 }, quietField: "ID")
        context.print("\(title)\n")
        try list.print(rows, format: "", quiet: false, to: context.out)
        if !columns.contains("CacheType") && !columns.contains("Place") { context.print("") }
    }

    private var images: [[String: String]] {
        items("Images").flatMap { image -> [[String: String]] in
            let shared = image["SharedSize"]?.doubleValue ?? 0
            let unique = max(0, (image["Size"]?.doubleValue ?? 0) - max(0, shared))
            return ImageRow.rows(image, tagDigests: false, ownRows: false, isTruncated: true, now: now).prefix(1).map {
                $0.merging([
                    "SharedSize": HumanSize.decimal(max(0, shared)), "UniqueSize": HumanSize.decimal(unique),
                    "Containers": "\(max(0, image["Containers"]?.intValue ?? 0))",
                ]) { $1 }
            }
        }
    }

    private var containers: [[String: String]] {
        items("Containers").map { container in
            let shown = ContainerRow(container, isTruncated: true, now: now)
            var row = Dictionary(uniqueKeysWithValues: shown.fields.map { ($0, shown.text(of: $0)) })
            row["Size"] = HumanSize.decimal(container["SizeRw"]?.doubleValue ?? 0, precision: 3)
            return row
        }
    }

    private var volumes: [[String: String]] {
        items("Volumes").map { volume in
            [
                "Name": volume["Name"]?.stringValue ?? "", "Links": "\(volume["UsageData"]?["RefCount"]?.intValue ?? 0)",
                "Size": HumanSize.decimal(volume["UsageData"]?["Size"]?.doubleValue ?? 0),
            ]
        }
    }

    private var buildCache: [[String: String]] {
        items("BuildCache").map { record in
            func since(_ name: String) -> String {
                guard let text = record[name]?.stringValue, let moment = Timestamp(text) else { return "" }
                return HumanDuration.text(seconds: now - moment.seconds) + " ago"
            }
            return [
                "ID": Cell.id(record["ID"]?.stringValue ?? ""), "CacheType": record["Type"]?.stringValue ?? "",
                "Size": HumanSize.decimal(record["Size"]?.doubleValue ?? 0), "CreatedSince": since("CreatedAt"),
                "LastUsedSince": since("LastUsedAt"), "UsageCount": "\(record["UsageCount"]?.intValue ?? 0)",
                "Shared": "\(record["Shared"]?.boolValue ?? false)",
            ]
        }
    }
}
