internal import ClientUI
internal import EngineClient
internal import JSON

// Commands that move containers from one state to another: one call each, for each name.

extension Command {
    private static let timeFlags = [
        Flag("signal", "s", .string, "Signal to send to the container"),
        Flag("time", .int, "Seconds to wait before killing the container", hidden: true),
        Flag("timeout", "t", .int, "Seconds to wait before killing the container"),
    ]

    private static func stopQuery(_ context: Context) -> [(String, String)] {
        var query: [(String, String)] = []
        if let seconds = context.flags.given("timeout") ?? context.flags.given("time") { query.append(("t", seconds)) }
        if let signal = context.flags.given("signal") { query.append(("signal", signal)) }
        return query
    }

    private static func each(_ context: Context, _ action: String, _ query: [(String, String)] = []) -> Int32 {
        context.forEach(context.arguments) { name in
            try context.post("/containers/\(Context.segment(name))/\(action)", query)
            context.print(name)
        }
    }

    static var containerStop: Command {
        Command(
            "container stop", "stop", summary: "Stop one or more running containers", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1), flags: timeFlags
        ) { each($0, "stop", stopQuery($0)) }
    }

    static var containerRestart: Command {
        Command(
            "container restart", "restart", summary: "Restart one or more containers", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1), flags: timeFlags
        ) { each($0, "restart", stopQuery($0)) }
    }

    static var containerKill: Command {
        Command(
            "container kill", "kill", summary: "Kill one or more running containers", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1), flags: [Flag("signal", "s", .string, "Signal to send to the container")]
        ) { each($0, "kill", $0.flags.given("signal").map { [("signal", $0)] } ?? []) }
    }

    static var containerPause: Command {
        Command(
            "container pause", "pause", summary: "Pause all processes within one or more containers", usage: "CONTAINER [CONTAINER...]",
            arity: .atLeast(1)
        ) { each($0, "pause") }
    }

    static var containerUnpause: Command {
        Command(
            "container unpause", "unpause", summary: "Unpause all processes within one or more containers",
            usage: "CONTAINER [CONTAINER...]",
            arity: .atLeast(1)
        ) { each($0, "unpause") }
    }

    static var containerRename: Command {
        Command("container rename", "rename", summary: "Rename a container", usage: "CONTAINER NEW_NAME", arity: .exactly(2)) { context in
            let newName = context.arguments[1].trimmed
            if context.arguments[0].trimmed.isEmpty || newName.isEmpty { throw Failure("Error: Neither old nor new names may be empty") }
            do { try context.post("/containers/\(Context.segment(context.arguments[0].trimmed))/rename", [("name", newName)]) } catch {
                throw Failure("\(message(of: error))\nError: failed to rename container named \(context.arguments[0].trimmed)")
            }
            return 0
        }
    }

    static var containerWait: Command {
        Command(
            "container wait", "wait", summary: "Block until one or more containers stop, then print their exit codes",
            usage: "CONTAINER [CONTAINER...]", arity: .atLeast(1)
        ) { context in
            context.forEach(context.arguments) { name in
                let answer = try context.post("/containers/\(Context.segment(name))/wait")
                if let message = answer["Error"]?["Message"]?.stringValue, !message.isEmpty { throw Failure(message) }
                context.print("\(answer["StatusCode"]?.intValue ?? 0)")
                context.out.flush()
            }
        }
    }

    static var containerRemove: Command {
        Command(
            "container rm", "container remove", "rm", summary: "Remove one or more containers", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1),
            flags: [
                Flag("force", "f", .bool, "Force the removal of a running container (uses SIGKILL)"),
                Flag("link", "l", .bool, "Remove the specified link"),
                Flag("volumes", "v", .bool, "Remove anonymous volumes associated with the container"),
            ]
        ) { context in
            let flags = context.flags
            let query = [("force", "force"), ("link", "link"), ("volumes", "v")].filter { flags.bool($0.0) }.map { ($0.1, "1") }
            return context.forEach(context.arguments) { name in
                do { try context.delete("/containers/\(Context.segment(name))", query) } catch ClientError.api(404, let text)
                    where flags.bool("force")
                {
                    context.printError("Error response from daemon: \(text)")
                    return
                }
                context.print(name)
            }
        }
    }

    static var containerPrune: Command {
        Command(
            "container prune", summary: "Remove all stopped containers", usage: "[OPTIONS]",
            flags: Prune.flags("Provide filter values (e.g. \"until=<timestamp>\")")
        ) { context in
            try Prune.run(
                context, "/containers/prune", warning: "This will remove all stopped containers.", title: "Deleted Containers",
                member: "ContainersDeleted")
        }
    }
}

/// What all prune commands share.
enum Prune {
    static func flags(_ filterHelp: String) -> [Flag] {
        [Flag("filter", .list, filterHelp, valueName: "filter"), Flag("force", "f", .bool, "Do not prompt for confirmation")]
    }

    /// Asks, prunes, tells. A no is no failure.
    static func run(
        _ context: Context, _ path: String, query: [(String, String)]? = nil, warning: String, title: String, member: String,
        reclaims: Bool = true
    ) throws -> Int32 {
        if !context.flags.bool("force") {
            guard context.confirm("WARNING! \(warning)\nAre you sure you want to continue?") else { return 0 }
        }
        let report = try context.post(path, try query ?? context.filters())
        let names = (report[member]?.arrayValue ?? []).compactMap { $0.stringValue ?? deletion($0) }
        if !names.isEmpty { context.print("\(title):\n\(names.joined(separator: "\n"))\n") }
        if reclaims { context.print("Total reclaimed space: \(HumanSize.decimal(report["SpaceReclaimed"]?.doubleValue ?? 0))") }
        return 0
    }

    /// `untagged: x`, `deleted: y` of an image's removal.
    static func deletion(_ item: JSONValue) -> String? {
        item["Untagged"]?.stringValue.map { "untagged: \($0)" } ?? item["Deleted"]?.stringValue.map { "deleted: \($0)" }
    }
}
