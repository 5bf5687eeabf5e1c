internal import ClientUI
internal import EngineClient
internal import Glibc
internal import JSON
internal import Linux

/// What a command works with: its words, the engine, and where it prints.
final class Context {
    /// `clipper`, or the name it was installed under.
    let program: String
    /// The words by which the command was called: `container ls`.
    let commandName: String
    let flags: FlagValues
    let arguments: [String]
    let client: EngineClient
    let configuration: ClientConfiguration
    /// The endpoint as the user named it.
    let host: String
    /// The context that is in use: `default` when the endpoint comes from elsewhere.
    let currentContext: String
    let out: Output
    let err: Output

    init(
        program: String, commandName: String, flags: FlagValues, arguments: [String], connection: Connection, out: Output, err: Output
    ) {
        self.program = program
        self.commandName = commandName
        self.flags = flags
        self.arguments = arguments
        client = connection.client
        configuration = connection.configuration
        host = connection.host
        currentContext = connection.context
        self.out = out
        self.err = err
    }

    /// The way to the engine, and what the user has set down for all commands.
    struct Connection {
        let client: EngineClient
        let configuration: ClientConfiguration
        let host: String
        let context: String
    }

    /// `--detach-keys`, else those of the configuration; nil for the standard ones.
    var detachKeys: String? {
        let given = flags.string("detach-keys")
        return given.isEmpty ? configuration.detachKeys : given
    }

    /// The format of a list: `--format`, else the configuration's unless only IDs are asked for.
    func listFormat(_ key: String) -> String {
        if let given = flags.given("format"), !given.isEmpty { return given }
        return flags.bool("quiet") ? "" : configuration.format(key)
    }

    /// A name or ID as one segment of a path.
    static func segment(_ name: String) -> String { Request.escaped(name, keeping: ":@") }

    /// An image name in a path: its slashes stay.
    static func imageSegment(_ name: String) -> String { Request.escaped(name, keeping: "/:@") }

    /// `rowMembers`: of an answer that is a list, only these members of its objects; nil is all.
    func get(_ path: String, _ query: [(String, String)] = [], rowMembers: Set<String>? = nil) throws -> JSONValue {
        try client.call(Request("GET", path, query: query), rowMembers: rowMembers)
    }

    @discardableResult
    func post(_ path: String, _ query: [(String, String)] = [], _ body: RequestBody = .none) throws -> JSONValue {
        try client.call(Request("POST", path, query: query, body: body))
    }

    @discardableResult
    func delete(_ path: String, _ query: [(String, String)] = []) throws -> JSONValue {
        try client.call(Request("DELETE", path, query: query))
    }

    func print(_ text: String) { out.line(text) }

    func printError(_ text: String) {
        out.flush()
        err.line(text)
        err.flush()
    }

    /// Does the same for each argument; what fails is told and the rest goes on. Exit code 1 when anything failed.
    func forEach(_ names: [String], _ body: (String) throws -> Void) -> Int32 {
        var code: Int32 = 0
        for name in names {
            do { try body(name) } catch {
                printError(message(of: error))
                code = 1
            }
        }
        return code
    }

    /// `--filter key=value` as the API's query; nil without filters.
    func filters(_ flag: String = "filter") throws -> [(String, String)] {
        let object = try filterSet(flag)
        return object.isEmpty ? [] : [("filters", JSONValue.object(object).text())]
    }

    /// `--filter key=value` as the API's document: for each key the set of its values.
    func filterSet(_ flag: String = "filter") throws -> JSONObject {
        var object = JSONObject()
        for text in flags.list(flag) {
            guard let equals = text.firstIndex(of: "=") else {
                throw Failure.flag("-f, --\(flag)", text, "bad format of filter (expected name=value)")
            }
            let key = String(text[..<equals]).lowercased().filter { !$0.isWhitespace }
            let value = String(text[text.index(after: equals)...])
            var set = object[key]?.objectValue ?? JSONObject()
            set[value] = true
            object[key] = .object(set)
        }
        return object
    }

    /// Asks y/N on a terminal or stdin.
    func confirm(_ question: String) -> Bool {
        out.write("\(question) [y/N] ")
        out.flush()
        return (readLine() ?? "").lowercased().hasPrefix("y")
    }

    static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
