internal import ClientUI
internal import JSON
internal import Linux

extension Command {
    static var imageList: Command {
        Command(
            "image ls", "image list", "images", summary: "List images", usage: "[OPTIONS] [REPOSITORY[:TAG]]", arity: .atMost(1),
            flags: [
                Flag("all", "a", .bool, "Show all images (default hides intermediate images)"), Flag("digests", .bool, "Show digests"),
                ListFlags.filter(), ListFlags.format, ListFlags.noTrunc, ListFlags.quiet("Only show image IDs"),
                Flag("tree", .bool, "List multi-platform images as a tree (EXPERIMENTAL)", hidden: true),
            ]
        ) { context in
            let flags = context.flags
            if flags.bool("tree") { throw Failure.notImplemented("--tree") }
            var filters = try context.filterSet()
            if let reference = context.arguments.first {
                var set = filters["reference"]?.objectValue ?? JSONObject()
                set[reference] = true
                filters["reference"] = .object(set)
            }
            var query = filters.isEmpty ? [] : [("filters", JSONValue.object(filters).text())]
            if flags.bool("all") { query.append(("all", "1")) }
            let images = try context.get("/images/json", query).arrayValue ?? []
            let now = Timestamp.now().seconds
            let (digests, isTruncated) = (flags.bool("digests"), !flags.bool("no-trunc"))
            var format = context.listFormat("imagesFormat")
            let isShown = format.contains("{{.Digest}}")
            if digests && !isShown && format.hasPrefix("table ") { format += "\t{{.Digest}}" }
            let rows = images.flatMap {
                ImageRow.rows($0, tagDigests: digests || isShown, ownRows: digests, isTruncated: isTruncated, now: now)
            }
            let columns = ["Repository", "Tag"] + (digests ? ["Digest"] : []) + ["ID", "CreatedSince", "Size"]
            let list = ListFormat(columns: columns, headers: ImageRow.headers, quietField: "ID")
            try list.print(rows, format: format, quiet: flags.bool("quiet"), to: context.out)
            return 0
        }
    }
}

/// An image as rows of `images`: one for each name it has.
enum ImageRow {
    static let headers = [
        "ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED",
        "CreatedAt": "CREATED AT",
        "Size": "SIZE", "VirtualSize": "SIZE", "SharedSize": "SHARED SIZE", "UniqueSize": "UNIQUE SIZE", "Containers": "CONTAINERS",
    ]

    /// - Parameters:
    ///   - tagDigests: a tag has a row for each digest of its repository.
    ///   - ownRows: so has a repository without a tag; else it has one row.
    static func rows(_ image: JSONValue, tagDigests: Bool, ownRows: Bool, isTruncated: Bool, now: Int64) -> [[String: String]] {
        let created = image["Created"]?.intValue ?? 0
        func number(_ key: String) -> String {
            guard let value = image[key]?.intValue, value >= 0 else { return "N/A" }
            return key == "Containers" ? "\(value)" : HumanSize.decimal(Double(value), precision: 3)
        }
        let size = HumanSize.decimal(image["Size"]?.doubleValue ?? 0, precision: 3)
        let base = [
            "ID": Cell.id(image["Id"]?.stringValue ?? "", truncated: isTruncated),
            "CreatedSince": HumanDuration.text(seconds: now - created) + " ago",
            "CreatedAt": LocalTime.text(seconds: created), "Size": size, "VirtualSize": HumanSize.decimal(image["Size"]?.doubleValue ?? 0),
            "SharedSize": number("SharedSize"),
            "UniqueSize": "N/A",
            "Containers": number("Containers"),
        ]
        return names(image, tagDigests, ownRows).map { name in
            base.merging(["Repository": name.repository, "Tag": name.tag, "Digest": name.digest]) { $1 }
        }
    }

    private typealias Name = (repository: String, tag: String, digest: String)

    private static func names(_ image: JSONValue, _ tagDigests: Bool, _ ownRows: Bool) -> [Name] {
        let tags = (image["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue).filter { $0 != "<none>:<none>" }.map(ImagePull.split)
        let known = (image["RepoDigests"]?.arrayValue ?? []).compactMap(\.stringValue).filter { $0 != "<none>@<none>" }.map(ImagePull.split)
        var result: [Name] = []
        for tag in tags {
            let own = tagDigests ? known.filter { $0.name == tag.name } : []
            result += own.isEmpty ? [(tag.name, tag.tag, "<none>")] : own.map { (tag.name, tag.tag, $0.tag) }
        }
        for digest in known where !tags.contains(where: { $0.name == digest.name }) {
            if ownRows { result.append((digest.name, "<none>", digest.tag)) }
            if !ownRows && !result.contains(where: { $0.repository == digest.name }) { result.append((digest.name, "<none>", "<none>")) }
        }
        return result.isEmpty ? [("<none>", "<none>", "<none>")] : result
    }
}
