public import JSON

/// One job of the rootfs helper, `clipper-runtime rootfs`: work inside the root filesystem of a container or image.
///
/// The request comes as one frame on descriptor 3; byte streams are standard input and output; one frame with
/// `RootfsAnswer` goes back when the job is done.
public struct RootfsRequest: Sendable, Equatable {
    public var target: Target
    public var operation: Operation
    /// What is mounted in the root of a stopped container, parents first: each at `place`, a path inside the root. Of `overlay`
    /// with a writable layer only.
    public var mounts: [MountSource]
    /// Whether a frame with `RootfsAnswer.opened` is wanted before the work begins.
    public var tellsOpening: Bool

    public init(target: Target, operation: Operation, mounts: [MountSource] = [], tellsOpening: Bool = false) {
        self.tellsOpening = tellsOpening
        self.target = target
        self.operation = operation
        self.mounts = mounts
    }

    /// Whose files.
    public enum Target: Sendable, Equatable {
        /// A stopped container or an image: the helper mounts the layers in a mount namespace of its own.
        case overlay(Overlay)
        /// A running container: its root as its first process sees it, volumes included. The time of its start (field 22 of
        /// /proc/pid/stat) tells it from a later one of the same number; when it is no more, the failure is `ended`, and no byte
        /// has been read or written.
        case process(Int32, startTime: UInt64)
        /// A directory of the host that is the root.
        case directory(String)
    }

    /// User and group numbers.
    public struct Owner: Sendable, Equatable {
        public var uid: UInt32
        public var gid: UInt32

        public init(uid: UInt32, gid: UInt32) {
            self.uid = uid
            self.gid = gid
        }
    }

    /// What to do. Paths are paths inside the root; symbolic links stay inside it.
    public enum Operation: Sendable, Equatable {
        /// A tar stream of a file or directory to standard output; entries are named from the last component of the path, as `docker cp` wants.
        case archiveOut(path: String)
        /// Unpacks a tar stream from standard input into an existing directory.
        /// - `noOverwriteDirNonDir`: a directory never replaces a file or the other way round.
        /// - `owner`: whose the entries become; nil for the stream's own owners.
        case archiveIn(path: String, noOverwriteDirNonDir: Bool, owner: Owner?)
        /// What is at a path; answered with `RootfsAnswer.status`.
        case stat(path: String)
        /// The whole root as a tar stream to standard output.
        case export
        /// Copies the content of a directory of the root, with owners, modes and extended attributes, into a directory of the host
        /// when that is empty: first use of a volume. A path that is not there copies nothing.
        case copyUp(path: String, destination: String)
        /// As `archiveIn` with owners, making the directory when it is missing: the builder's COPY.
        case buildCopy(path: String)
    }
}

/// The file at a path, as Docker's X-Docker-Container-Path-Stat header tells it.
public struct PathStatus: Sendable, Equatable {
    public var name: String
    public var size: Int64
    /// st_mode of stat(2).
    public var mode: UInt32
    /// Modification time, RFC 3339.
    public var modifiedAt: String
    /// Where a symbolic link points, resolved inside the root; empty for anything else.
    public var linkTarget: String

    public init(name: String, size: Int64, mode: UInt32, modifiedAt: String, linkTarget: String) {
        self.name = name
        self.size = size
        self.mode = mode
        self.modifiedAt = modifiedAt
        self.linkTarget = linkTarget
    }
}

public enum RootfsAnswer: Sendable, Equatable {
    /// The root is mounted and open; another answer follows.
    case opened
    case done
    case status(PathStatus)
    case failure(ShimFailure)
}

extension RootfsRequest {
    public var json: JSONValue {
        var writer = FieldsWriter()
        switch target {
        case .overlay(let overlay): writer.put("overlay", overlay.json)
        case .process(let pid, let startTime):
            writer.put("pid", pid)
            writer.put("startTime", startTime)
        case .directory(let path): writer.put("directory", path)
        }
        if tellsOpening { writer.put("tellsOpening", true) }
        if !mounts.isEmpty { writer.put("mounts", .array(mounts.map(\.json))) }
        switch operation {
        case .archiveOut(let path):
            writer.put("op", "archiveOut")
            writer.put("path", path)
        case .archiveIn(let path, let noOverwriteDirNonDir, let owner):
            writer.put("op", "archiveIn")
            writer.put("path", path)
            writer.put("noOverwriteDirNonDir", noOverwriteDirNonDir)
            if let owner {
                writer.put("uid", owner.uid)
                writer.put("gid", owner.gid)
            }
        case .stat(let path):
            writer.put("op", "stat")
            writer.put("path", path)
        case .export: writer.put("op", "export")
        case .copyUp(let path, let destination):
            writer.put("op", "copyUp")
            writer.put("path", path)
            writer.put("destination", destination)
        case .buildCopy(let path):
            writer.put("op", "buildCopy")
            writer.put("path", path)
        }
        return writer.value
    }

    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "rootfs request")
        if !fields.isAbsent("overlay") {
            target = .overlay(try Overlay(try fields.object("overlay")))
        } else if !fields.isAbsent("pid") {
            target = .process(try fields.number("pid"), startTime: try fields.number("startTime"))
        } else {
            target = .directory(try fields.string("directory"))
        }
        tellsOpening = try fields.flag("tellsOpening")
        mounts = []
        for element in value["mounts"]?.arrayValue ?? [] { mounts.append(try MountSource(try Fields(element, "rootfs request.mounts"))) }
        switch try fields.string("op") {
        case "archiveOut": operation = .archiveOut(path: try fields.string("path"))
        case "archiveIn":
            operation = .archiveIn(
                path: try fields.string("path"), noOverwriteDirNonDir: try fields.flag("noOverwriteDirNonDir"),
                owner: fields.isAbsent("uid") ? nil : Owner(uid: try fields.number("uid"), gid: try fields.number("gid")))
        case "stat": operation = .stat(path: try fields.string("path"))
        case "export": operation = .export
        case "copyUp": operation = .copyUp(path: try fields.string("path"), destination: try fields.string("destination"))
        case "buildCopy": operation = .buildCopy(path: try fields.string("path"))
        case let name: throw ShimFailure(.unsupported, "the rootfs helper does not know the request \(name)")
        }
    }
}

extension RootfsAnswer {
    public var json: JSONValue {
        var writer = FieldsWriter()
        switch self {
        case .opened: writer.put("opened", true)
        case .done: break
        case .failure(let failure): writer.put("failure", failure.json)
        case .status(let status):
            var inner = FieldsWriter()
            inner.put("name", status.name)
            inner.put("size", status.size)
            inner.put("mode", status.mode)
            inner.put("modifiedAt", status.modifiedAt)
            inner.put("linkTarget", status.linkTarget)
            writer.put("status", inner.value)
        }
        return writer.value
    }

    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "rootfs answer")
        if try fields.flag("opened") {
            self = .opened
        } else if !fields.isAbsent("failure") {
            self = .failure(try ShimFailure(try fields.object("failure")))
        } else if !fields.isAbsent("status") {
            let status = try fields.object("status")
            self = .status(
                PathStatus(
                    name: try status.string("name"), size: try status.number("size"), mode: try status.number("mode"),
                    modifiedAt: try status.string("modifiedAt"), linkTarget: try status.string("linkTarget")))
        } else {
            self = .done
        }
    }
}
