internal import ClientUI
internal import EngineClient
internal import JSON
internal import OCIImageSpec

extension Command {
    static var search: Command {
        Command(
            "search", summary: "Search Docker Hub for images", usage: "[OPTIONS] TERM", arity: .exactly(1),
            flags: [
                ListFlags.filter(), ListFlags.format, Flag("limit", .int, "Max number of search results"), ListFlags.noTrunc,
            ]
        ) { context in
            let term = context.arguments[0]
            var query = [("term", term)]
            if let limit = context.flags.givenInt("limit") { query.append(("limit", "\(limit)")) }
            query += try context.filters()
            // A term may begin with a registry, as an image's name does.
            let server = (try? ImageReference(term)).map { RegistryAuth.server(of: $0) } ?? RegistryAuth.hub
            let credentials = try context.registryAuth.credentials(server: server)
            let headers = credentials.map { [("X-Registry-Auth", RegistryAuth.header($0))] } ?? []
            let found = try context.client.call(Request("GET", "/images/search", query: query, headers: headers)).arrayValue ?? []
            let isTruncated = !context.flags.bool("no-trunc")
            let rows = found.map { row -> [String: String] in
                let text = String((row["description"]?.stringValue ?? "").map { $0.isNewline ? " " : $0 })
                return [
                    "Name": row["name"]?.stringValue ?? "", "Description": isTruncated ? Cell.ellipsis(text, 45) : text,
                    "StarCount": "\(row["star_count"]?.intValue ?? 0)", "IsOfficial": row["is_official"] == true ? "[OK]" : "",
                    "IsAutomated": row["is_automated"] == true ? "[OK]" : "",
                ]
            }
            let list = ListFormat(
                columns: ["Name", "Description", "StarCount", "IsOfficial"],
                headers: [
                    "Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL",
                    "IsAutomated": "AUTOMATED",
                ], quietField: "Name")
            try list.print(rows, format: context.flags.string("format"), quiet: false, to: context.out)
            return 0
        }
    }
}
