internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// `state`.
enum StateCommand {
    static let definition = CommandDefinition(
        name: "state", operands: "<container-id>", summary: "tell a container's state, as JSON", options: [], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let container = try FoundContainer(try arguments.containerID(), globals.store)
        print(document(container).text(indent: 2))
        return 0
    }

    /// The specification's state with runc's additions; only `list` tells the owner.
    static func document(_ container: FoundContainer, owner: String = "") -> JSONValue {
        let state = container.state
        var object = JSONObject()
        object.append("ociVersion", .string(state.spec.ociVersion))
        object.append("id", .string(state.id))
        object.append("pid", .integer(container.status == .stopped ? 0 : Int64(state.pid)))
        object.append("status", .string(container.status.rawValue))
        object.append("bundle", .string(state.bundle))
        object.append("rootfs", .string(state.rootfs))
        object.append("created", .string("\(state.created)"))
        if !state.spec.annotations.isEmpty {
            var members = JSONObject()
            for (key, value) in state.spec.annotations.sorted(by: { $0.key < $1.key }) { members.append(key, .string(value)) }
            object.append("annotations", .object(members))
        }
        object.append("owner", .string(owner))
        return .object(object)
    }
}

/// `list`.
enum ListCommand {
    static let definition = CommandDefinition(
        name: "list", operands: "", summary: "tell which containers there are",
        options: [
            .value("format", "f", help: "table or json (default: table)"), .flag("quiet", "q", help: "container ids only"),
        ], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        try arguments.expectNothing()
        let format = arguments.value("format") ?? "table"
        guard format == "json" || format == "table" else {
            throw RuntimeError(kind: .usage, message: "invalid format option \"\(format)\"")
        }
        // Our own directory is there from the first container on; one that the caller names is expected to be.
        if globals.root != GlobalOptions.ownRoot && !Files.isDirectory(globals.root) {
            throw SystemError("open", globals.root, code: ENOENT)
        }
        var containers: [FoundContainer] = []
        for id in try globals.store.list() {
            do throws(RuntimeError) { containers.append(FoundContainer(try globals.store.load(id), globals.store)) } catch {
                // One unreadable container does not hide the others.
                globals.log.warn(error.message)
            }
        }
        if arguments.has("quiet") {
            for container in containers { print(container.state.id) }
            return 0
        }
        let owners = containers.map { globals.store.owner($0.state.id) }
        if format == "table" {
            printTable(containers, owners)
        } else {
            let documents = zip(containers, owners).map { StateCommand.document($0, owner: $1) }
            print(documents.isEmpty ? "null" : JSONValue.array(documents).text())
        }
        return 0
    }

    private static func printTable(_ containers: [FoundContainer], _ owners: [String]) {
        var rows = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]]
        for (container, owner) in zip(containers, owners) {
            let state = container.state
            let pid = container.status == .stopped ? 0 : state.pid
            rows.append([state.id, "\(pid)", container.status.rawValue, state.bundle, "\(state.created)", owner])
        }
        // As Go's tabwriter with runc's settings: cells at least 12 wide, one space between.
        let widths = rows[0].indices.map { column in rows.map { max(11, $0[column].utf8.count) }.max() ?? 11 }
        for row in rows {
            let cells = row.enumerated().map { column, text in
                column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.utf8.count + 1)
            }
            print(cells.joined())
        }
    }
}
