internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `exec`.
enum ExecCommand {
    static let definition = CommandDefinition(
        name: "exec", operands: "<container-id> <command> [arguments...]", summary: "execute a further program in a container",
        options: options, stopsAtPositional: true, run: run)

    private static let options: [OptionRule] = [
        .value("console-socket", help: "Unix socket that receives the terminal's master"),
        .value("pidfd-socket", help: "Unix socket that receives a pidfd of the process"),
        .value("cwd", help: "working directory in the container"),
        .value("env", "e", help: "environment variable, NAME=VALUE; may be repeated"),
        .flag("tty", "t", help: "give the process a terminal"),
        .value("user", "u", help: "user id, or user and group id: uid[:gid]"),
        .value("additional-gids", "g", help: "supplementary group id; may be repeated"),
        .value("process", "p", help: "file with the whole process in JSON; no command is given then"),
        .flag("detach", "d", help: "return as soon as the program runs"),
        .value("pid-file", help: "file to write the process id to"),
        .value("process-label", help: "SELinux label of the process"),
        .value("apparmor", help: "AppArmor profile of the process"),
        .flag("no-new-privs", help: "set no_new_privs"),
        .value("cap", "c", help: "capability to add; may be repeated"),
        .value("preserve-fds", help: "how many descriptors from 3 on the process keeps"),
        .value("cgroup", help: "control group below the container's, [controllers:]path; may be repeated"),
        .flag("ignore-paused", help: "also in a paused container"),
    ]

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let id = try arguments.containerID(atMost: .max)
        let container = try FoundContainer(id, globals.store)
        switch container.status {
        case .stopped: throw RuntimeError(kind: .state, message: "cannot exec in a stopped container")
        case .paused where !arguments.has("ignore-paused"):
            throw RuntimeError(kind: .state, message: "cannot exec in a paused container (use --ignore-paused to override)")
        case .creating, .created, .running, .paused: break
        }
        var process = try process(arguments, container.state)
        let consoleSocket = arguments.value("console-socket")
        let detaches = arguments.has("detach")
        if process.terminal && detaches && consoleSocket == nil {
            throw RuntimeError(kind: .usage, message: "cannot allocate a terminal: a detached process needs --console-socket")
        }
        let pidfd = try container.pidfd()
        var options = ExecOptions()
        options.preserveFDs = try arguments.number("preserve-fds") ?? 0
        options.seccompCacheDirectory = globals.seccompCache
        options.warn = { [log = globals.log] in log.warn($0) }
        if process.terminal && consoleSocket == nil { options.stdio = .relayedTerminal }
        var target = ExecTarget(
            pid: container.state.pid, pidfd: pidfd.raw, id: id, bundle: container.state.bundle, spec: container.state.spec,
            cgroup: try container.cgroupToEnter())
        if arguments.has("cgroup") {
            target.cgroup = try target.cgroup?.part(try cgroupPaths(arguments.all("cgroup")))
            target.followsProcess = false
        }
        if !detaches && consoleSocket == nil { process.takeTerminalSize() }
        let foreground = detaches ? nil : try ForegroundProcess()
        var started = try ContainerRuntime.exec(in: target, process: process, options: options)
        globals.log.debug("container \(id): further process \(started.pid)")
        do {
            if detaches, let master = started.terminalMaster.take() { try DescriptorSocket.sendTerminal(master, to: consoleSocket) }
            try CreateCommand.announce(started.pid, started.pidfd.raw, kind: "setns", arguments)
            guard let foreground = consume foreground else { return 0 }
            return try foreground.follow(started.pid, started.pidfd.raw, master: started.terminalMaster.take(), consoleSocket)
        } catch {
            // Whoever asked hears of a failure: no process of it may go on.
            _ = clp_pidfd_send_signal(started.pidfd.raw, SIGKILL)
            _ = try? ProcessStatus.reap(started.pid)
            throw error
        }
    }

    /// `path` for all hierarchies, or `controller[,controller]:path` each.
    static func cgroupPaths(_ texts: [String]) throws(RuntimeError) -> [String: String] {
        var result: [String: String] = [:]
        for text in texts {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            if parts.count > 2 { throw RuntimeError(kind: .usage, message: "invalid --cgroup argument: \(text)") }
            if parts.count == 1 {
                if texts.count > 1 {
                    throw RuntimeError(kind: .usage, message: "invalid --cgroup argument: \(text) (missing <controller>: prefix)")
                }
                return ["": text]
            }
            for controller in parts[0].split(separator: ",") { result[String(controller)] = parts[1] }
        }
        return result
    }

    /// A process.json whole, or the container's own process with what the options change.
    private static func process(_ arguments: CommandArguments, _ state: ContainerState) throws -> Spec.Process {
        if let path = arguments.value("process") {
            var process = try Spec.Process(parsing: try Files.read(path))
            // The container's own, unless this process has another (as runc).
            process.execCPUAffinity = process.execCPUAffinity ?? state.spec.process?.execCPUAffinity
            return process
        }
        guard var process = state.spec.process else { throw SpecError.missing("process") }
        process.args = Array(arguments.positionals.dropFirst())
        if process.args.isEmpty { throw RuntimeError(kind: .usage, message: "process args cannot be empty") }
        process.terminal = arguments.has("tty")
        if let cwd = arguments.value("cwd") { process.cwd = cwd }
        process.env += arguments.all("env")
        if arguments.has("no-new-privs") { process.noNewPrivileges = true }
        if let profile = arguments.value("apparmor") { process.apparmorProfile = profile }
        if let label = arguments.value("process-label") { process.selinuxLabel = label }
        // The score of the first process is not asked for again: lowering it may be forbidden by now.
        process.oomScoreAdj = nil
        if let user = arguments.value("user") { (process.user.uid, process.user.gid) = try parseUser(user, process.user) }
        for text in arguments.all("additional-gids") {
            guard let gid = UInt32(text) else {
                throw RuntimeError(kind: .usage, message: "option --additional-gids: \"\(text)\" is no group id")
            }
            process.user.additionalGids.append(gid)
        }
        for name in arguments.all("cap") { process.addCapability(name) }
        return process
    }

    /// `uid` or `uid:gid`, digits alone: anything else would become somebody else, in the worst case root.
    static func parseUser(_ text: String, _ present: Spec.User) throws(RuntimeError) -> (UInt32, UInt32) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.map { part in part.utf8.allSatisfy { (48...57).contains($0) } ? UInt32(part) : nil }
        // The last id, -1, means "leave as it is" to the kernel.
        guard (1...2).contains(parts.count), numbers.allSatisfy({ $0 != nil && $0 != .max }), let uid = numbers[0] else {
            throw RuntimeError(kind: .usage, message: "option --user: \"\(text)\" is not of the form uid[:gid]")
        }
        return (uid, numbers.count > 1 ? numbers[1] ?? present.gid : present.gid)
    }
}

extension Spec.Process {
    /// As runc's `--cap`: into every set, inheritable and ambient only when the process has such already.
    fileprivate mutating func addCapability(_ name: String) {
        var sets = capabilities ?? Spec.Capabilities()
        sets.bounding.append(name)
        sets.effective.append(name)
        sets.permitted.append(name)
        if !sets.inheritable.isEmpty { sets.inheritable.append(name) }
        if !sets.ambient.isEmpty { sets.ambient.append(name) }
        capabilities = sets
    }
}
