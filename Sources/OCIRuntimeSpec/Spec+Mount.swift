internal import JSON

extension Spec {
    /// A mount beyond the root filesystem (config.md, "Mounts").
    public struct Mount: Sendable, Equatable {
        /// Absolute, inside the container.
        public var destination: String
        /// A filesystem type; `bind`, or empty with `bind` or `rbind` among the options, for a bind mount.
        public var type: String
        /// A path (absolute, or relative to the bundle) for a bind mount, a device or an arbitrary word otherwise.
        public var source: String
        public var options: [String]
        /// Whose files are whose in a bind mount: ids of the source are `containerID`, those of the destination `hostID`.
        public var uidMappings: [IDMapping] = []
        public var gidMappings: [IDMapping] = []

        public init(destination: String, type: String = "", source: String = "", options: [String] = []) {
            self.destination = destination
            self.type = type
            self.source = source
            self.options = options
        }

        /// Whether the options or the type say bind mount.
        public var isBind: Bool { type == "bind" || options.contains("bind") || options.contains("rbind") }
    }

    /// Programs that run at points of the container's life (config.md, "POSIX-platform Hooks").
    public struct Hooks: Sendable, Equatable {
        public var prestart: [Hook] = []
        public var createRuntime: [Hook] = []
        public var createContainer: [Hook] = []
        public var startContainer: [Hook] = []
        public var poststart: [Hook] = []
        public var poststop: [Hook] = []

        public init() {}

        public var isEmpty: Bool {
            prestart.isEmpty && createRuntime.isEmpty && createContainer.isEmpty && startContainer.isEmpty && poststart.isEmpty
                && poststop.isEmpty
        }
    }

    /// The points of a container's life, in their order.
    public enum HookPoint: String, Sendable, CaseIterable {
        case prestart, createRuntime, createContainer, startContainer, poststart, poststop
    }

    /// One program of a hook point.
    public struct Hook: Sendable, Equatable {
        /// Absolute.
        public var path: String
        /// With argv[0]; empty means the path alone.
        public var args: [String]
        public var env: [String]
        /// Seconds, above zero; nil waits for ever.
        public var timeout: Int?

        public init(path: String, args: [String] = [], env: [String] = [], timeout: Int? = nil) {
            self.path = path
            self.args = args
            self.env = env
            self.timeout = timeout
        }
    }
}

extension Spec.Mount {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let destination = try fields.string("destination"), !destination.isEmpty else { throw SpecError.missing("destination") }
        self.destination = destination
        type = try fields.string("type") ?? ""
        source = try fields.string("source") ?? ""
        options = try fields.strings("options")
        uidMappings = try fields.array("uidMappings", Spec.IDMapping.init)
        gidMappings = try fields.array("gidMappings", Spec.IDMapping.init)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("destination", destination)
        object.put("type", type.isEmpty ? nil : type)
        object.put("source", source.isEmpty ? nil : source)
        object.put("options", options)
        object.put("uidMappings", uidMappings.map(\.json))
        object.put("gidMappings", gidMappings.map(\.json))
        return object.value
    }
}

extension Spec.Hooks {
    /// The hooks of a point.
    public subscript(point: Spec.HookPoint) -> [Spec.Hook] {
        get {
            switch point {
            case .prestart: prestart
            case .createRuntime: createRuntime
            case .createContainer: createContainer
            case .startContainer: startContainer
            case .poststart: poststart
            case .poststop: poststop
            }
        }
        set {
            switch point {
            case .prestart: prestart = newValue
            case .createRuntime: createRuntime = newValue
            case .createContainer: createContainer = newValue
            case .startContainer: startContainer = newValue
            case .poststart: poststart = newValue
            case .poststop: poststop = newValue
            }
        }
    }

    init(_ fields: SpecObject) throws(SpecError) {
        for point in Spec.HookPoint.allCases { self[point] = try fields.array(point.rawValue, Spec.Hook.init) }
    }

    var json: JSONValue {
        var object = SpecWriter()
        for point in Spec.HookPoint.allCases { object.put(point.rawValue, self[point].map(\.json)) }
        return object.value
    }
}

extension Spec.Hook {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let path = try fields.string("path") else { throw SpecError.missing("path") }
        guard path.hasPrefix("/") else { throw SpecError.invalid("path", "must be absolute, is \"\(path)\"") }
        self.path = path
        args = try fields.strings("args")
        env = try fields.strings("env")
        timeout = try fields.number("timeout")
        if let timeout, timeout <= 0 { throw SpecError.invalid("timeout", "must be above zero, is \(timeout)") }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("path", path)
        object.put("args", args)
        object.put("env", env)
        object.put("timeout", timeout)
        return object.value
    }
}
