internal import EngineTypes
internal import Glibc
internal import Linux

/// `docker top`: the processes of a container as the host's ps(1) shows them.
struct ProcessTable {
    let processes: [Int32]

    /// `arguments` are ps's; `-ef` unless given. Runs the host's ps, as Docker does, and keeps the container's lines.
    func table(arguments: String) throws -> ContainerTop {
        let words = arguments.split(separator: " ").map(String.init)
        for word in words where word.contains("'") || word.contains("\"") { throw EngineError.invalid("invalid ps argument: \(word)") }
        let output = try HostCommand.run("ps", words.isEmpty ? ["-ef"] : words)
        let lines = output.split(separator: "\n")
        guard let header = lines.first else { throw EngineError(.system, "ps printed nothing") }
        let titles = header.split(separator: " ").map(String.init)
        guard let column = titles.firstIndex(of: "PID") else { throw EngineError.invalid("Couldn't find PID field in ps output") }
        let wanted = Set(processes)
        let rows = lines.dropFirst().compactMap { line -> [String]? in
            let fields = line.split(separator: " ", maxSplits: titles.count - 1).map(String.init)
            guard fields.count == titles.count, let pid = Int32(fields[column]), wanted.contains(pid) else { return nil }
            return fields
        }
        return ContainerTop(Titles: titles, Processes: rows)
    }
}

/// Runs a program of the host and gives what it prints.
enum HostCommand {
    /// Blocks. Throws when it cannot be run or fails.
    static func run(_ program: String, _ arguments: [String]) throws -> String {
        let pipe = try OwnedFD.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe.writing.raw, 1)
        let errors = try OwnedFD.pipe()
        posix_spawn_file_actions_adddup2(&actions, errors.writing.raw, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        // A child of a Swift task inherits a nearly full mask.
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var words = ([program] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var environment = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), strdup("LC_ALL=C"), nil]
        defer { for word in environment { free(word) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, program, &actions, &attributes, &words, &environment)
        guard code == 0 else { throw EngineError(.system, "cannot run \(program): \(SystemError.text(of: code))") }
        let ends = consume pipe
        let output = try Self.drain(consume ends)
        // A few lines: they fit into the pipe while nobody reads it.
        let errorEnds = consume errors
        let said = try Self.drain(consume errorEnds)
        var status: Int32 = 0
        _ = try retrying("wait for", program) { waitpid(pid, &status, 0) }
        guard status == 0 else {
            let reason = String(decoding: said, as: UTF8.self).split(separator: "\n").first ?? "\(arguments.joined(separator: " ")) failed"
            throw EngineError.invalid("\(program): \(reason)")
        }
        return String(decoding: output, as: UTF8.self)
    }

    private static func drain(_ pipe: consuming PipeEnds) throws -> [UInt8] {
        // The writing end must be closed here, or the end of file never comes.
        let reading = pipe.reading.duplicateRaw()
        _ = consume pipe
        return try OwnedFD(owning: reading).readAll(limit: 16 << 20)
    }
}
