internal import ClientUI
internal import Glibc
internal import Linux

// The registry's program, which lies beside the client: the same words in the same meaning. The client becomes that program.
extension Command {
    private static let registryFlags = [
        Flag("config", .string, "Configuration file"),
        Flag("debug", .bool, "Log more"),
        Flag("root", .string, "Where repositories are kept (default /var/lib/clipper-registry)"),
    ]

    static var registryServe: Command {
        Command(
            "registry serve", summary: "Serve the OCI distribution protocol", usage: "[OPTIONS]", isLocal: true,
            flags: registryFlags + [Flag("address", .string, "Where to listen: HOST:PORT (default 127.0.0.1:5000)")]
        ) { context in
            throw try RegistryProgram.become("serve", strings: ["address", "config", "root"], flags: ["debug"], context)
        }
    }

    static var registryCollect: Command {
        Command(
            "registry garbage-collect", summary: "Remove what nothing names from a registry's root", usage: "[OPTIONS]", isLocal: true,
            flags: registryFlags + [
                Flag("dry-run", .bool, "Only count"),
                Flag("grace", .string, "Seconds that content may lie unused"),
                Flag("untagged", .bool, "Manifests too that no tag reaches"),
            ]
        ) { context in
            throw try RegistryProgram.become(
                "garbage-collect", strings: ["config", "grace", "root"], flags: ["debug", "dry-run", "untagged"], context)
        }
    }
}

enum RegistryProgram {
    static let name = "clipper-registry"

    /// Replaces this process. Returns only when that fails, with the reason.
    static func become(_ verb: String, strings: [String], flags: [String], _ context: Context) throws -> Failure {
        var words = [name, verb]
        for flag in strings { if let value = context.flags.given(flag) { words += ["--\(flag)", value] } }
        for flag in flags where context.flags.bool(flag) { words.append("--\(flag)") }
        // Not from PATH: what is started belongs to this client.
        var own = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink("/proc/self/exe", &own, own.count)
        guard count > 0 else { throw SystemError("read link", "/proc/self/exe") }
        let path = Files.parent(of: String(decoding: own[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)) + "/" + name
        var arguments: [UnsafeMutablePointer<CChar>?] = []
        for word in words { arguments.append(strdup(word)) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        // The client ignores it, and that would be inherited.
        _ = signal(SIGPIPE, SIG_DFL)
        execv(path, &arguments)
        return Failure("cannot start \(path): \(String(cString: strerror(errno)).lowercased())")
    }
}
