// OCIRuntimeSpec: what a container is to be, as the OCI runtime specification 1.2 writes it (config.json).
//
// `Spec` and its nested types are the nouns of the specification, one to one. `Spec(parsing:)` reads config.json:
// a value of the wrong type is a `SpecError` that names its field (`process.user.uid: expected a number…`), and so
// is a field of the specification that Clipper does not implement. Fields that no specification knows are ignored,
// as config.md ("Extensibility") demands. `json` writes config.json.
//
// Used by ContainerRuntime (applies it), Shim and Supervision (hand it over), Engine (fills it in).
public import JSON

/// The configuration of one container (config.md). Everything absent has its specification's default.
public struct Spec: Sendable, Equatable {
    /// The newest specification that is understood; what `json` writes unless told otherwise.
    public static let newestVersion = "1.3.0"
    /// The oldest specification that is understood.
    public static let oldestVersion = "1.0.0"

    public var ociVersion = Spec.newestVersion
    public var process: Process?
    public var root: Root?
    public var hostname: String?
    public var domainname: String?
    /// In the order in which they are mounted.
    public var mounts: [Mount] = []
    public var hooks = Hooks()
    public var annotations: [String: String] = [:]
    public var linux = LinuxConfig()

    public init() {}

    /// The container's root filesystem (config.md, "Root").
    public struct Root: Sendable, Equatable {
        /// Absolute, or relative to the bundle.
        public var path: String
        public var readonly = false

        public init(path: String, readonly: Bool = false) {
            self.path = path
            self.readonly = readonly
        }
    }
}

extension Spec {
    /// Reads config.json.
    public init(parsing bytes: [UInt8]) throws(SpecError) {
        let document: JSONValue
        do throws(JSONError) { document = try JSONValue(parsing: bytes) } catch {
            throw SpecError(kind: .notJSON, message: error.description)
        }
        try self.init(document)
    }

    /// Reads a parsed config.json.
    public init(_ document: JSONValue) throws(SpecError) {
        let fields = try SpecObject(document)
        guard let version = try fields.string("ociVersion"), !version.isEmpty else { throw SpecError.missing("ociVersion") }
        ociVersion = version
        process = try fields.object("process", Process.init)
        root = try fields.object("root", Root.init)
        hostname = try fields.string("hostname")
        domainname = try fields.string("domainname")
        mounts = try fields.array("mounts", Mount.init)
        hooks = try fields.object("hooks", Hooks.init) ?? Hooks()
        annotations = try fields.map("annotations")
        linux = try fields.object("linux", LinuxConfig.init) ?? LinuxConfig()
        try fields.refuse("windows", "solaris", "vm", "zos", "freebsd")
    }

    /// config.json.
    public var json: JSONValue {
        var object = SpecWriter()
        object.put("ociVersion", ociVersion)
        object.put("process", process?.json)
        object.put("root", root?.json)
        object.put("hostname", hostname)
        object.put("domainname", domainname)
        object.put("mounts", mounts.map(\.json))
        object.put("hooks", hooks.isEmpty ? nil : hooks.json)
        object.put("annotations", annotations)
        object.put("linux", linux.json)
        return object.value
    }
}

extension Spec.Root {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let path = try fields.string("path"), !path.isEmpty else { throw SpecError.missing("path") }
        self.path = path
        readonly = try fields.bool("readonly") ?? false
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("path", path)
        object.put("readonly", readonly ? true : nil)
        return object.value
    }
}
