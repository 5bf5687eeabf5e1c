internal import ClientUI
internal import EngineClient
internal import JSON

// What belongs to a swarm, which the daemon is never part of: it is asked all the same, and what it says is told.
extension Command {
    private static let nouns = [
        "config": "/configs", "node": "/nodes", "secret": "/secrets", "service": "/services", "stack": "/services", "swarm": "/swarm",
    ]

    /// The command of a noun of Docker's Swarm, whatever the verb; nil for other words.
    static func ofSwarm(_ noun: String) -> Command? {
        guard let path = nouns[noun] else { return nil }
        return Command(noun, summary: "Of Docker Swarm", usage: "COMMAND", arity: .any, interspersed: false) { context in
            if noun == "swarm", let verb = context.arguments.first, ["init", "join", "leave", "unlock"].contains(verb) {
                try context.post("/swarm/\(verb)")
            } else {
                _ = try context.get(path)
            }
            throw Failure.notImplemented(([noun] + context.arguments).joined(separator: " "))
        }
    }

    static var pluginList: Command {
        Command(
            "plugin ls", "plugin list", summary: "List plugins", usage: "[OPTIONS]",
            flags: [
                ListFlags.filter("Provide filter values (e.g. \"enabled=true\")"), ListFlags.format,
                ListFlags.quiet("Only display plugin IDs"),
            ]
        ) { context in
            let rows = (try context.get("/plugins", context.filters()).arrayValue ?? []).map { plugin in
                [
                    "ID": plugin["Id"]?.stringValue ?? "", "Name": plugin["Name"]?.stringValue ?? "",
                    "Description": plugin["Config"]?["Description"]?.stringValue ?? "",
                    "Enabled": plugin["Enabled"]?.boolValue == true ? "true" : "false",
                ]
            }
            let headers = ["ID": "ID", "Name": "NAME", "Description": "DESCRIPTION", "Enabled": "ENABLED"]
            let list = ListFormat(columns: ["ID", "Name", "Description", "Enabled"], headers: headers, quietField: "ID")
            try list.print(rows, format: context.listFormat("pluginsFormat"), quiet: context.flags.bool("quiet"), to: context.out)
            return 0
        }
    }
}
