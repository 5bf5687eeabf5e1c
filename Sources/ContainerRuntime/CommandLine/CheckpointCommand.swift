internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

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
        let container = try FoundContainer(try arguments.containerID(), globals.store)
        guard container.status == .running || container.status == .paused else {
            throw RuntimeError(
                kind: .state, message: "container cannot be checkpointed in \(container.status.rawValue) state, only running or paused")
        }
        let isPreDump = arguments.has("pre-dump")
        let directories = try CheckpointImages(arguments, creating: true)
        let options = try criuOptions(container, arguments, directories)
        if !isPreDump { try directories.write(try CheckpointTies.streams(of: container.state.pid)) }
        globals.log.debug("container \(container.state.id): \(isPreDump ? "pre-dump" : "dump") of process \(container.state.pid) by criu")
        _ = try CriuSession(program: globals.criu, options: options).perform(isPreDump ? .preDump : .dump) { stage, _, _ in
            globals.log.debug("criu: \(stage)")
        }
        if !isPreDump && !options.leaveRunning {
            // criu has killed the processes: what is left is what a container leaves that has ended.
            let state = container.state
            try DeleteCommand.cleanUp(state.spec, state.id, state.bundle, try? container.cgroup(), state.systemdUnit, globals)
        }
        return 0
    }

    private static func criuOptions(
        _ container: FoundContainer, _ arguments: CommandArguments, _ directories: borrowing CheckpointImages
    ) throws -> CriuOptions {
        let state = container.state
        var options = try CriuOptions(arguments, directories, root: state.rootfs, logFile: "dump.log", annotations: state.spec.annotations)
        options.pid = state.pid
        // A pre-dump lets the container go on by its nature.
        options.leaveRunning = arguments.has("leave-running") || arguments.has("pre-dump")
        options.trackMemory = arguments.has("pre-dump")
        options.tcpSkipInFlight = arguments.has("tcp-skip-in-flight")
        options.linkRemap = arguments.has("link-remap")
        options.parentImage = try parentImage(arguments, directories)
        options.statusFD = try arguments.number("status-fd").flatMap { $0 < 0 ? nil : $0 }
        options.pageServer = try pageServer(arguments)
        if options.lazyPages && options.pageServer == nil {
            throw RuntimeError(kind: .usage, message: "option --lazy-pages needs --page-server")
        }
        options.freezer = try freezer(state.cgroupPath)
        if !arguments.has("pre-dump") {
            options.externalMounts = try CheckpointTies.externalMounts(
                state.spec.mounts.map { PlannedMount($0, bundle: state.bundle, root: state.rootfs) }, of: state.pid)
        }
        options.external = try CheckpointTies.streams(of: state.pid).compactMap { name in
            let file = name.hasPrefix(CheckpointTies.nullPrefix) ? String(name.dropFirst(CheckpointTies.nullPrefix.count)) : name
            return file.hasPrefix("file[") ? file : nil
        }
        if let network = try CheckpointTies.externalNetwork(state.spec) { options.external.append(network) }
        return options
    }

    /// The images of an earlier pre-dump. criu writes the path down in the new images: it must hold from there.
    private static func parentImage(_ arguments: CommandArguments, _ directories: borrowing CheckpointImages) throws(RuntimeError)
        -> String?
    {
        guard let path = arguments.value("parent-path"), !path.isEmpty else { return nil }
        if path.hasPrefix("/") {
            throw RuntimeError(kind: .usage, message: "option --parent-path: \"\(path)\" is not relative to the image path")
        }
        do { _ = try directories.images.openAt(path, O_DIRECTORY) } catch {
            throw RuntimeError(kind: .usage, message: "option --parent-path: open \"\(path)\" in the image path: \(error.reason)")
        }
        return path
    }

    /// `address:port`, `[address]:port`.
    static func pageServer(_ arguments: CommandArguments) throws(RuntimeError) -> (address: String, port: Int32)? {
        guard let text = arguments.value("page-server") else { return nil }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), colon > text.startIndex else {
            throw RuntimeError(kind: .usage, message: "option --page-server: \"\(text)\" is not of the form address:port")
        }
        let address = text[..<colon]
        let isBracketed = address.hasPrefix("[") && address.hasSuffix("]")
        return (String(isBracketed ? address.dropFirst().dropLast() : address), Int32(port))
    }

    /// criu stops the processes by their control group; one by one it would wait for ever for those of a paused container.
    private static func freezer(_ path: String) throws -> String? {
        let layout = try CgroupLayout.detect()
        let hierarchy = layout.hierarchy(of: "freezer") ?? layout.hierarchies.first(where: \.isUnified)
        return hierarchy.map { $0.mountPoint + path }
    }
}
