internal import CLinux
internal import Glibc
internal import JSON
internal import Linux

/// `ps`.
enum PsCommand {
    static let definition = CommandDefinition(
        name: "ps", operands: "<container-id> [options of ps(1)]", summary: "tell the processes of a container",
        options: [.value("format", "f", help: "table or json, which is the process ids alone (default: table)")],
        stopsAtPositional: true, run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
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
