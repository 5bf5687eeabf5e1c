public import JSON

/// Everything a shim needs to start one container. The OCI configuration itself is `config.json` in the bundle.
public struct LaunchRequest: Sendable, Equatable {
    public var containerID: String
    /// The container's run directory (absolute): the shim keeps its socket and state there. Exists already.
    public var directory: String
    /// The OCI bundle (absolute): a directory with config.json.
    public var bundle: String
    public var rootfs: RootFilesystem = .ready
    /// Sources of mounts that the shim makes first.
    public var mountSources: [MountSource] = []
    public var runtime: Runtime
    /// systemd makes the control group, as a scope: `linux.cgroupsPath` of config.json is `slice:prefix:name`.
    public var systemdCgroup = false
    /// Seconds that an external runtime may take for one command; 0: as long as it takes.
    public var runtimeTimeout: UInt32 = 0
    /// The soft limit of open files that hooks and an external runtime get; nil: the shim's own.
    public var openFiles: UInt64?
    public var log: Log = .none
    /// The container has a terminal; must agree with `process.terminal` of config.json.
    public var terminal = false
    public var stdin: StandardInput = .closed
    /// Where the exit record goes (absolute); empty: `exit.json` in the run directory.
    public var exitRecordPath = ""
    /// The exit record is flushed to the disk before it is announced.
    public var exitRecordIsDurable = false
    /// Streams that exist before the container starts, so that no output is lost: one each for the sockets that follow
    /// the control socket. Set by `Supervisor.launch(_:descriptors:attaching:)`.
    public var attachments: [AttachOptions] = []
    /// Published ports that the shim serves; their sockets are among the descriptors that it is lent.
    public var relay: PortRelay?

    public init(containerID: String, directory: String, bundle: String, runtime: Runtime) {
        self.containerID = containerID
        self.directory = directory
        self.bundle = bundle
        self.runtime = runtime
    }

    /// Where the container's root filesystem comes from.
    public enum RootFilesystem: Sendable, Equatable {
        /// `root.path` of config.json is there already.
        case ready
        /// The shim mounts an overlay on `<bundle>/rootfs`, which config.json names as root.path.
        case overlay(Overlay)
    }

    /// Who creates the container's processes.
    public enum Runtime: Sendable, Equatable {
        /// Clipper's own, inside the shim; `root` is its state directory.
        case inProcess(root: String)
        /// runc, crun or another with their command line; `arguments` come before all others.
        case external(path: String, root: String, arguments: [String] = [])
    }

    /// What becomes of the container's output besides its attached streams.
    public enum Log: Sendable, Equatable {
        case none
        case jsonFile(JSONFile)
        case remote(Remote)

        /// Docker's json-file driver.
        public struct JSONFile: Sendable, Equatable {
            /// The file (absolute); appended to, made with mode 0640.
            public var path: String
            /// Bytes after which the file is rotated; 0 never.
            public var maxSize: Int64 = 0
            /// How many files there are at most, counting the current one (`path.1` is the youngest of the others); at least 1.
            public var maxFiles: Int = 1
            /// Files but the current one are packed with gzip (`path.1.gz`), by a process of its own.
            public var compresses = false
            /// Members of `attrs` on each line, sorted by name: labels, environment and tag, as the log options ask.
            public var attributes: [String: String] = [:]

            public init(path: String) { self.path = path }
        }
    }

    /// The container's standard input.
    public enum StandardInput: String, Sendable, Equatable {
        /// /dev/null.
        case closed
        /// Stays open when an attached client goes (`OpenStdin`).
        case open
        /// Is closed when the first attached client closes its own (`OpenStdin` and `StdinOnce`).
        case once
    }
}

/// Read-only layers and one writable layer.
public struct Overlay: Sendable, Equatable {
    /// Layer directories, the topmost first; absolute paths.
    public var layers: [String]
    /// The writable layer and the overlay's work directory, on one filesystem. Nil: the mount is read-only.
    public var upper: String?
    public var work: String?
    /// No fsync ever (overlayfs.rst, "Volatile mount"): for containers whose writable layer goes with them.
    public var isVolatile = false
    /// Whose ids the files have inside, when the container's are not the host's: on the disk they are the container's, and mounts
    /// that map owners make the host's of them. Nil: no mapping.
    public var mappedRoot: MappedRoot?

    public init(layers: [String], upper: String?, work: String?, isVolatile: Bool = false, mappedRoot: MappedRoot? = nil) {
        self.layers = layers
        self.upper = upper
        self.work = work
        self.isVolatile = isVolatile
        self.mappedRoot = mappedRoot
    }
}

/// Which streams a peer wants.
public struct AttachOptions: Sendable, Equatable {
    public var stdin: Bool
    public var stdout: Bool
    public var stderr: Bool
    /// Output goes out as it comes, without frames that tell stdout from stderr.
    public var isRaw: Bool
    /// Output goes out in frames, a terminal's too, which otherwise goes out as it comes.
    public var isFramed: Bool
    /// What a peer types at a terminal to detach; empty: nothing does.
    public var detachKeys: [UInt8]

    public init(
        stdin: Bool = false, stdout: Bool = true, stderr: Bool = true, isRaw: Bool = false, isFramed: Bool = false, detachKeys: [UInt8] = []
    ) {
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.isRaw = isRaw
        self.isFramed = isFramed
        self.detachKeys = detachKeys
    }
}

extension LaunchRequest {
    /// The message's members.
    public var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("version", ShimWire.version)
        writer.put("container", containerID)
        writer.put("directory", directory)
        writer.put("bundle", bundle)
        if case .overlay(let overlay) = rootfs { writer.put("overlay", overlay.json) }
        if !mountSources.isEmpty { writer.put("mountSources", .array(mountSources.map(\.json))) }
        switch runtime {
        case .inProcess(let root): writer.put("runtimeRoot", root)
        case .external(let path, let root, let arguments):
            writer.put("runtimePath", path)
            writer.put("runtimeRoot", root)
            if !arguments.isEmpty { writer.put("runtimeArguments", .array(arguments.map { .string($0) })) }
        }
        if systemdCgroup { writer.put("systemdCgroup", true) }
        if runtimeTimeout > 0 { writer.put("runtimeTimeout", runtimeTimeout) }
        if let openFiles { writer.put("openFiles", openFiles) }
        switch log {
        case .none: break
        case .jsonFile(let file): writer.put("jsonFile", file.json)
        case .remote(let remote): writer.put("remoteLog", remote.json)
        }
        writer.put("terminal", terminal)
        writer.put("stdin", stdin.rawValue)
        writer.put("exitRecord", exitRecordPath)
        writer.put("durable", exitRecordIsDurable)
        writer.put("attachments", .array(attachments.map(\.json)))
        if let relay { writer.put("relay", relay.json) }
        return writer.value
    }

    /// Reads a message.
    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "launch")
        containerID = try fields.string("container")
        directory = try fields.string("directory")
        bundle = try fields.string("bundle")
        rootfs = fields.isAbsent("overlay") ? .ready : .overlay(try Overlay(try fields.object("overlay")))
        for element in value["mountSources"]?.arrayValue ?? [] {
            mountSources.append(try MountSource(try Fields(element, "launch.mountSources")))
        }
        let root = try fields.string("runtimeRoot")
        let arguments = value["runtimeArguments"]?.arrayValue?.compactMap(\.stringValue) ?? []
        runtime =
            try fields.optionalString("runtimePath").map { .external(path: $0, root: root, arguments: arguments) } ?? .inProcess(root: root)
        systemdCgroup = try fields.flag("systemdCgroup")
        runtimeTimeout = try fields.number("runtimeTimeout", default: 0)
        if !fields.isAbsent("openFiles") { openFiles = try fields.number("openFiles") }
        if !fields.isAbsent("jsonFile") { log = .jsonFile(try Log.JSONFile(try fields.object("jsonFile"))) }
        if !fields.isAbsent("remoteLog") { log = .remote(try Log.Remote(try fields.object("remoteLog"))) }
        terminal = try fields.flag("terminal")
        guard let stdin = StandardInput(rawValue: try fields.string("stdin", default: "closed")) else {
            throw fields.wrong("stdin", "closed, open or once")
        }
        self.stdin = stdin
        exitRecordPath = try fields.string("exitRecord", default: "")
        exitRecordIsDurable = try fields.flag("durable")
        for element in value["attachments"]?.arrayValue ?? [] {
            attachments.append(try AttachOptions(try Fields(element, "launch.attachments")))
        }
        if !fields.isAbsent("relay") { relay = try PortRelay(try fields.object("relay")) }
        for (name, path) in [("directory", directory), ("bundle", bundle)] where !path.hasPrefix("/") {
            throw ShimFailure(.invalidRequest, "launch.\(name): \(path) is not an absolute path")
        }
    }
}

extension LaunchRequest.Log.JSONFile {
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("path", path)
        writer.put("maxSize", maxSize)
        writer.put("maxFiles", maxFiles)
        writer.put("compress", compresses)
        writer.put("attributes", attributes)
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        path = try fields.string("path")
        maxSize = try fields.number("maxSize", default: 0)
        maxFiles = try fields.number("maxFiles", default: 1)
        guard maxFiles >= 1, maxSize >= 0 else { throw fields.wrong("maxFiles", "at least 1, and maxSize not negative") }
        compresses = try fields.flag("compress")
        attributes = try fields.texts("attributes")
    }
}

extension Overlay {
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("layers", layers)
        writer.put("upper", upper)
        writer.put("work", work)
        writer.put("volatile", isVolatile)
        if let mappedRoot { writer.put("mappedRoot", mappedRoot.json) }
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        layers = try fields.strings("layers")
        upper = try fields.optionalString("upper")
        work = try fields.optionalString("work")
        isVolatile = try fields.flag("volatile")
        mappedRoot = try MappedRoot(memberOf: fields)
        guard (upper == nil) == (work == nil) else { throw fields.wrong("work", "upper and work together") }
        guard !layers.isEmpty || upper != nil else { throw fields.wrong("layers", "at least one layer or a writable one") }
    }
}

extension AttachOptions {
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("stdin", stdin)
        writer.put("stdout", stdout)
        writer.put("stderr", stderr)
        writer.put("raw", isRaw)
        writer.put("framed", isFramed)
        // They are ASCII.
        if !detachKeys.isEmpty { writer.put("detachKeys", String(decoding: detachKeys, as: UTF8.self)) }
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        self.init(
            stdin: try fields.flag("stdin"), stdout: try fields.flag("stdout"), stderr: try fields.flag("stderr"),
            isRaw: try fields.flag("raw"), isFramed: try fields.flag("framed"),
            detachKeys: Array(try fields.string("detachKeys", default: "").utf8))
    }
}
