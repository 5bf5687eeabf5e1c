public import JSON

extension Spec {
    /// The container's process (config.md, "Process"); also the content of `exec --process` files.
    public struct Process: Sendable, Equatable {
        public var terminal = false
        public var consoleSize: ConsoleSize?
        public var user = User()
        public var args: [String] = []
        /// `NAME=value`.
        public var env: [String] = []
        public var cwd = "/"
        /// Nil keeps none, as an empty set does: the specification's default.
        public var capabilities: Capabilities?
        public var rlimits: [ResourceLimit] = []
        public var noNewPrivileges = false
        public var apparmorProfile: String?
        public var oomScoreAdj: Int32?
        public var selinuxLabel: String?
        public var scheduler: Scheduler?
        public var ioPriority: IOPriority?
        /// For `exec` alone.
        public var execCPUAffinity: CPUAffinity?

        public init() {}
    }

    /// Characters of the terminal.
    public struct ConsoleSize: Sendable, Equatable {
        public var height: UInt16
        public var width: UInt16

        public init(height: UInt16, width: UInt16) {
            self.height = height
            self.width = width
        }
    }

    /// Whom the process runs as, in the container's user namespace.
    public struct User: Sendable, Equatable {
        public var uid: UInt32 = 0
        public var gid: UInt32 = 0
        public var umask: UInt32?
        public var additionalGids: [UInt32] = []

        public init(uid: UInt32 = 0, gid: UInt32 = 0, umask: UInt32? = nil, additionalGids: [UInt32] = []) {
            self.uid = uid
            self.gid = gid
            self.umask = umask
            self.additionalGids = additionalGids
        }
    }

    /// The five sets of capabilities(7), by name (`CAP_CHOWN`).
    public struct Capabilities: Sendable, Equatable {
        public var bounding: [String] = []
        public var effective: [String] = []
        public var inheritable: [String] = []
        public var permitted: [String] = []
        public var ambient: [String] = []

        public init() {}

        /// What Docker gives a root process: bounding, effective and permitted.
        public init(all names: [String]) {
            bounding = names
            effective = names
            permitted = names
        }
    }

    /// A limit of setrlimit(2) by name (`RLIMIT_NOFILE`); `UInt64.max` is unlimited.
    public struct ResourceLimit: Sendable, Equatable {
        public var type: String
        public var soft: UInt64
        public var hard: UInt64

        public init(type: String, soft: UInt64, hard: UInt64) {
            self.type = type
            self.soft = soft
            self.hard = hard
        }
    }
}

extension Spec.Process {
    /// Reads a `process.json`.
    public init(parsing bytes: [UInt8]) throws(SpecError) {
        let document: JSONValue
        do throws(JSONError) { document = try JSONValue(parsing: bytes) } catch {
            throw SpecError(kind: .notJSON, message: error.description)
        }
        do throws(SpecError) { try self.init(try SpecObject(document)) } catch { throw error.inside("process") }
    }

    init(_ fields: SpecObject) throws(SpecError) {
        terminal = try fields.bool("terminal") ?? false
        consoleSize = try fields.object("consoleSize", Spec.ConsoleSize.init)
        user = try fields.object("user", Spec.User.init) ?? Spec.User()
        args = try fields.strings("args")
        env = try fields.strings("env")
        cwd = try fields.string("cwd") ?? ""
        capabilities = try fields.object("capabilities", Spec.Capabilities.init)
        rlimits = try fields.array("rlimits", Spec.ResourceLimit.init)
        noNewPrivileges = try fields.bool("noNewPrivileges") ?? false
        apparmorProfile = try fields.string("apparmorProfile").flatMap { $0.isEmpty ? nil : $0 }
        oomScoreAdj = try fields.number("oomScoreAdj")
        selinuxLabel = try fields.string("selinuxLabel").flatMap { $0.isEmpty ? nil : $0 }
        scheduler = try fields.object("scheduler", Spec.Scheduler.init)
        ioPriority = try fields.object("ioPriority", Spec.IOPriority.init)
        execCPUAffinity = try fields.object("execCPUAffinity", Spec.CPUAffinity.init)
        try fields.refuse("commandLine")
    }

    public var json: JSONValue {
        var object = SpecWriter()
        object.put("terminal", terminal ? true : nil)
        object.put("consoleSize", consoleSize.map { ["height": .integer(Int64($0.height)), "width": .integer(Int64($0.width))] })
        object.put("user", user.json)
        object.put("args", args)
        object.put("env", env)
        object.put("cwd", cwd)
        object.put("capabilities", capabilities?.json)
        object.put(
            "rlimits",
            rlimits.map { ["type": .string($0.type), "hard": SpecWriter.number($0.hard), "soft": SpecWriter.number($0.soft)] })
        object.put("noNewPrivileges", noNewPrivileges ? true : nil)
        object.put("apparmorProfile", apparmorProfile)
        object.put("oomScoreAdj", oomScoreAdj)
        object.put("selinuxLabel", selinuxLabel)
        object.put("scheduler", scheduler?.json)
        object.put("ioPriority", ioPriority?.json)
        object.put("execCPUAffinity", execCPUAffinity?.json)
        return object.value
    }
}

extension Spec.ConsoleSize {
    init(_ fields: SpecObject) throws(SpecError) {
        height = try fields.number("height") ?? 0
        width = try fields.number("width") ?? 0
    }
}

extension Spec.User {
    init(_ fields: SpecObject) throws(SpecError) {
        uid = try fields.number("uid") ?? 0
        gid = try fields.number("gid") ?? 0
        umask = try fields.number("umask")
        additionalGids = try fields.numbers("additionalGids")
        // `username` belongs to Windows alone.
        if let name = try fields.string("username"), !name.isEmpty { throw SpecError.notImplemented("username") }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("uid", uid)
        object.put("gid", gid)
        object.put("umask", umask)
        object.put("additionalGids", additionalGids.map { .integer(Int64($0)) })
        return object.value
    }
}

extension Spec.Capabilities {
    init(_ fields: SpecObject) throws(SpecError) {
        bounding = try fields.strings("bounding")
        effective = try fields.strings("effective")
        inheritable = try fields.strings("inheritable")
        permitted = try fields.strings("permitted")
        ambient = try fields.strings("ambient")
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("bounding", bounding)
        object.put("effective", effective)
        object.put("inheritable", inheritable)
        object.put("permitted", permitted)
        object.put("ambient", ambient)
        return object.value
    }
}

extension Spec.ResourceLimit {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let type = try fields.string("type") else { throw SpecError.missing("type") }
        self.type = type
        guard let soft: UInt64 = try fields.value("soft", SpecObject.limit) else { throw SpecError.missing("soft") }
        guard let hard: UInt64 = try fields.value("hard", SpecObject.limit) else { throw SpecError.missing("hard") }
        self.soft = soft
        self.hard = hard
    }
}

extension SpecObject {
    /// A resource limit; engines also write "unlimited" as -1.
    static func limit(_ value: JSONValue) throws(SpecError) -> UInt64 {
        if case .integer(-1) = value { return UInt64.max }
        return try whole(value)
    }
}
