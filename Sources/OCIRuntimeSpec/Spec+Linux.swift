internal import JSON

extension Spec {
    /// The Linux part (config-linux.md).
    public struct LinuxConfig: Sendable, Equatable {
        public var uidMappings: [IDMapping] = []
        public var gidMappings: [IDMapping] = []
        public var sysctl: [String: String] = [:]
        public var resources: Resources?
        /// `/a/b` below each hierarchy's root, or `slice:prefix:name` for systemd.
        public var cgroupsPath: String?
        public var namespaces: [Namespace] = []
        public var devices: [Device] = []
        public var seccomp: Seccomp?
        /// `shared`, `slave`, `private`, `unbindable` and their recursive forms (`rslave`…).
        public var rootfsPropagation: String?
        public var maskedPaths: [String] = []
        public var readonlyPaths: [String] = []
        public var mountLabel: String?
        public var personality: Personality?
        /// By the clock's name, `monotonic` or `boottime`.
        public var timeOffsets: [String: TimeOffset] = [:]
        public var netDevices: [NetDevice] = []
        public var intelRdt: IntelRdt?
        public var memoryPolicy: MemoryPolicy?

        public init() {}
    }

    /// `size` ids from `hostID` on the host are `containerID`… in the container.
    public struct IDMapping: Sendable, Equatable {
        public var containerID: UInt32
        public var hostID: UInt32
        public var size: UInt32

        public init(containerID: UInt32, hostID: UInt32, size: UInt32) {
            self.containerID = containerID
            self.hostID = hostID
            self.size = size
        }
    }

    /// A namespace of its own, or the one at `path`.
    public struct Namespace: Sendable, Equatable {
        public var type: NamespaceType
        public var path: String?

        public init(_ type: NamespaceType, path: String? = nil) {
            self.type = type
            self.path = path
        }
    }

    /// The kinds of namespaces that are implemented.
    public enum NamespaceType: String, Sendable, CaseIterable {
        case pid, network, mount, ipc, uts, user, cgroup, time
    }

    /// A device file in the container.
    public struct Device: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            case character = "c"
            case block = "b"
            case fifo = "p"
        }

        public var path: String
        public var kind: Kind
        public var major: UInt32
        public var minor: UInt32
        /// Permission bits; nil is 0o666.
        public var fileMode: UInt32?
        public var uid: UInt32
        public var gid: UInt32

        public init(path: String, kind: Kind, major: UInt32, minor: UInt32, fileMode: UInt32? = nil, uid: UInt32 = 0, gid: UInt32 = 0) {
            self.path = path
            self.kind = kind
            self.major = major
            self.minor = minor
            self.fileMode = fileMode
            self.uid = uid
            self.gid = gid
        }
    }

    /// The kernel that the process sees in uname(2).
    public enum Personality: String, Sendable, CaseIterable {
        case linux = "LINUX"
        case linux32 = "LINUX32"
    }
}

extension Spec.LinuxConfig {
    init(_ fields: SpecObject) throws(SpecError) {
        uidMappings = try fields.array("uidMappings", Spec.IDMapping.init)
        gidMappings = try fields.array("gidMappings", Spec.IDMapping.init)
        sysctl = try fields.map("sysctl")
        resources = try fields.object("resources", Spec.Resources.init)
        cgroupsPath = try fields.string("cgroupsPath").flatMap { $0.isEmpty ? nil : $0 }
        namespaces = try fields.array("namespaces", Spec.Namespace.init)
        devices = try fields.array("devices", Spec.Device.init)
        seccomp = try fields.object("seccomp", Spec.Seccomp.init)
        rootfsPropagation = try fields.string("rootfsPropagation").flatMap { $0.isEmpty ? nil : $0 }
        maskedPaths = try fields.strings("maskedPaths")
        readonlyPaths = try fields.strings("readonlyPaths")
        mountLabel = try fields.string("mountLabel").flatMap { $0.isEmpty ? nil : $0 }
        personality = try fields.object("personality") { (fields) throws(SpecError) in
            guard let domain = try fields.string("domain") else { throw SpecError.missing("domain") }
            guard let value = Spec.Personality(rawValue: domain) else { throw SpecError.invalid("domain", "unknown domain \"\(domain)\"") }
            // No flag is defined that a runtime must know: an unknown one is refused rather than dropped.
            if !(try fields.strings("flags")).isEmpty { throw SpecError.notImplemented("flags") }
            return value
        }
        try readHostResources(fields)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("uidMappings", uidMappings.map(\.json))
        object.put("gidMappings", gidMappings.map(\.json))
        object.put("sysctl", sysctl)
        object.put("resources", resources?.json)
        object.put("cgroupsPath", cgroupsPath)
        object.put("namespaces", namespaces.map(\.json))
        object.put("devices", devices.map(\.json))
        object.put("seccomp", seccomp?.json)
        object.put("rootfsPropagation", rootfsPropagation)
        object.put("maskedPaths", maskedPaths)
        object.put("readonlyPaths", readonlyPaths)
        object.put("mountLabel", mountLabel)
        object.put("personality", personality.map { ["domain": .string($0.rawValue)] })
        object.put("timeOffsets", timeOffsetsJSON)
        object.put("netDevices", netDevicesJSON)
        object.put("intelRdt", intelRdt?.json)
        object.put("memoryPolicy", memoryPolicy?.json)
        return object.value
    }
}

extension Spec.IDMapping {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let containerID: UInt32 = try fields.number("containerID") else { throw SpecError.missing("containerID") }
        guard let hostID: UInt32 = try fields.number("hostID") else { throw SpecError.missing("hostID") }
        guard let size: UInt32 = try fields.number("size") else { throw SpecError.missing("size") }
        self.init(containerID: containerID, hostID: hostID, size: size)
    }

    var json: JSONValue { ["containerID": .integer(Int64(containerID)), "hostID": .integer(Int64(hostID)), "size": .integer(Int64(size))] }
}

extension Spec.Namespace {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let name = try fields.string("type") else { throw SpecError.missing("type") }
        guard let type = Spec.NamespaceType(rawValue: name) else { throw SpecError.invalid("type", "unknown namespace \"\(name)\"") }
        self.type = type
        path = try fields.string("path").flatMap { $0.isEmpty ? nil : $0 }
        if let path, !path.hasPrefix("/") { throw SpecError.invalid("path", "must be absolute, is \"\(path)\"") }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("type", type.rawValue)
        object.put("path", path)
        return object.value
    }
}

extension Spec.Device {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let path = try fields.string("path") else { throw SpecError.missing("path") }
        guard path.hasPrefix("/") else { throw SpecError.invalid("path", "must be absolute, is \"\(path)\"") }
        guard let letter = try fields.string("type") else { throw SpecError.missing("type") }
        // `u` is the specification's other letter for a character device.
        guard let kind = Kind(rawValue: letter == "u" ? "c" : letter) else {
            throw SpecError.invalid("type", "unknown device type \"\(letter)\"")
        }
        let major: UInt32? = try fields.number("major")
        let minor: UInt32? = try fields.number("minor")
        if kind != .fifo && (major == nil || minor == nil) { throw SpecError.missing(major == nil ? "major" : "minor") }
        // A fifo has no numbers, whatever is given.
        let isNumbered = kind != .fifo
        self.init(
            path: path, kind: kind, major: isNumbered ? major ?? 0 : 0, minor: isNumbered ? minor ?? 0 : 0,
            fileMode: try fields.number("fileMode"),
            uid: try fields.number("uid") ?? 0, gid: try fields.number("gid") ?? 0)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("path", path)
        object.put("type", kind.rawValue)
        if kind != .fifo {
            object.put("major", major)
            object.put("minor", minor)
        }
        object.put("fileMode", fileMode)
        object.put("uid", uid)
        object.put("gid", gid)
        return object.value
    }
}
