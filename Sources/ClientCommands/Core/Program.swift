internal import ClientUI
internal import EngineClient
internal import Glibc
internal import Linux

/// One run of the client: from the words of the command line to an exit code.
public struct Program {
    static let version = "0.1.0"

    private let name: String
    private let words: [String]
    private let out = Output(1)
    private let err = Output(2)

    /// `words`: argv, the program's name first.
    public init(words: [String]) {
        let path = words.first ?? "clipper"
        name = path.split(separator: "/").last.map(String.init) ?? "clipper"
        self.words = Array(words.dropFirst())
    }

    private static let globalFlags: [Flag] =
        [
            Flag("config", .string, "Location of client config files"),
            Flag("context", "c", .string, "Name of the context whose engine to use"),
            Flag("debug", "D", .bool, "Enable debug mode: as --explain"),
            Flag("explain", .bool, "Print the calls made to the daemon with the time of each"),
            Flag("host", "H", .list, "Daemon socket to connect to"),
            Flag("log-level", "l", .string, "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")", default: "info"),
            Flag("version", "v", .bool, "Print version information and quit"),
        ] + TLSOptions.flags

    private static let logLevels: Set = ["trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"]

    /// What the client has to log are its calls; they are told at these levels.
    private static func explains(_ global: FlagValues) -> Bool {
        global.bool("explain") || global.bool("debug") || ["debug", "trace"].contains(global.string("log-level").lowercased())
    }

    private static let explainFlag = Flag("explain", .bool, "Print the calls made to the daemon with the time of each", hidden: true)

    /// Does what the words ask for; answers the exit code.
    public func run() -> Int32 {
        defer {
            out.flush()
            err.flush()
        }
        let global: FlagParser.Result
        do { global = try FlagParser.parse(words, flags: Self.globalFlags, interspersed: false) } catch {
            return usageError(error.message, commandName: "", usage: "[OPTIONS] COMMAND [ARG...]")
        }
        if global.values.bool("version") {
            out.line("Clipper version \(Self.version)")
            return 0
        }
        if global.wantsHelp || global.arguments.isEmpty {
            out.write(topHelp())
            return 0
        }
        var arguments = global.arguments
        if arguments[0] == "help" {
            arguments = arguments.dropFirst() + ["--help"]
            if arguments.count > 1, CommandTable.find(arguments[0]) == nil, CommandTable.nouns[arguments[0]] == nil {
                err.line("unknown help topic: \(arguments.dropLast().joined(separator: " "))")
                return 1
            }
        }
        if arguments == ["--help"] {
            out.write(topHelp())
            return 0
        }
        if arguments[0] == "__complete" {
            return Completion.answer(Array(arguments.dropFirst()), out) { try self.connect(global.values).client }
        }
        let level = global.values.string("log-level")
        guard Self.logLevels.contains(level.lowercased()) else {
            err.line("Unable to parse logging level: \(level)")
            return 1
        }
        return dispatch(arguments, global.values)
    }

    private func dispatch(_ arguments: [String], _ global: FlagValues) -> Int32 {
        let two = arguments.prefix(2).joined(separator: " ")
        if arguments.count > 1, let command = CommandTable.find(two) {
            return run(command, as: two, Array(arguments.dropFirst(2)), global)
        }
        if let command = CommandTable.find(arguments[0]) { return run(command, as: arguments[0], Array(arguments.dropFirst()), global) }
        if CommandTable.nouns[arguments[0]] != nil { return noun(arguments) }
        if let command = Command.ofSwarm(arguments[0]) { return run(command, as: arguments[0], Array(arguments.dropFirst()), global) }
        if CommandTable.notBuilt.contains(arguments[0]) {
            err.line("not implemented: \(name) \(arguments[0])")
            return 1
        }
        err.line("\(name): unknown command: \(name) \(arguments[0])\n\nRun '\(name) --help' for more information")
        return 1
    }

    /// `clipper container` alone, or with a verb that isn't there.
    private func noun(_ arguments: [String]) -> Int32 {
        let noun = arguments[0]
        if arguments.count > 1, !arguments[1].hasPrefix("-") {
            if CommandTable.notBuilt.contains("\(noun) \(arguments[1])") {
                err.line("not implemented: \(name) \(noun) \(arguments[1])")
                return 1
            }
            err.line(
                "\(name): unknown command: \(name) \(noun) \(arguments[1])\n\nUsage:  \(name) \(noun)\(["manifest", "volume"].contains(noun) ? " COMMAND" : "")\n\nRun '\(name) \(noun) --help' for more information"
            )
            return 1
        }
        // As Docker: asked for on stdout, shown for want of a command on stderr.
        let output = arguments.count > 1 ? out : err
        output.write("Usage:  \(name) \(noun) COMMAND\n\n\(CommandTable.nouns[noun] ?? "")\n\nCommands:\n")
        output.write(HelpPage.commands(CommandTable.verbs(of: noun)))
        output.write("\nRun '\(name) \(noun) COMMAND --help' for more information on a command.\n")
        return 0
    }

    private func run(_ command: Command, as commandName: String, _ arguments: [String], _ global: FlagValues) -> Int32 {
        let parsed: FlagParser.Result
        do {
            parsed = try FlagParser.parse(arguments, flags: command.flags() + [Self.explainFlag], interspersed: command.interspersed)
        } catch {
            return usageError(error.message, commandName: commandName, usage: command.usage)
        }
        if parsed.wantsHelp {
            out.write(help(command, commandName))
            return 0
        }
        if let objection = command.arity.objection(to: parsed.arguments.count) {
            let verb = if case .atLeast = command.arity { "See" } else { "Run" }
            err.line("\(name): '\(name) \(commandName)' \(objection)\n\nUsage:  \(usageLine(commandName, command.usage))\n")
            err.line("\(verb) '\(name) \(commandName) --help' for more information")
            return 1
        }
        do {
            if command.flags().contains(where: { $0.name == "disable-content-trust" }) { try refuseSignatures(parsed.values) }
            let connection = try connect(global, isLocal: command.isLocal)
            let explain = Self.explains(global) || parsed.values.bool("explain") ? Explanation(connection.client) : nil
            if let warning = connection.configuration.warning { err.line(warning) }
            let context = Context(
                program: name, commandName: commandName, flags: parsed.values, arguments: parsed.arguments, connection: connection,
                out: out, err: err)
            defer {
                out.flush()
                explain?.print(to: err)
            }
            return try command.run(context)
        } catch {
            out.flush()
            return report(error, command, commandName)
        }
    }

    /// `run` and `create` put their name before what went wrong, as Docker does.
    private func report(_ error: any Error, _ command: Command, _ commandName: String) -> Int32 {
        let text = message(of: error)
        let code = (error as? Failure)?.code ?? command.failureCode
        if (error as? Failure)?.isUsage ?? false { return usageError(text, commandName: commandName, usage: command.usage) }
        if command.failureCode == 125 && code >= 125 {
            err.line("\(name): \(text)\n\nRun '\(name) \(commandName) --help' for more information")
        } else if !text.isEmpty {
            err.line(text)
        }
        return code
    }

    /// Docker's content trust: off unless asked for by flag or environment, and then it must not be passed over.
    private func refuseSignatures(_ flags: FlagValues) throws {
        if let given = flags.given("disable-content-trust") {
            if given == "false" { throw Failure.notImplemented("image signatures (--disable-content-trust=false)") }
        } else if ["1", "t", "true"].contains(Context.environment("DOCKER_CONTENT_TRUST")?.lowercased()) {
            throw Failure.notImplemented("image signatures (DOCKER_CONTENT_TRUST)")
        }
    }

    /// - Parameter isLocal: a context that is not there is no error.
    private func connect(_ global: FlagValues, isLocal: Bool = false) throws -> Context.Connection {
        let configuration = ClientConfiguration(directory: global.given("config"), program: name)
        let (host, contextName) = try host(global, configuration)
        var text = host ?? ""
        var tls = try TLSOptions.read(global, directory: configuration.directory)
        if let contextName {
            let store = ContextStore(directory: configuration.directory)
            do {
                let context = try store.read(contextName)
                text = context.host
                tls = TLSOptions.read(context, in: store)
                if text.isEmpty { throw Failure("context \(quoted(contextName)): no endpoint of an engine is set in it") }
            } catch  where isLocal {} catch {
                throw Failure("Failed to initialize: unable to resolve docker endpoint: \(message(of: error))")
            }
        }
        let endpoint = text.isEmpty ? .standard : try EngineEndpoint(parsing: text, usesTLS: tls != nil)
        let version = Context.environment("DOCKER_API_VERSION").flatMap { $0.isEmpty ? nil : $0 }
        let client = EngineClient(endpoint: endpoint, tls: tls, pinnedVersion: version, headers: configuration.headers)
        return Context.Connection(client: client, configuration: configuration, host: text, context: contextName ?? ContextStore.standard)
    }

    /// As Docker: `--host`, `--context`, the hosts of the environment, the context of the environment, the one in use; neither for
    /// the standard endpoint.
    private func host(_ global: FlagValues, _ configuration: ClientConfiguration) throws -> (host: String?, context: String?) {
        func named(_ context: String) -> (host: String?, context: String?) { (nil, context == ContextStore.standard ? nil : context) }
        let hosts = global.list("host")
        if hosts.count > 1 { throw Failure("specify only one -H") }
        if let host = hosts.first {
            if global.given("context") != nil { throw Failure("conflicting options: cannot specify both --host and --context") }
            return (host, nil)
        }
        if let context = global.given("context") { return named(context) }
        for variable in ["CLIPPER_HOST", "DOCKER_HOST"] {
            if let host = Context.environment(variable), !host.isEmpty { return (host, nil) }
        }
        if let context = Context.environment("DOCKER_CONTEXT"), !context.isEmpty { return named(context) }
        return (nil, configuration.currentContext)
    }

    // Texts

    private func usageLine(_ commandName: String, _ usage: String) -> String {
        [name, commandName, usage].filter { !$0.isEmpty }.joined(separator: " ")
    }

    private func usageError(_ message: String, commandName: String, usage: String) -> Int32 {
        let called = [name, commandName].filter { !$0.isEmpty }.joined(separator: " ")
        err.line("\(message)\n\nUsage:  \(usageLine(commandName, usage))\n\nRun '\(called) --help' for more information")
        return 125
    }

    private func help(_ command: Command, _ commandName: String) -> String {
        // An alias below a noun (`container ps`) is told of by the noun's own word.
        let noun = commandName.split(separator: " ")
        let shown = noun.count == 2 ? command.names.first { $0.hasPrefix("\(noun[0]) ") } ?? commandName : commandName
        var text = "Usage:  \(usageLine(shown, command.usage))\n\n\(command.summary)\n"
        if command.names.count > 1 {
            text += "\nAliases:\n  \(command.names.map { "\(name) \($0)" }.joined(separator: ", "))\n"
        }
        let flags = command.flags()
        if flags.contains(where: { !$0.isHidden }) { text += "\nOptions:\n\(HelpPage.options(flags, width: Terminal.width))" }
        return text
    }

    private func topHelp() -> String {
        let common = ["run", "exec", "ps", "build", "pull", "push", "images", "version", "info"]
        let all = CommandTable.verbs(of: nil)
        return """
            Usage:  \(name) [OPTIONS] COMMAND

            Build, run and look after containers

            Common Commands:
            \(HelpPage.commands(common.compactMap { wanted in all.first { $0.name == wanted } }))
            Management Commands:
            \(HelpPage.commands(CommandTable.nouns.sorted { $0.key < $1.key }.map { (name: $0.key, summary: $0.value) }))
            Commands:
            \(HelpPage.commands(all.filter { !common.contains($0.name) }))
            Global Options:
            \(HelpPage.options(Self.globalFlags, width: Terminal.width))
            Run '\(name) COMMAND --help' for more information on a command.

            """
    }
}
