internal import ClientUI
internal import EngineClient
internal import Glibc
internal import JSON
internal import Linux

/// Where an engine's address may stand in the environment, the stronger first.
private let hostVariables = ["CLIPPER_HOST", "DOCKER_HOST"]

extension Context {
    var contexts: ContextStore { ContextStore(directory: configuration.directory) }

    /// The standard context shows where flags and environment lead.
    fileprivate var standardContext: StoredContext {
        StoredContext(
            name: ContextStore.standard, description: "",
            host: hostOfEnvironment.isEmpty ? EngineEndpoint.standard.description : hostOfEnvironment)
    }

    private var hostOfEnvironment: String {
        hostVariables.lazy.compactMap { Context.environment($0) }.first { !$0.isEmpty } ?? ""
    }

    fileprivate func stored(_ name: String) throws -> StoredContext {
        name == ContextStore.standard ? standardContext : try contexts.read(name)
    }
}

extension Command {
    private static let settingFlags = [
        Flag("description", .string, "Description of the context"),
        Flag("docker", .map, "set the docker endpoint"),
    ]

    static var contextCreate: Command {
        Command(
            "context create", summary: "Create a context", usage: "[OPTIONS] CONTEXT", arity: .exactly(1), isLocal: true,
            flags: settingFlags + [Flag("from", .string, "create context from a named context")]
        ) { context in
            let name = context.arguments[0]
            try ContextStore.check(name)
            if context.contexts.exists(name) { throw Failure("context \(quoted(name)) already exists") }
            let settings = try endpointSettings(context)
            if context.flags.has("from") && !settings.isEmpty {
                throw Failure("cannot use --docker flag when --from is set")
            }
            let origin = context.flags.given("from") ?? context.currentContext
            var made = StoredContext(name: name, description: "", host: "")
            var tls = ContextTLS()
            if settings.isEmpty {
                made = try context.stored(origin).named(name)
                tls = try context.contexts.tls(origin)
            }
            let description = context.flags.string("description")
            if !description.isEmpty { made.setDescription(description) }
            try apply(settings, context, to: &made, &tls)
            try context.contexts.write(made, tls)
            context.print(name)
            context.printError("Successfully created context \(quoted(name))")
            return 0
        }
    }

    static var contextUpdate: Command {
        Command(
            "context update", summary: "Update a context", usage: "[OPTIONS] CONTEXT", arity: .exactly(1), isLocal: true,
            flags: settingFlags
        ) { context in
            let name = context.arguments[0]
            try ContextStore.check(name)
            var changed = try context.contexts.read(name)
            let description = context.flags.string("description")
            if !description.isEmpty { changed.setDescription(description) }
            var tls = try context.contexts.tls(name)
            try apply(endpointSettings(context), context, to: &changed, &tls)
            try context.contexts.write(changed, tls)
            context.print(name)
            context.printError("Successfully updated context \(quoted(name))")
            return 0
        }
    }

    /// The flag may be given several times, and hold several pairs.
    private static func endpointSettings(_ context: Context) throws -> [String: String] {
        var settings: [String: String] = [:]
        for field in try context.flags.list("docker").flatMap(CommaSeparated.fields) {
            let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard pair.count == 2 else {
                throw Failure("invalid argument \(quoted(field)) for \"--docker\" flag: \(field) must be formatted as key=value", code: 125)
            }
            settings[pair[0]] = pair[1]
        }
        return settings
    }

    /// `--docker host=…,ca=…,cert=…,key=…,skip-tls-verify=…`, or `from=…`: the endpoint and its TLS files are these and nothing else.
    private static func apply(
        _ settings: [String: String], _ context: Context, to made: inout StoredContext, _ tls: inout ContextTLS
    ) throws {
        if settings.isEmpty { return }
        func refused(_ reason: String) -> Failure { Failure("unable to create docker endpoint config: \(reason)") }
        if let unknown = settings.keys.sorted().first(where: { !["host", "from", "ca", "cert", "key", "skip-tls-verify"].contains($0) }) {
            throw refused("unrecognized config key: \(unknown)")
        }
        if let origin = settings["from"] {
            let stored = try context.stored(origin)
            made.setEndpoint(stored.host, skipsVerification: stored.skipsVerification)
            tls.endpoints[ContextTLS.engine] = try context.contexts.tls(origin).endpoints[ContextTLS.engine]
            return
        }
        let host = settings["host"] ?? ""
        if !host.isEmpty { _ = try EngineEndpoint(parsing: host) }
        let text = settings["skip-tls-verify"] ?? ""
        guard let skips = text.isEmpty ? false : Flag.bool(text) else {
            throw refused("skip-tls-verify: parsing \(quoted(text)): invalid syntax")
        }
        let files = try ContextTLS.named(settings)
        made.setEndpoint(host, skipsVerification: skips)
        tls.endpoints[ContextTLS.engine] = files.isEmpty ? nil : files
    }

    static var contextList: Command {
        Command(
            "context ls", "context list", summary: "List contexts", usage: "[OPTIONS]", isLocal: true,
            flags: [ListFlags.format, ListFlags.quiet("Only show context names")]
        ) { context in
            let first = context.standardContext
            let current = context.currentContext
            let rows = ([first] + context.contexts.all()).map { one in
                [
                    "Name": one.name, "Current": one.name == current ? "true" : "false", "DockerEndpoint": one.host, "Error": "",
                    "Description": one.name == ContextStore.standard ? "Current DOCKER_HOST based configuration" : one.description,
                    "Marked": one.name == current ? "\(one.name) *" : one.name,
                ]
            }
            let headers = [
                "Name": "NAME", "Marked": "NAME", "Description": "DESCRIPTION", "DockerEndpoint": "DOCKER ENDPOINT", "Error": "ERROR",
                "Current": "CURRENT",
            ]
            let format = context.flags.string("format")
            let isTable = ListFormat.isStandard(format)
            var list = ListFormat(columns: ["Marked", "Description", "DockerEndpoint", "Error"], headers: headers, quietField: "Name")
            list.truthValues = ["Current"]
            let shown = isTable ? rows : rows.map { row in row.filter { $0.key != "Marked" } }
            try list.print(shown, format: format, quiet: context.flags.bool("quiet"), to: context.out)
            if let variable = hostVariables.first(where: { Context.environment($0)?.isEmpty == false }) {
                context.printError(
                    "Warning: \(variable) environment variable overrides the active context. To use a context, either set the global "
                        + "--context flag, or unset \(variable) environment variable.")
            }
            return 0
        }
    }

    static var contextInspect: Command {
        Command(
            "context inspect", summary: "Display detailed information on one or more contexts", usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
            arity: .any, isLocal: true, flags: [Inspection.formatFlag]
        ) { context in
            let names = context.arguments.isEmpty ? [context.currentContext] : context.arguments
            return try Inspection.run(context, names) { name in
                var object = try context.stored(name).document.objectValue ?? JSONObject()
                let isStandard = name == ContextStore.standard
                let material = isStandard ? [:] : try context.contexts.tls(name).endpoints
                var names = JSONObject()
                for (endpoint, files) in material.sorted(by: { $0.key < $1.key }) {
                    names[endpoint] = .some(.array(files.keys.sorted().map { .string($0) }))
                }
                object["TLSMaterial"] = .object(names)
                object["Storage"] = [
                    "MetadataPath": .string(isStandard ? "<IN MEMORY>" : context.contexts.metadataPath(name)),
                    "TLSPath": .string(isStandard ? "<IN MEMORY>" : context.contexts.tlsPath(name)),
                ]
                return .object(object)
            }
        }
    }

    static var contextShow: Command {
        Command("context show", summary: "Print the name of the current context", isLocal: true) { context in
            context.print(context.currentContext)
            return 0
        }
    }

    static var contextUse: Command {
        Command("context use", summary: "Set the current context", usage: "CONTEXT", arity: .exactly(1), isLocal: true) { context in
            let name = context.arguments[0]
            if name != ContextStore.standard { _ = try context.contexts.read(name) }
            try context.configuration.setCurrentContext(name == ContextStore.standard ? nil : name)
            context.print(name)
            context.printError("Current context is now \(quoted(name))")
            for variable in ["CLIPPER_HOST", "DOCKER_HOST"] where name != ContextStore.standard {
                guard let host = Context.environment(variable), !host.isEmpty else { continue }
                context.printError(
                    "Warning: \(variable) environment variable overrides the active context. To use \(quoted(name)), either set the global --context flag, or unset \(variable) environment variable."
                )
                break
            }
            return 0
        }
    }

    static var contextRemove: Command {
        Command(
            "context rm", "context remove", summary: "Remove one or more contexts", usage: "CONTEXT [CONTEXT...]", arity: .atLeast(1),
            isLocal: true, flags: [Flag("force", "f", .bool, "Force the removal of a context in use")]
        ) { context in
            let isForced = context.flags.bool("force")
            return context.forEach(context.arguments) { name in
                if name == ContextStore.standard { throw Failure("context \(quoted(name)) cannot be removed") }
                if !isForced && !context.contexts.exists(name) { throw Failure("context \(quoted(name)) does not exist") }
                if name == context.currentContext {
                    if !isForced { throw Failure("context \(quoted(name)) is in use, set -f flag to force remove") }
                    try context.configuration.setCurrentContext(nil)
                }
                try context.contexts.remove(name)
                context.print(name)
            }
        }
    }
}
