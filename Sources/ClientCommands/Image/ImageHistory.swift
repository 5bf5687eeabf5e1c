internal import ClientUI
internal import JSON
internal import Linux

extension Command {
    static var imageHistory: Command {
        Command(
            "image history", "history", summary: "Show the history of an image", usage: "[OPTIONS] IMAGE", arity: .exactly(1),
            flags: [
                ListFlags.format, Flag("human", "H", .bool, "Print sizes and dates in human readable format", default: "true"),
                ListFlags.noTrunc,
                Flag("platform", .string, "Show history for the given platform"),
                ListFlags.quiet("Only show image IDs"),
            ]
        ) { context in
            let flags = context.flags
            let path = "/images/\(Context.imageSegment(context.arguments[0]))/history"
            let layers = try context.get(path, try PlatformFlag.query(context)).arrayValue ?? []
            let isTruncated = !flags.bool("no-trunc")
            let isHuman = flags.bool("human")
            let now = Timestamp.now().seconds
            let rows = layers.map { layer -> [String: String] in
                let created = layer["Created"]?.intValue ?? 0
                let id = layer["Id"]?.stringValue ?? ""
                let command = String((layer["CreatedBy"]?.stringValue ?? "").map { $0 == "\t" ? " " : $0 })
                let since = created <= Timestamp.never.seconds ? "N/A" : HumanDuration.text(seconds: now - created) + " ago"
                let size = layer["Size"]?.doubleValue ?? 0
                return [
                    "ID": id == "<missing>" ? id : Cell.id(id, truncated: isTruncated),
                    "CreatedAt": LocalTime.short(seconds: created), "CreatedSince": isHuman ? since : LocalTime.short(seconds: created),
                    "CreatedBy": isTruncated ? DisplayWidth.ellipsis(command, 45) : command,
                    "Size": isHuman ? HumanSize.decimal(size, precision: 3) : "\(Int64(size))",
                    "Comment": layer["Comment"]?.stringValue ?? "",
                ]
            }
            var headers = [
                "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE",
                "Comment": "COMMENT",
            ]
            if !isHuman { headers["CreatedSince"] = "CREATED AT" }
            let list = ListFormat(columns: ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"], headers: headers, quietField: "ID")
            try list.print(rows, format: flags.string("format"), quiet: flags.bool("quiet"), to: context.out)
            return 0
        }
    }
}
