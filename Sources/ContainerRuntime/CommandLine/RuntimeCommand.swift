internal import Linux
internal import OCIRuntimeSpec

/// `clipper-runtime`'s command line, which is runc's: global options, a command, its options.
public enum RuntimeCommand {
    /// The program's version, also in `features`.
    public static let version = "0.1.0"

    /// Runs one command and answers the exit code. `arguments` are without the program's name.
    public static func run(_ arguments: [String]) -> Int32 {
        var log = RuntimeLog()
        var name: String?
        do {
            let globals = try CommandArguments(arguments, GlobalOptions.rules, stopsAtPositional: true)
            log = RuntimeLog(
                path: globals.value("log"), isJSON: globals.value("log-format") == "json", isDebug: globals.has("debug"))
            name = globals.positionals.first
            return try run(globals, log)
        } catch {
            log.report(RuntimeError(wrapping: error))
            // A failing `exec` must be told from a program that exits with 1; runc's way.
            return name == "exec" ? 255 : 1
        }
    }

    private static func run(_ globals: CommandArguments, _ log: RuntimeLog) throws -> Int32 {
        if globals.has("version") {
            print("clipper-runtime version \(version)\nspec: \(Spec.newestVersion)")
            return 0
        }
        guard let name = globals.positionals.first, !globals.has("help") else {
            print(help)
            return 0
        }
        let rest = globals.positionals.dropFirst()
        if name == "help" || name == "h" {
            print(try rest.first.map { (topic) throws(RuntimeError) in try find(topic).help } ?? help)
            return 0
        }
        let command = try find(name)
        let options = try GlobalOptions(globals, log)
        try log.check()
        return try command(options, rest)
    }

    /// All commands, in the order in which `--help` shows them.
    static let commands: [CommandDefinition] = [
        CheckpointCommand.definition, CreateCommand.definition, DeleteCommand.definition, EventsCommand.definition, ExecCommand.definition,
        FeaturesCommand.definition, KillCommand.definition, ListCommand.definition, PauseCommand.pause, PsCommand.definition,
        RestoreCommand.definition, PauseCommand.resume, RunCommand.definition, SpecCommand.definition, StartCommand.definition,
        StateCommand.definition, UpdateCommand.definition,
    ]

    private static func find(_ name: String) throws(RuntimeError) -> CommandDefinition {
        guard let found = commands.first(where: { $0.name == name }) else {
            throw RuntimeError(kind: .usage, message: "no such command: \(name)")
        }
        return found
    }

    private static var help: String {
        let width = commands.map(\.name.utf8.count).max() ?? 0
        let list = commands.map { "   \($0.name)\(String(repeating: " ", count: width - $0.name.utf8.count + 2))\($0.summary)" }
        return """
            NAME:
               clipper-runtime - an OCI runtime (specification \(Spec.newestVersion)) with runc's command line

            USAGE:
               clipper-runtime [global options] command [command options] [arguments...]

            COMMANDS:
            \(list.joined(separator: "\n"))
               help, h\(String(repeating: " ", count: max(0, width - 5)))show how a command is used

            GLOBAL OPTIONS:
            \(CommandDefinition.list(GlobalOptions.rules))

            """
    }
}
