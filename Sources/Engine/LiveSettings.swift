public import RegistryClient

/// The settings that a running engine takes anew when its configuration is read again (SIGHUP). A container has what held when it
/// was created or started.
public final class LiveSettings: Sendable {
    /// The settings of one moment.
    public struct Values: Sendable, Equatable {
        /// Further OCI runtimes by name (`--add-runtime`).
        public var runtimes: [String: AdditionalRuntime] = [:]
        /// Name of the runtime for containers that name none.
        public var defaultRuntime = "clipper"
        /// Bytes of /dev/shm.
        public var defaultShmSize: Int64 = 67_108_864
        public var labels: [String] = []
        public var isDebug = false
        public var containerDefaults = ContainerDefaults()
        public var registries = RegistrySettings()

        public init() {}
    }

    private let values = Locked(Values())

    init() {}

    public var current: Values { values.current }

    /// All settings change at once.
    public func replace(with new: Values) { values.withLock { $0 = new } }
}

/// An OCI runtime beside Clipper's own.
public struct AdditionalRuntime: Sendable, Equatable {
    /// A path, or a name to be looked for in PATH.
    public let path: String
    /// What it is given before all else.
    public let arguments: [String]

    public init(path: String, arguments: [String] = []) {
        self.path = path
        self.arguments = arguments
    }
}

extension EngineConfiguration {
    var runtimes: [String: AdditionalRuntime] { live.current.runtimes }
    var defaultRuntime: String { live.current.defaultRuntime }
    var defaultShmSize: Int64 { live.current.defaultShmSize }
    var containerDefaults: ContainerDefaults { live.current.containerDefaults }
    var labels: [String] { live.current.labels }
    var isDebug: Bool { live.current.isDebug }
}
