internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `restore`.
enum RestoreCommand {
    static let definition = CommandDefinition(
        name: "restore", operands: "<container-id>", summary: "make a container from the files of a checkpoint, with criu",
        options: options,
        run: run)

    private static let options: [OptionRule] =
        CheckpointCommand.commonOptions + [
            .value("bundle", "b", help: "directory of config.json (default: the working directory)"),
            .value("console-socket", help: "Unix socket that receives the terminal's master"),
            .flag("detach", "d", help: "return as soon as the container runs"),
            .value("pid-file", help: "file to write the process id to"),
            .flag("no-subreaper", help: "leave orphans of the container to the host's init"),
            .flag("no-pivot", help: "not implemented: criu makes the root file system"),
            .value("lsm-profile", help: "security profile to restore with, type:name"),
            .value("lsm-mount-context", help: "security context of the mounts to restore with"),
        ]

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        // criu makes the root file system itself.
        if arguments.has("no-pivot") { throw RuntimeError.notImplemented("restore --no-pivot") }
        let (spec, createOptions) = try CreateCommand.prepare(globals, arguments)
        let plan = try ContainerPlan(spec: spec, options: createOptions)
        let directories = try CheckpointImages(arguments, creating: false)
        let detaches = arguments.has("detach")
        let consoleSocket = arguments.value("console-socket")
        try CreateCommand.checkConsole(spec, consoleSocket, detaches: detaches)
        if !detaches && !arguments.has("no-subreaper") { clp_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
        let foreground = detaches ? nil : try ForegroundProcess()
        var restorer = ContainerRestorer(plan: plan, criu: globals.criu, log: globals.log)
        restorer.lsmProfile = arguments.value("lsm-profile")
        restorer.lsmMountContext = arguments.value("lsm-mount-context")
        let options = try CriuOptions(
            arguments, directories, root: plan.rootPath, logFile: "restore.log", annotations: spec.annotations)
        var container = try restorer.restore(options, directories)
        let id = createOptions.id
        do {
            if detaches, let master = container.terminalMaster.take() { try DescriptorSocket.sendTerminal(master, to: consoleSocket) }
            try CreateCommand.announce(container.pid, container.pidfd.raw, kind: "standard", arguments)
            guard let foreground = consume foreground else { return 0 }
            let master = container.terminalMaster.take()
            let code = try foreground.follow(container.pid, container.pidfd.raw, master: master, consoleSocket)
            try DeleteCommand.cleanUp(spec, id, createOptions.bundle, container.cgroup, container.systemdUnit, globals)
            return code
        } catch {
            container.destroy(globals.store, id)
            throw error
        }
    }
}
