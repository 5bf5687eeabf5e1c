internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `run`.
enum RunCommand {
    static let definition = CommandDefinition(
        name: "run", operands: "<container-id>", summary: "create a container and execute its program", options: options, run: run)

    private static let options: [OptionRule] =
        CreateCommand.options + [
            .flag("detach", "d", help: "return as soon as the program runs"),
            .flag("keep", help: "do not delete the container when its program has ended"),
            .flag("no-subreaper", help: "leave orphans of the container to the host's init"),
        ]

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        var (spec, options) = try CreateCommand.prepare(globals, arguments)
        let consoleSocket = arguments.value("console-socket")
        let detaches = arguments.has("detach")
        try CreateCommand.checkConsole(spec, consoleSocket, detaches: detaches)
        if detaches {
            try CreateCommand.launchDetached(globals, arguments, spec, options, .open)
            return 0
        }
        if consoleSocket == nil { spec.process?.takeTerminalSize() }
        if spec.process?.terminal == true && consoleSocket == nil { options.stdio = .relayedTerminal }
        // Orphans of a container without a pid namespace come to us, not to the host's init.
        if !arguments.has("no-subreaper") { clp_prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
        // Blocked before there is a child to forward to; the child unblocks all for itself.
        let foreground = try ForegroundProcess()
        var container = try ContainerRuntime.launch(spec, options, .open)
        globals.log.debug("container \(options.id): process \(container.pid)")
        let code: Int32
        do {
            try CreateCommand.announce(container.pid, container.pidfd.raw, kind: "standard", arguments)
            code = try foreground.follow(container.pid, container.pidfd.raw, master: container.terminalMaster.take(), consoleSocket)
        } catch {
            container.destroy(globals.store, options.id)
            throw error
        }
        globals.log.debug("container \(options.id): exit code \(code)")
        if !arguments.has("keep") {
            try DeleteCommand.cleanUp(spec, options.id, options.bundle, container.cgroup, container.systemdUnit, globals)
        }
        return code
    }
}
