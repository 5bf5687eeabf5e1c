internal import ClientUI
internal import EngineClient
internal import JSON

extension Command {
    static var systemEvents: Command {
        Command(
            "system events", "events", summary: "Get real time events from the server", usage: "[OPTIONS]",
            flags: [
                ListFlags.filter(), ListFlags.format, Flag("since", .string, "Show all events created since timestamp"),
                Flag("until", .string, "Stream events until this timestamp"),
            ]
        ) { context in
            let format = context.flags.string("format")
            let template = format.isEmpty || format == "json" ? nil : try Template(ListFormat.unescaped(format))
            var query = try context.filters()
            for name in ["since", "until"] where context.flags.has(name) {
                query.append((name, try Moment.text(context.flags.string(name), flag: nil)))
            }
            let response = try context.client.send(Request("GET", "/events", query: query))
            try MessageStream.forEach(response) { event in
                let text = try template?.render(event, methods: { name, _ in emptyFields[name] }, names: fieldNames, showsMissing: true)
                context.print(text ?? (format == "json" ? event.text() : line(event)))
                context.out.flush()
            }
            return 0
        }
    }

    /// What Go's structure calls an event's members, and what it has where an event has none.
    private static let fieldNames = [
        "Status": "status", "ID": "id", "From": "from", "Scope": "scope", "Time": "time", "TimeNano": "timeNano",
    ]
    private static let emptyFields: [String: JSONValue] = ["Status": "", "ID": "", "From": "", "Scope": "", "Time": 0, "TimeNano": 0]

    /// `2026-11-23T22:00:00.000000000Z container start <id> (image=x, name=y)`
    private static func line(_ event: JSONValue) -> String {
        let moment = LocalTime.precise(nanoseconds: event["timeNano"]?.intValue ?? (event["time"]?.intValue ?? 0) * 1_000_000_000)
        let actor = event["Actor"]
        let attributes = (actor?["Attributes"]?.objectValue?.members ?? []).map { "\($0.name)=\($0.value.stringValue ?? "")" }.sorted()
        let head = "\(moment) \(event["Type"]?.stringValue ?? "") \(event["Action"]?.stringValue ?? "") \(actor?["ID"]?.stringValue ?? "")"
        return attributes.isEmpty ? head : "\(head) (\(attributes.joined(separator: ", ")))"
    }
}
