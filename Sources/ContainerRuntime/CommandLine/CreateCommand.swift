internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `create`.
enum CreateCommand {
    static let definition = CommandDefinition(
        name: "create", operands: "<container-id>", summary: "create a container; `start` executes its program", options: options, run: run)

    /// Also of `run`.
    static let options: [OptionRule] = [
        .value("bundle", "b", help: "directory of config.json (default: the working directory)"),
        .value("console-socket", help: "Unix socket that receives the terminal's master"),
        .value("pidfd-socket", help: "Unix socket that receives a pidfd of the container's first process"),
        .value("pid-file", help: "file to write the process id to"),
        .flag("no-pivot", help: "MS_MOVE and chroot instead of pivot_root, for a root filesystem on a ramdisk"),
        .flag("no-new-keyring", help: "keep the caller's session keyring"),
        .value("preserve-fds", help: "how many descriptors from 3 on the container keeps, beside those of LISTEN_FDS"),
    ]

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let (spec, options) = try prepare(globals, arguments)
        try checkConsole(spec, arguments.value("console-socket"), detaches: true)
        try launchDetached(globals, arguments, spec, options, .stateDirectory)
        return 0
    }

    /// Launches a container and hands its descriptors and its number over; if that fails, nothing is left of it.
    static func launchDetached(
        _ globals: GlobalOptions, _ arguments: CommandArguments, _ spec: Spec, _ options: CreateOptions, _ gate: Launcher.Gate
    ) throws {
        var container = try ContainerRuntime.launch(spec, options, gate)
        globals.log.debug("container \(options.id): process \(container.pid)")
        do {
            if let master = container.terminalMaster.take() {
                try DescriptorSocket.sendTerminal(master, to: arguments.value("console-socket"))
            }
            try announce(container.pid, container.pidfd.raw, kind: "standard", arguments)
        } catch {
            container.destroy(globals.store, options.id)
            throw error
        }
    }

    /// Tells who asked for it which process it is: by `--pidfd-socket` and `--pid-file`.
    static func announce(_ pid: Int32, _ pidfd: Int32, kind: String, _ arguments: CommandArguments) throws {
        if let path = arguments.value("pidfd-socket") { try DescriptorSocket.sendPidfd(pidfd, kind: kind, to: path) }
        if let path = arguments.value("pid-file") { try writePidFile(path, pid) }
    }

    static func prepare(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> (Spec, CreateOptions) {
        let id = try arguments.containerID()
        let bundle = try absolutePath(arguments.value("bundle") ?? ".")
        var options = CreateOptions(id: id, bundle: bundle)
        options.stateDirectory = globals.root
        options.noPivot = arguments.has("no-pivot")
        options.noNewKeyring = arguments.has("no-new-keyring")
        options.systemdCgroup = globals.systemdCgroup
        options.canLackCgroup = globals.isRootless
        options.seccompCacheDirectory = globals.seccompCache
        options.warn = { [log = globals.log] in log.warn($0) }
        options.preserveFDs = try arguments.number("preserve-fds") ?? 0
        globals.log.debug("container \(id): read \(bundle)/config.json")
        let bytes: [UInt8]
        do { bytes = try Files.read("\(bundle)/config.json") } catch {
            throw RuntimeError(kind: .invalidSpec(""), message: "open config.json in bundle \(bundle): \(error.reason)")
        }
        var spec = try Spec(parsing: bytes)
        // Socket activation (sd_listen_fds(3)): the descriptors are handed on, and belong to the container's pid 1.
        if let count = listenDescriptors() {
            options.preserveFDs = options.preserveFDs.addingReportingOverflow(count).partialValue
            spec.process?.env += ["LISTEN_FDS=\(count)", "LISTEN_PID=1"]
        }
        return (spec, options)
    }

    /// How many descriptors are meant for this process; they may be meant for another that left its environment to us.
    private static func listenDescriptors() -> Int? {
        guard let count = getenv("LISTEN_FDS").flatMap({ Int(String(cString: $0)) }), count > 0,
            let pid = getenv("LISTEN_PID").flatMap({ Int32(String(cString: $0)) }), pid == getpid()
        else { return nil }
        return count
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
        if let systemdUnit { try? SystemdScope.stop(systemdUnit) }
        try? cgroup?.remove()
        store.remove(id)
    }
}
