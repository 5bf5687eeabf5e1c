internal import ClientUI
internal import EngineClient
internal import JSON

extension Command {
    static var inspect: Command {
        Command(
            "inspect", summary: "Return low-level information on Clipper objects", usage: "[OPTIONS] NAME|ID [NAME|ID...]",
            arity: .atLeast(1),
            flags: [
                Inspection.formatFlag, Flag("size", "s", .bool, "Display total file sizes if the type is container"),
                Flag("type", .string, "Only inspect objects of the given type"),
            ]
        ) { context in
            let type = context.flags.string("type")
            guard ["", "container", "image", "network", "volume"].contains(type) else {
                let known = ["config", "node", "plugin", "secret", "service", "task"].contains(type)
                throw known
                    ? Failure.notImplemented("--type \(type)")
                    : Failure(
                        "unknown type: \(quoted(type)): must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\""
                    )
            }
            return try Inspection.run(context) { name in try any(name, type, context) }
        }
    }

    /// Tries each kind in Docker's order until one knows the name.
    private static func any(_ name: String, _ type: String, _ context: Context) throws -> JSONValue {
        let size = context.flags.bool("size") ? [("size", "1")] : []
        let kinds: [(kind: String, path: String, query: [(String, String)])] = [
            ("container", "/containers/\(Context.segment(name))/json", size), ("image", "/images/\(Context.imageSegment(name))/json", []),
            ("network", "/networks/\(Context.segment(name))", []), ("volume", "/volumes/\(Context.segment(name))", []),
        ]
        for kind in kinds where type.isEmpty || type == kind.kind {
            do { return try context.get(kind.path, kind.query) } catch let error as ClientError {
                guard type.isEmpty, let status = error.status, [400, 404, 501].contains(status) else { throw error }
            }
        }
        throw Failure("Error: No such object: \(name)")
    }

    static var containerInspect: Command {
        Command(
            "container inspect", summary: "Display detailed information on one or more containers",
            usage: "[OPTIONS] CONTAINER [CONTAINER...]",
            arity: .atLeast(1), flags: [Inspection.formatFlag, Flag("size", "s", .bool, "Display total file sizes")]
        ) { context in
            try Inspection.run(context) {
                try context.get("/containers/\(Context.segment($0))/json", context.flags.bool("size") ? [("size", "1")] : [])
            }
        }
    }

    static var imageInspect: Command {
        Command(
            "image inspect", summary: "Display detailed information on one or more images", usage: "[OPTIONS] IMAGE [IMAGE...]",
            arity: .atLeast(1),
            flags: [
                Inspection.formatFlag, Flag("platform", .string, "Inspect a specific platform of the multi-platform image"),
            ]
        ) { context in
            let query = try PlatformFlag.query(context)
            return try Inspection.run(context) { try context.get("/images/\(Context.imageSegment($0))/json", query) }
        }
    }

    static var volumeInspect: Command {
        Command(
            "volume inspect", summary: "Display detailed information on one or more volumes", usage: "[OPTIONS] VOLUME [VOLUME...]",
            arity: .atLeast(1), flags: [Inspection.formatFlag]
        ) { context in try Inspection.run(context) { try context.get("/volumes/\(Context.segment($0))") } }
    }

    static var networkInspect: Command {
        Command(
            "network inspect", summary: "Display detailed information on one or more networks", usage: "[OPTIONS] NETWORK [NETWORK...]",
            arity: .atLeast(1), flags: [Inspection.formatFlag, Flag("verbose", "v", .bool, "Verbose output for diagnostics")]
        ) { context in
            try Inspection.run(context) {
                try context.get("/networks/\(Context.segment($0))", context.flags.bool("verbose") ? [("verbose", "true")] : [])
            }
        }
    }
}

/// How all inspect commands print: what was found on stdout, as one array, a template's lines or JSON lines; what failed on stderr.
enum Inspection {
    static let formatFlag = Flag(
        "format", "f", .string,
        "Format output using a custom template:\n'json': Print in JSON format\n'TEMPLATE': Print output using the given Go template")

    /// - Parameter names: what to look for, unless it is the arguments.
    static func run(_ context: Context, _ names: [String]? = nil, _ find: (String) throws -> JSONValue) throws -> Int32 {
        let format = context.flags.string("format")
        let template: Template?
        do { template = format.isEmpty || format == "json" ? nil : try Template(format) } catch {
            throw Failure("template parsing error: \(error)", code: 64)
        }
        var found: [JSONValue] = []
        var failures: [String] = []
        for name in names ?? context.arguments {
            do { found.append(try find(name)) } catch { failures.append(message(of: error)) }
        }
        if let template {
            for value in found {
                do { context.print(try template.render(value)) } catch {
                    context.print("")
                    throw error
                }
            }
            if found.isEmpty { context.print("") }
        } else if format == "json" {
            for value in found { context.print(value.text()) }
        } else {
            context.print(JSONValue.array(found).text(indent: 4))
        }
        for failure in failures { context.printError(failure) }
        return failures.isEmpty ? 0 : 1
    }
}
