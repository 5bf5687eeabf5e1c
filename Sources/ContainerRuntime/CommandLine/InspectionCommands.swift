internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// `state`.
enum StateCommand {
    static func run(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let container = try FoundContainer(try CommandArguments(arguments, []).containerID(), globals.store)
        print(document(container).text(indent: 2))
        return 0
    }

    /// The specification's state with runc's additions.
    static func document(_ container: FoundContainer) -> JSONValue {
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
        object.append("owner", "")
        return .object(object)
    }
}

/// `list`.
enum ListCommand {
    static func run(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let arguments = try CommandArguments(arguments, [.value("format", "f"), .flag("quiet", "q")])
        var containers: [FoundContainer] = []
        for id in try globals.store.list() {
            do throws(RuntimeError) { containers.append(FoundContainer(try globals.store.load(id), globals.store)) } catch {
                // One unreadable container does not hide the others.
                ErrorLog().report(error)
            }
        }
        if arguments.has("quiet") {
            for container in containers { print(container.state.id) }
            return 0
        }
        switch arguments.value("format") ?? "table" {
        case "json": print(containers.isEmpty ? "null" : JSONValue.array(containers.map(StateCommand.document)).text())
        case "table": printTable(containers)
        case let format: throw RuntimeError(kind: .usage, message: "invalid format option \"\(format)\"")
        }
        return 0
    }

    private static func printTable(_ containers: [FoundContainer]) {
        var rows = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]]
        for container in containers {
            let state = container.state
            let pid = container.status == .stopped ? 0 : state.pid
            rows.append([state.id, "\(pid)", container.status.rawValue, state.bundle, "\(state.created)", "root"])
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

/// `ps`.
enum PsCommand {
    static func run(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let arguments = try CommandArguments(arguments, [.value("format", "f")], stopsAtPositional: true)
        let id = try arguments.containerID(atMost: .max)
        let pids = try FoundContainer(id, globals.store).cgroup().processes().sorted()
        switch arguments.value("format") ?? "table" {
        case "json": print(JSONValue.array(pids.map { .integer(Int64($0)) }).text())
        case "table":
            let options = Array(arguments.positionals.dropFirst())
            try printTable(options.isEmpty ? ["-ef"] : options, pids)
        case let format: throw RuntimeError(kind: .usage, message: "invalid format option \"\(format)\"")
        }
        return 0
    }

    /// The lines of the host's ps(1) that belong to the container.
    private static func printTable(_ options: [String], _ pids: [Int32]) throws {
        let output = OwnedFD(owning: try retrying("create file in memory") { clp_memfd_create("ps", UInt32(MFD_CLOEXEC)) })
        let number = output.raw
        let child = try ClonedProcess.clone(namespaces: 0) {
            guard dup2(number, 1) == 1 else { return 127 }
            return Program.withCStrings(["ps"] + options) { argv in
                execvp("ps", argv)
                return 127
            }
        }
        let code = try ProcessStatus.reap(child.pid)
        if code != 0 { throw RuntimeError(kind: .system(0), message: "run ps: exit code \(code)") }
        lseek(output.raw, 0, SEEK_SET)
        let lines = String(decoding: try output.readAll(), as: UTF8.self).split(separator: "\n")
        guard let header = lines.first, let column = header.split(separator: " ").firstIndex(of: "PID") else {
            throw RuntimeError(kind: .usage, message: "couldn't find PID field in ps output")
        }
        print(header)
        let wanted = Set(pids)
        for line in lines.dropFirst() {
            let fields = line.split(separator: " ")
            if fields.count > column, let pid = Int32(fields[column]), wanted.contains(pid) { print(line) }
        }
    }
}

/// `spec`.
enum SpecCommand {
    static func run(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let arguments = try CommandArguments(arguments, [.value("bundle", "b"), .flag("rootless")])
        if arguments.has("rootless") { throw RuntimeError.notImplemented("spec --rootless") }
        let path = "\(arguments.value("bundle") ?? ".")/config.json"
        if Files.exists(path) { throw RuntimeError(kind: .usage, message: "file config.json exists: remove it first") }
        try Files.write(path, Spec.example.json.text(indent: 4) + "\n", flags: O_WRONLY | O_CREAT | O_EXCL)
        return 0
    }
}
