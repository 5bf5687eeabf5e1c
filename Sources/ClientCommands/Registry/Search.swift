internal import ClientUI
internal import EngineClient
internal import JSON
internal import OCIImageSpec

extension Command {
    static var search: Command {
        Command(
            "search", summary: "Search Docker Hub for images", usage: "[OPTIONS] TERM", arity: .exactly(1),
            flags: [
                ListFlags.filter(), Flag("format", .string, "Pretty-print search using a Go template"),
                Flag("limit", .int, "Max number of search results"), ListFlags.noTrunc,
            ]
        ) { context in
            let term = context.arguments[0]
            var query = [("term", term)]
            if let limit = context.flags.givenInt("limit"), limit > 0 { query.append(("limit", "\(limit)")) }
            let filters = try context.filterSet()
            if filters["is-automated"] != nil {
                context.printError(
                    "WARNING: the \"is-automated\" filter is deprecated, and searching for \"is-automated=true\" will not yield any "
                        + "results in future.")
            }
            if !filters.isEmpty { query.append(("filters", JSONValue.object(filters).text())) }
            // A term may begin with a registry, as an image's name does.
            let server = (try? ImageReference(term)).map { RegistryAuth.server(of: $0) } ?? RegistryAuth.hub
            let credentials = try context.registryAuth.credentials(server: server)
            let headers = credentials.map { [("X-Registry-Auth", RegistryAuth.header($0))] } ?? []
            let found = try context.client.call(Request("GET", "/images/search", query: query, headers: headers)).arrayValue ?? []
            let (isTruncated, format) = (!context.flags.bool("no-trunc"), context.flags.string("format"))
            let isJSON = ["json", "{{json .}}"].contains(format)
            let rows = found.map { row -> [String: String] in
                let text = oneLine(row["description"]?.stringValue ?? "")
                return [
                    "Name": row["name"]?.stringValue ?? "", "Description": isTruncated ? DisplayWidth.ellipsis(text, 45) : text,
                    "StarCount": "\(row["star_count"]?.intValue ?? 0)", "IsOfficial": mark(row["is_official"] == true, isJSON),
                ]
            }
            let list = ListFormat(
                columns: ["Name", "Description", "StarCount", "IsOfficial"],
                headers: ["Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"],
                quietField: "Name")
            try list.print(rows, format: format, quiet: false, to: context.out)
            return 0
        }
    }

    private static func oneLine(_ text: String) -> String {
        String(text.unicodeScalars.map { $0 == "\r" || $0 == "\n" ? " " : Character($0) })
    }

    private static func mark(_ isOfficial: Bool, _ isJSON: Bool) -> String { isJSON ? "\(isOfficial)" : isOfficial ? "[OK]" : "" }
}
