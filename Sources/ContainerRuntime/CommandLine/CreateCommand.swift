internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `create` and `run`.
enum CreateCommand {
    private static let rules: [OptionRule] = [
        .value("bundle", "b"), .value("console-socket"), .value("pid-file"), .value("preserve-fds"), .flag("no-pivot"),
        .flag("no-new-keyring"),
    ]
    private static let runRules: [OptionRule] = [.flag("detach", "d"), .flag("keep"), .flag("no-subreaper")]

    static func create(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let arguments = try CommandArguments(arguments, rules)
        let (spec, options) = try prepare(globals, arguments)
        let consoleSocket = arguments.value("console-socket")
        try checkConsole(spec, consoleSocket, detaches: true)
        var container = try ContainerRuntime.launch(spec, options, .stateDirectory)
        do {
            if let master = container.terminalMaster.take() { try ConsoleSocket.send(master, to: consoleSocket) }
            if let path = arguments.value("pid-file") { try writePidFile(path, container.pid) }
        } catch {
            container.destroy(globals.store, options.id)
            throw error
        }
        return 0
    }

    static func run(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let arguments = try CommandArguments(arguments, rules + runRules)
        let (spec, options) = try prepare(globals, arguments)
        let consoleSocket = arguments.value("console-socket")
        let detaches = arguments.has("detach")
        try checkConsole(spec, consoleSocket, detaches: detaches)
        if detaches {
            var container = try ContainerRuntime.launch(spec, options, .open)
            do {
                if let master = container.terminalMaster.take() { try ConsoleSocket.send(master, to: consoleSocket) }
                if let path = arguments.value("pid-file") { try writePidFile(path, container.pid) }
            } catch {
                container.destroy(globals.store, options.id)
                throw error
            }
            return 0
        }
        // Orphans of a container without a pid namespace come to us, not to the host's init.
        if !arguments.has("no-subreaper") { clp_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
        // Blocked before there is a child to forward to; the child unblocks all for itself.
        let foreground = try ForegroundProcess()
        var container = try ContainerRuntime.launch(spec, options, .open)
        let code: Int32
        do {
            if let path = arguments.value("pid-file") { try writePidFile(path, container.pid) }
            code = try foreground.follow(container.pid, container.pidfd.raw, master: container.terminalMaster.take(), consoleSocket)
        } catch {
            container.destroy(globals.store, options.id)
            throw error
        }
        if !arguments.has("keep") { try DeleteCommand.cleanUp(spec, options.id, options.bundle, container.cgroup, globals.store) }
        return code
    }

    private static func prepare(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> (Spec, CreateOptions) {
        let id = try arguments.containerID()
        let bundle = try absolutePath(arguments.value("bundle") ?? ".")
        var options = CreateOptions(id: id, bundle: bundle)
        options.stateDirectory = globals.root
        options.noPivot = arguments.has("no-pivot")
        options.noNewKeyring = arguments.has("no-new-keyring")
        options.systemdCgroup = globals.systemdCgroup
        options.seccompCacheDirectory = globals.seccompCache
        options.preserveFDs = try arguments.number("preserve-fds") ?? 0
        if options.preserveFDs < 0 { throw RuntimeError(kind: .usage, message: "option --preserve-fds: must not be negative") }
        let bytes: [UInt8]
        do { bytes = try Files.read("\(bundle)/config.json") } catch {
            throw RuntimeError(kind: .invalidSpec(""), message: "open config.json in bundle \(bundle): \(error.reason)")
        }
        var spec = try Spec(parsing: bytes)
        // Socket activation (sd_listen_fds(3)): the descriptors are handed on, and belong to the container's pid 1.
        if let text = getenv("LISTEN_FDS").map({ String(cString: $0) }), let count = Int(text), count > 0 {
            options.preserveFDs += count
            spec.process?.env += ["LISTEN_FDS=\(count)", "LISTEN_PID=1"]
        }
        return (spec, options)
    }

    /// A terminal needs somebody who holds its master.
    static func checkConsole(_ spec: Spec, _ consoleSocket: String?, detaches: Bool) throws(RuntimeError) {
        let hasTerminal = spec.process?.terminal ?? false
        if hasTerminal && detaches && consoleSocket == nil {
            throw RuntimeError(kind: .usage, message: "cannot allocate a terminal: a detached container needs --console-socket")
        }
        if !hasTerminal && consoleSocket != nil {
            throw RuntimeError(kind: .usage, message: "cannot use --console-socket: process.terminal is not set")
        }
    }

    static func absolutePath(_ path: String) throws(SystemError) -> String {
        guard let resolved = realpath(path, nil) else { throw SystemError("open bundle", path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Appears whole: engines read it as soon as it is there.
    static func writePidFile(_ path: String, _ pid: Int32) throws(SystemError) {
        try Files.replace(path, with: Array("\(pid)".utf8), mode: 0o644, durable: false)
    }
}

extension CreatedContainer {
    /// Takes away a container whose creation failed at its last steps.
    mutating func destroy(_ store: StateStore, _ id: String) {
        _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL)
        _ = try? ProcessStatus.reap(pid)
        try? cgroup?.kill()
        try? cgroup?.remove()
        store.remove(id)
    }
}
