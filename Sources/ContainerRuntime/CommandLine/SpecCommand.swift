internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// `spec`.
enum SpecCommand {
    static let definition = CommandDefinition(
        name: "spec", operands: "", summary: "write a config.json to start from",
        options: [
            .value("bundle", "b", help: "directory to write it to (default: the working directory)"),
            .flag("rootless", help: "for a caller who is not root"),
        ], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        try arguments.expectNothing()
        let path = "\(arguments.value("bundle") ?? ".")/config.json"
        if Files.exists(path) { throw RuntimeError(kind: .usage, message: "file config.json exists: remove it first") }
        var spec = arguments.has("rootless") ? Spec.rootlessExample(user: geteuid(), group: getegid()) : Spec.example
        // As runc's: with the hierarchies of v1 a container sees the host's paths of its groups, which tools there rely on.
        if try CgroupLayout.detect().version != .v2 { spec.linux.namespaces.removeAll { $0.type == .cgroup } }
        try Files.write(path, spec.json.text(indent: 4) + "\n", flags: O_WRONLY | O_CREAT | O_EXCL)
        return 0
    }
}
