/// `checkpoint`.
enum CheckpointCommand {
    static let definition = CommandDefinition(
        name: "checkpoint", operands: "<container-id>", summary: "save a running container to files, with criu", options: options, run: run)

    /// Also of `restore`.
    static let commonOptions: [OptionRule] = [
        .value("image-path", help: "directory of the image files (default: ./checkpoint)"),
        .value("work-path", help: "directory of criu's log and other working files (default: the image path)"),
        .flag("tcp-established", help: "allow open TCP connections"),
        .flag("ext-unix-sk", help: "allow Unix sockets that lead out of the container"),
        .flag("shell-job", help: "allow a terminal from outside"),
        .flag("file-locks", help: "carry file locks over"),
        .value("manage-cgroups-mode", help: "control groups: soft, full, strict or ignore (default: soft)"),
        .value("empty-ns", help: "create a namespace without its properties: network"),
        .flag("auto-dedup", help: "leave memory pages out of images that a later one has"),
        .flag("lazy-pages", help: "transfer memory pages when they are used (userfaultfd)"),
    ]

    private static let options: [OptionRule] =
        commonOptions + [
            .value("parent-path", help: "directory of the images of an earlier --pre-dump, relative to the image path"),
            .flag("leave-running", help: "let the container go on"),
            .flag("tcp-skip-in-flight", help: "leave out TCP connections that are not established yet"),
            .flag("link-remap", help: "give open files without a name one for the time of the checkpoint"),
            .value("status-fd", help: "descriptor that criu writes a zero byte to when lazy pages can be asked for"),
            .value("page-server", help: "address:port of the criu that takes the memory pages"),
            .flag("pre-dump", help: "save memory only and let the container go on"),
        ]

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        throw RuntimeError.notImplemented("command checkpoint")
    }
}
