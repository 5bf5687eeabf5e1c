/// The document whose digest is an image's ID (OCI image spec, "Image Configuration"), with Docker's additions.
///
/// Fields that this type doesn't know are lost in it: the stored bytes, not this value, are what an ID is computed of.
public struct ImageConfig: Hashable, Sendable, Codable {
    public var architecture: String
    public var author: String?
    public var comment: String?
    /// What a container of this image runs.
    public var config: RunConfig?
    /// Docker: the container this image was committed from, and its configuration.
    public var container: String?
    public var containerConfig: RunConfig?
    /// RFC 3339.
    public var created: String?
    public var dockerVersion: String?
    /// One entry for each instruction, oldest first.
    public var history: [HistoryEntry]?
    public var os: String
    public var osVersion: String?
    public var osFeatures: [String]?
    public var rootfs: RootFS
    public var variant: String?

    enum CodingKeys: String, CodingKey {
        case architecture, author, comment, config, container
        case containerConfig = "container_config"
        case created
        case dockerVersion = "docker_version"
        case history, os
        case osVersion = "os.version"
        case osFeatures = "os.features"
        case rootfs, variant
    }

    /// An image of this machine's platform without layers.
    public init(platform: Platform = .host, config: RunConfig? = nil, created: String? = nil) {
        self.architecture = platform.architecture
        self.os = platform.os
        self.variant = platform.variant
        self.config = config
        self.created = created
        self.rootfs = RootFS(diffIDs: [])
    }

    public var platform: Platform {
        Platform(os: os, architecture: architecture, variant: variant, osVersion: osVersion, osFeatures: osFeatures)
    }

    /// The layers' digests, uncompressed, bottom first.
    public struct RootFS: Hashable, Sendable, Codable {
        /// Always `layers`.
        public var type: String
        public var diffIDs: [Digest]

        enum CodingKeys: String, CodingKey {
            case type
            case diffIDs = "diff_ids"
        }

        public init(diffIDs: [Digest]) {
            self.type = "layers"
            self.diffIDs = diffIDs
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: CodingKeys.self)
            type = try container.decodeIfPresent(String.self, forKey: .type) ?? "layers"
            // Go writes null for an empty list.
            diffIDs = try container.decodeIfPresent([Digest].self, forKey: .diffIDs) ?? []
        }
    }

    /// What made a layer, or changed only the configuration (`emptyLayer`).
    public struct HistoryEntry: Hashable, Sendable, Codable {
        /// RFC 3339.
        public var created: String?
        public var author: String?
        public var createdBy: String?
        public var comment: String?
        public var emptyLayer: Bool?

        enum CodingKeys: String, CodingKey {
            case created, author
            case createdBy = "created_by"
            case comment
            case emptyLayer = "empty_layer"
        }

        public init(
            created: String? = nil, author: String? = nil, createdBy: String? = nil, comment: String? = nil, emptyLayer: Bool? = nil
        ) {
            self.created = created
            self.author = author
            self.createdBy = createdBy
            self.comment = comment
            self.emptyLayer = emptyLayer
        }
    }
}

/// How a container of an image runs: the `config` of an image, in OCI's and Docker's fields.
public struct RunConfig: Hashable, Sendable, Codable {
    public var hostname: String?
    public var domainname: String?
    /// `user`, `uid`, `user:group`, `uid:gid`.
    public var user: String?
    public var attachStdin: Bool?
    public var attachStdout: Bool?
    public var attachStderr: Bool?
    /// `80/tcp`.
    public var exposedPorts: KeySet?
    public var tty: Bool?
    public var openStdin: Bool?
    public var stdinOnce: Bool?
    /// `NAME=value`.
    public var env: [String]?
    public var cmd: [String]?
    public var healthcheck: Healthcheck?
    public var argsEscaped: Bool?
    /// Docker: the image that the container was made of.
    public var image: String?
    /// Absolute paths.
    public var volumes: KeySet?
    public var workingDir: String?
    public var entrypoint: [String]?
    public var networkDisabled: Bool?
    public var macAddress: String?
    public var onBuild: [String]?
    public var labels: [String: String]?
    /// `SIGTERM` or a number.
    public var stopSignal: String?
    /// Seconds.
    public var stopTimeout: Int?
    public var shell: [String]?

    enum CodingKeys: String, CodingKey {
        case hostname = "Hostname"
        case domainname = "Domainname"
        case user = "User"
        case attachStdin = "AttachStdin"
        case attachStdout = "AttachStdout"
        case attachStderr = "AttachStderr"
        case exposedPorts = "ExposedPorts"
        case tty = "Tty"
        case openStdin = "OpenStdin"
        case stdinOnce = "StdinOnce"
        case env = "Env"
        case cmd = "Cmd"
        case healthcheck = "Healthcheck"
        case argsEscaped = "ArgsEscaped"
        case image = "Image"
        case volumes = "Volumes"
        case workingDir = "WorkingDir"
        case entrypoint = "Entrypoint"
        case networkDisabled = "NetworkDisabled"
        case macAddress = "MacAddress"
        case onBuild = "OnBuild"
        case labels = "Labels"
        case stopSignal = "StopSignal"
        case stopTimeout = "StopTimeout"
        case shell = "Shell"
    }

    public init() {}

    /// With another's fields where this one has none.
    public func filled(from other: RunConfig) -> RunConfig {
        var filled = self
        func take<Value>(_ field: WritableKeyPath<RunConfig, Value?>) {
            filled[keyPath: field] = self[keyPath: field] ?? other[keyPath: field]
        }
        take(\.user)
        take(\.exposedPorts)
        take(\.cmd)
        take(\.healthcheck)
        take(\.volumes)
        take(\.workingDir)
        take(\.entrypoint)
        take(\.onBuild)
        take(\.stopSignal)
        take(\.stopTimeout)
        take(\.shell)
        let names = Set((env ?? []).map { $0.prefix { $0 != "=" } })
        filled.env = (other.env ?? []).filter { !names.contains($0.prefix { $0 != "=" }) } + (env ?? [])
        filled.labels = (other.labels ?? [:]).merging(labels ?? [:]) { $1 }
        return filled
    }
}

/// How to find out whether a container is well. Times in nanoseconds; nil or 0 means inherited or the default.
public struct Healthcheck: Hashable, Sendable, Codable {
    /// `["NONE"]`, `["CMD", argument…]` or `["CMD-SHELL", line]`; empty inherits.
    public var test: [String]?
    public var interval: Int64?
    public var timeout: Int64?
    public var startPeriod: Int64?
    public var startInterval: Int64?
    public var retries: Int?

    enum CodingKeys: String, CodingKey {
        case test = "Test"
        case interval = "Interval"
        case timeout = "Timeout"
        case startPeriod = "StartPeriod"
        case startInterval = "StartInterval"
        case retries = "Retries"
    }

    public init(
        test: [String]? = nil, interval: Int64? = nil, timeout: Int64? = nil, startPeriod: Int64? = nil, startInterval: Int64? = nil,
        retries: Int? = nil
    ) {
        self.test = test
        self.interval = interval
        self.timeout = timeout
        self.startPeriod = startPeriod
        self.startInterval = startInterval
        self.retries = retries
    }
}

/// A set of strings that JSON carries as an object with empty members: `{"80/tcp": {}}` (Go's `map[string]struct{}`).
public struct KeySet: Hashable, Sendable, Codable, ExpressibleByArrayLiteral, Sequence {
    public var names: Set<String>

    public init(_ names: some Sequence<String> = []) { self.names = Set(names) }

    public init(arrayLiteral elements: String...) { self.names = Set(elements) }

    /// In order.
    public var sorted: [String] { names.sorted() }
    public var isEmpty: Bool { names.isEmpty }

    public mutating func insert(_ name: String) { names.insert(name) }
    public func contains(_ name: String) -> Bool { names.contains(name) }
    public func makeIterator() -> IndexingIterator<[String]> { sorted.makeIterator() }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        names = Set(container.allKeys.map(\.stringValue))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        for name in sorted { _ = container.nestedContainer(keyedBy: Key.self, forKey: Key(stringValue: name)) }
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }
}
