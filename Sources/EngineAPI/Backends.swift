public import EngineTypes
public import JSON
public import Linux
public import RegistryClient

public import struct OCIImageSpec.Platform

// What the API asks of the engine. Declared here, by the user of the services; Engine's types conform in clipperd.
//
// Byte streams cross as descriptors that the receiver owns (`Descriptor`). Methods that take a descriptor close it,
// also when they throw. Streams of text or events go through an `emit` closure that waits for the client.

/// Sends bytes to the client and waits until there is room; throws when the client has gone.
public typealias Emit = @Sendable ([UInt8]) async throws -> Void

/// Sends one JSON document to the client.
public typealias EmitJSON = @Sendable (JSONValue) async throws -> Void

public protocol SystemBackend: Sendable {
    func version() async throws -> SystemVersion
    func info() async throws -> SystemInfo
    /// What takes space on disk.
    /// - Parameter kinds: `image`, `container`, `volume`, `build-cache`.
    func diskUsage(kinds: Set<String>) async throws -> DiskUsage
    /// Looks whether images, layers and containers are whole; with `deep` at every file, with `repair` makes it so.
    func check(deep: Bool, repair: Bool) async throws -> SystemCheck
    /// What every kind of thing takes on disk.
    func usage() async throws -> [SystemUsage]
    /// Drops the packed streams of layers that can be made again without.
    func pruneStreams() async throws -> StreamPrune
    /// Emits past events (when `since` is given) and then live ones until `until` or cancellation.
    func events(since: Timestamp?, until: Timestamp?, filters: Filters, emit: @escaping @Sendable (EventMessage) async throws -> Void)
        async throws
}

public protocol ContainerBackend: Sendable {
    func create(name: String?, platform: String?, request: ContainerCreateRequest) async throws -> ContainerCreateResponse
    /// `EngineError.notModified` when it runs already.
    func start(_ id: String, detachKeys: String?) async throws
    func stop(_ id: String, timeout: Int?, signal: String?) async throws
    func restart(_ id: String, timeout: Int?, signal: String?) async throws
    func kill(_ id: String, signal: String?) async throws
    func pause(_ id: String) async throws
    func unpause(_ id: String) async throws
    func remove(_ id: String, force: Bool, volumes: Bool, link: Bool) async throws
    func rename(_ id: String, to name: String) async throws
    func resize(_ id: String, rows: Int, columns: Int) async throws
    func list(all: Bool, limit: Int?, size: Bool, filters: Filters) async throws -> [ContainerSummary]
    func inspect(_ id: String, size: Bool) async throws -> ContainerInspect
    func top(_ id: String, arguments: String) async throws -> ContainerTop
    func prune(filters: Filters) async throws -> PruneReport

    /// Registers interest at once (before the returned closure is called), so that no exit is missed;
    /// the closure waits for it. Throws `notFound` for an unknown container.
    func wait(_ id: String, condition: WaitCondition) async throws -> @Sendable () async throws -> ContainerWaitResponse

    func attach(_ id: String, _ request: AttachRequest) async throws -> AttachedStream
    /// Whether the container has a terminal (its logs are raw then, multiplexed otherwise).
    func hasTerminal(_ id: String) async throws -> Bool
    /// Throws what `logs` would be refused for before anything is emitted.
    func checkLogs(_ id: String) async throws
    /// Emits a document a second until the client goes; without `stream` one, compared with the second before unless `oneShot`.
    func stats(_ id: String, stream: Bool, oneShot: Bool, emit: @escaping EmitJSON) async throws
    /// Changes limits and restart policy; what is zero or empty stays. Answers warnings.
    func update(_ id: String, _ request: HostConfig) async throws -> [String]
    /// What the container changed in its image, ordered by path.
    func changes(_ id: String) async throws -> [FilesystemChange]
    /// Emits log bytes, framed when the container has no terminal.
    func logs(_ id: String, _ request: LogRequest, emit: @escaping Emit) async throws

    func execCreate(_ id: String, _ request: ExecCreateRequest) async throws -> String
    /// Starts a detached exec; otherwise prepares it and gives its stream, and `execBegin` starts it. nil when detached.
    func execStart(_ execID: String, _ request: ExecStartRequest) async throws -> AttachedStream?
    /// Starts a prepared exec, once the client has been told that its stream begins. Gives what the client is told when the
    /// command cannot be run, framed as the stream is; empty otherwise.
    func execBegin(_ execID: String) async -> [UInt8]
    func execInspect(_ execID: String) async throws -> ExecInspect
    func execResize(_ execID: String, rows: Int, columns: Int) async throws

    /// A tar stream of a path; the JSON describes the path (X-Docker-Container-Path-Stat).
    func archiveGet(_ id: String, path: String) async throws -> (status: JSONValue, tar: Descriptor)
    func archiveStatus(_ id: String, path: String) async throws -> JSONValue
    func archivePut(_ id: String, path: String, noOverwriteDirNonDir: Bool, copyUIDGID: Bool, tar: Descriptor) async throws
    func export(_ id: String) async throws -> Descriptor
}

public protocol ImageBackend: Sendable {
    /// - Parameters:
    ///   - descriptor: whether each tells its descriptor, here and below; one whose documents can't be read tells none.
    ///   - manifests: whether each tells its manifests.
    func list(all: Bool, filters: Filters, sharedSize: Bool, descriptor: Bool, manifests: Bool) async throws -> [ImageSummary]
    /// Throws with `manifests` when the image's documents can't be read.
    /// - Parameter platform: the image must be for it, here and below; nil for any.
    func inspect(_ name: String, platform: Platform?, descriptor: Bool, manifests: Bool) async throws -> ImageInspect
    func history(_ name: String, platform: Platform?) async throws -> [ImageHistoryEntry]
    func tag(_ name: String, repository: String, tag: String) async throws
    func remove(_ name: String, platforms: [Platform], force: Bool, noPrune: Bool) async throws -> [ImageDeletion]
    func prune(filters: Filters) async throws -> PruneReport
    /// `docker pull`. Refuses before the first document what never got as far as an image.
    /// - Parameter tag: a tag or a digest; with neither here nor in the name all tags are pulled.
    func pull(name: String, tag: String?, platform: String?, credentials: RegistryCredentials, emit: @escaping EmitJSON) async throws
    /// `docker push`; without a tag all tags of the repository.
    func push(
        name: String, tag: String?, platform: Platform?, credentials: RegistryCredentials, emit: @escaping EmitJSON) async throws
    /// `docker import`: the root filesystem comes as a tar stream.
    func importRootfs(
        source: Descriptor, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping EmitJSON) async throws
    /// `docker import` of what a web server has. Refuses before the first document what it does not send.
    func importRootfs(
        url: String, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping EmitJSON) async throws
    /// Makes an image of a container's changes; answers its ID.
    func commit(_ request: CommitRequest, override: ContainerConfig?) async throws -> String
    /// - Parameter platform: of an archive's images those for it; nil for all, and of several platforms this machine's.
    func load(source: Descriptor, quiet: Bool, platform: Platform?, emit: @escaping EmitJSON) async throws
    /// A tar stream (docker-archive that is also an OCI layout).
    func save(names: [String], platform: Platform?) async throws -> Descriptor
}

public protocol BuildBackend: Sendable {
    /// Removes what builds keep to be faster the next time; with `all` everything.
    func prune(_ query: BuildPruneQuery) async throws -> PruneReport
    /// Emits Docker's progress documents; a failed build ends with an `error` document and returns normally.
    /// - Parameter credentials: who pulls base images, by registry as the client knows it.
    func build(
        _ query: BuildQuery, credentials: [String: RegistryCredentials], context: Descriptor, emit: @escaping EmitJSON
    ) async throws
}

public protocol VolumeBackend: Sendable {
    func list(filters: Filters) async throws -> VolumeList
    func create(_ request: VolumeCreateRequest) async throws -> VolumeResource
    func inspect(_ name: String) async throws -> VolumeResource
    func remove(_ name: String, force: Bool) async throws
    func prune(filters: Filters) async throws -> PruneReport
}

public protocol NetworkBackend: Sendable {
    /// `showsContainers`: whether each shows what is on it.
    func list(filters: Filters, showsContainers: Bool) async throws -> [NetworkResource]
    func create(_ request: NetworkCreateRequest) async throws -> NetworkCreateResponse
    func inspect(_ id: String, verbose: Bool, scope: String?) async throws -> NetworkResource
    func remove(_ id: String) async throws
    func connect(_ id: String, _ request: NetworkConnectRequest) async throws
    func disconnect(_ id: String, _ request: NetworkDisconnectRequest) async throws
    func prune(filters: Filters) async throws -> PruneReport
}

/// Everything the API needs, handed over once.
public struct Backends: Sendable {
    public var system: any SystemBackend
    public var containers: any ContainerBackend
    public var images: any ImageBackend
    public var builds: any BuildBackend
    public var volumes: any VolumeBackend
    public var networks: any NetworkBackend
    public var registries: any RegistryBackend

    public init(
        system: any SystemBackend, containers: any ContainerBackend, images: any ImageBackend, builds: any BuildBackend,
        volumes: any VolumeBackend, networks: any NetworkBackend, registries: any RegistryBackend
    ) {
        self.system = system
        self.containers = containers
        self.images = images
        self.builds = builds
        self.volumes = volumes
        self.networks = networks
        self.registries = registries
    }
}
