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
            .flag("no-pivot", help: "MS_MOVE and chroot instead of pivot_root"),
            .value("lsm-profile", help: "security profile to restore with, type:name"),
            .value("lsm-mount-context", help: "security context of the mounts to restore with"),
        ]

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        throw RuntimeError.notImplemented("command restore")
    }
}
