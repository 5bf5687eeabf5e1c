internal import JSON

/// Where a mount of the container comes from when no path of the host has it: the shim makes it at `place` before it creates the
/// container, in a mount namespace of its own, so that the host never sees it and nothing is left of it.
public struct MountSource: Sendable, Equatable {
    public enum Origin: Sendable, Equatable {
        /// A directory of the host (absolute).
        case directory(String)
        /// The layers of an image, the topmost first, put together read-only.
        case layers([String], mappedRoot: MappedRoot? = nil)
        /// What a process has at a path, in its mount namespace: /dev/shm of a container whose IPC namespace is joined.
        case process(Int32, path: String)
    }

    public var origin: Origin
    /// What of it, resolved inside it: no link leads out. Empty for all.
    public var subpath: String
    /// Where it is put (absolute); the shim makes the file or directory. config.json names it as the mount's source.
    public var place: String
    /// In the root of a stopped container only, where nobody else limits the mount: the runtime has it from config.json.
    public var isReadOnly: Bool
    /// What is mounted below a directory of the host comes with it.
    public var isRecursive: Bool

    public init(origin: Origin, subpath: String, place: String, isReadOnly: Bool = false, isRecursive: Bool = true) {
        self.origin = origin
        self.subpath = subpath
        self.place = place
        self.isReadOnly = isReadOnly
        self.isRecursive = isRecursive
    }
}

extension MountSource {
    var json: JSONValue {
        var writer = FieldsWriter()
        switch origin {
        case .directory(let path): writer.put("directory", path)
        case .layers(let layers, let mappedRoot):
            writer.put("layers", layers)
            if let mappedRoot { writer.put("mappedRoot", mappedRoot.json) }
        case .process(let pid, let path):
            writer.put("process", pid)
            writer.put("directory", path)
        }
        if !subpath.isEmpty { writer.put("subpath", subpath) }
        writer.put("place", place)
        if isReadOnly { writer.put("readOnly", true) }
        if !isRecursive { writer.put("nonRecursive", true) }
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        subpath = try fields.string("subpath", default: "")
        place = try fields.string("place")
        isReadOnly = try fields.flag("readOnly")
        isRecursive = !(try fields.flag("nonRecursive"))
        guard place.hasPrefix("/") else { throw fields.wrong("place", "an absolute path") }
        let layers = try fields.strings("layers")
        let pid: Int32 = try fields.number("process", default: 0)
        switch try fields.optionalString("directory") {
        case .some(let path) where layers.isEmpty && path.hasPrefix("/"): origin = pid > 0 ? .process(pid, path: path) : .directory(path)
        case .none where !layers.isEmpty && pid == 0: origin = .layers(layers, mappedRoot: try MappedRoot(memberOf: fields))
        default: throw fields.wrong("directory", "either an absolute path or layers")
        }
    }
}
