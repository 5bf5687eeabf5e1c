import EngineAPI
import EngineTypes
import Glibc
import JSON
import Linux
import RegistryClient

import struct OCIImageSpec.Platform

/// An engine that knows one container `c1` (without terminal) and remembers nothing.
struct FakeEngine: SystemBackend, ContainerBackend, ImageBackend, BuildBackend, VolumeBackend, NetworkBackend {
    static var backends: Backends {
        let fake = FakeEngine()
        return Backends(
            system: fake, containers: fake, images: fake, builds: fake, volumes: fake, networks: fake, registries: FakeRegistries())
    }

    private func known(_ id: String) throws {
        if id != "c1" && id != "e1" { throw EngineError.notFound("No such container: \(id)") }
    }

    func version() async throws -> SystemVersion {
        SystemVersion(
            Platform: .init(Name: "Clipper"), Components: [], Version: "0.1", ApiVersion: "1.50", MinAPIVersion: "1.24", GitCommit: "",
            Os: "linux", Arch: "amd64", KernelVersion: "6", BuildTime: "")
    }
    func info() async throws -> SystemInfo { SystemInfo() }
    func check(deep: Bool, repair: Bool) async throws -> SystemCheck {
        var answer = SystemCheck()
        answer.Deep = deep
        answer.Findings = [.init(Kind: "layer", Subject: "sha256:1", Message: "layer 1 has no directory", Repair: repair ? "done" : nil)]
        return answer
    }
    func pruneStreams() async throws -> StreamPrune {
        StreamPrune(Layers: ["sha256:1"], SpaceReclaimed: 7, Kept: [.init(Layer: "sha256:2", Reason: "it is being used")])
    }
    func usage() async throws -> [SystemUsage] { [SystemUsage(Place: "layers", Path: "/x/layers", Files: 2, Size: 4096)] }
    func events(
        since: Timestamp?, until: Timestamp?, filters: Filters, emit: @escaping @Sendable (EventMessage) async throws -> Void
    ) async throws {
        try await emit(
            EventMessage(
                status: "start", id: "c1", from: "i", Type: "container", Action: "start", Actor: .init(ID: "c1", Attributes: [:]),
                time: since?.seconds ?? 7, timeNano: 7))
    }

    func create(name: String?, platform: String?, request: ContainerCreateRequest) async throws -> ContainerCreateResponse {
        if name == "taken" { throw EngineError.conflict("Conflict. The container name \"/taken\" is already in use") }
        if request.config.Image == "missing" { throw EngineError.notFound("No such image: missing:latest") }
        return ContainerCreateResponse(Id: "c1", Warnings: [])
    }
    func start(_ id: String, detachKeys: String?) async throws {
        if id == "running" { throw EngineError(.notModified, "") }
        try known(id)
    }
    func stop(_ id: String, timeout: Int?, signal: String?) async throws { try known(id) }
    func restart(_ id: String, timeout: Int?, signal: String?) async throws { try known(id) }
    func kill(_ id: String, signal: String?) async throws { try known(id) }
    func pause(_ id: String) async throws { try known(id) }
    func unpause(_ id: String) async throws { try known(id) }
    func remove(_ id: String, force: Bool, volumes: Bool, link: Bool) async throws { try known(id) }
    func rename(_ id: String, to name: String) async throws { try known(id) }
    func resize(_ id: String, rows: Int, columns: Int) async throws { try known(id) }
    func list(all: Bool, limit: Int?, size: Bool, filters: Filters) async throws -> [ContainerSummary] { [] }
    func inspect(_ id: String, size: Bool) async throws -> ContainerInspect {
        try known(id)
        let state = ContainerState(
            Status: "running", Running: true, Paused: false, Restarting: false, OOMKilled: false, Dead: false, Pid: 1, ExitCode: 0,
            Error: "", StartedAt: "", FinishedAt: "")
        var settings = NetworkSettings()
        var config = ContainerConfig()
        config.Tty = false
        settings.Networks = ["bridge": EndpointSettings()]
        var host = HostConfig()
        host.LogConfig = LogConfig(Type: "json-file", Config: [:])
        return ContainerInspect(
            Id: id, Created: "", Path: "", Args: [], State: state, Image: "", ResolvConfPath: "", HostnamePath: "", HostsPath: "",
            LogPath: "", Name: "/x", RestartCount: 0, Driver: "", Platform: "linux", ExecIDs: nil, HostConfig: host,
            GraphDriver: DriverData(Data: nil, Name: "overlay2"), Mounts: [], Config: config, NetworkSettings: settings)
    }
    func top(_ id: String, arguments: String) async throws -> ContainerTop { ContainerTop(Titles: ["PID"], Processes: [["1"]]) }
    func prune(filters: Filters) async throws -> PruneReport { PruneReport() }
    func wait(_ id: String, condition: WaitCondition) async throws -> @Sendable () async throws -> ContainerWaitResponse {
        try known(id)
        return {
            try await Task.sleep(for: .milliseconds(100))
            return ContainerWaitResponse(StatusCode: 3)
        }
    }

    /// Says hello, then sends stdin back on stdout, framed.
    private func stream() throws -> AttachedStream {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let inner = try pair.second.duplicate().take()
        let outer = try pair.first.duplicate().take()
        let thread = EchoThread(descriptor: inner)
        thread.start()
        return AttachedStream(socket: outer, isTerminal: false)
    }
    func attach(_ id: String, _ request: AttachRequest) async throws -> AttachedStream {
        try known(id)
        return try stream()
    }
    func hasTerminal(_ id: String) async throws -> Bool {
        try known(id)
        return false
    }
    func diskUsage(kinds: Set<String>) async throws -> DiskUsage {
        var usage = DiskUsage()
        usage.LayersSize = 0
        usage.Volumes = []
        return usage
    }
    func checkLogs(_ id: String) async throws { try known(id) }
    func stats(_ id: String, stream: Bool, oneShot: Bool, emit: @escaping EmitJSON) async throws {
        for read in 1...(stream ? 2 : 1) { try await emit(["id": .string(id), "read": .integer(Int64(read))]) }
    }
    func update(_ id: String, _ request: HostConfig) async throws -> [String] {
        try known(id)
        return ["memory \(request.Memory ?? 0)"]
    }
    func commit(_ request: CommitRequest, override: ContainerConfig?) async throws -> String {
        try known(request.container)
        return "sha256:\(request.changes.count)"
    }
    func connect(_ id: String, _ request: NetworkConnectRequest) async throws { try known(request.Container ?? "") }
    func disconnect(_ id: String, _ request: NetworkDisconnectRequest) async throws { try known(request.Container ?? "") }
    func prune(_ query: BuildPruneQuery) async throws -> PruneReport {
        var report = PruneReport()
        report.CachesDeleted = query.all ? ["sha256:1"] : nil
        return report
    }
    func changes(_ id: String) async throws -> [FilesystemChange] { [FilesystemChange(Path: "/a", Kind: .added)] }
    func logs(_ id: String, _ request: LogRequest, emit: @escaping Emit) async throws {
        for index in 0..<(request.tail ?? 3) { try await emit(framed(Array("line \(index)\n".utf8))) }
        if request.details { throw EngineError(.system, "disk is gone") }
    }
    func execCreate(_ id: String, _ request: ExecCreateRequest) async throws -> String {
        try known(id)
        return "e1"
    }
    func execBegin(_ execID: String) async -> [UInt8] { [] }
    func execStart(_ execID: String, _ request: ExecStartRequest) async throws -> AttachedStream? {
        try known(execID)
        return request.Detach == true ? nil : try stream()
    }
    func execInspect(_ execID: String) async throws -> ExecInspect {
        ExecInspect(
            ID: "e1", Running: false, ExitCode: 0,
            ProcessConfig: .init(tty: false, entrypoint: "x", arguments: [], privileged: nil, user: nil),
            OpenStdin: false, OpenStderr: false, OpenStdout: false, CanRemove: false, ContainerID: "c1", DetachKeys: "", Pid: 0)
    }
    func execResize(_ execID: String, rows: Int, columns: Int) async throws {}
    func archiveGet(_ id: String, path: String) async throws -> (status: JSONValue, tar: Descriptor) {
        throw EngineError.notImplemented("cp")
    }
    func archiveStatus(_ id: String, path: String) async throws -> JSONValue { ["name": "etc", "size": 1] }
    func archivePut(_ id: String, path: String, noOverwriteDirNonDir: Bool, copyUIDGID: Bool, tar: Descriptor) async throws {}
    func export(_ id: String) async throws -> Descriptor { throw EngineError.notImplemented("export") }

    func list(all: Bool, filters: Filters, sharedSize: Bool, descriptor: Bool, manifests: Bool) async throws -> [ImageSummary] {
        if manifests { throw EngineError.conflict("manifests") }
        return []
    }
    func inspect(_ name: String, platform: Platform?, descriptor: Bool, manifests: Bool) async throws -> ImageInspect {
        throw EngineError.notFound("No such image: \(name) \(platform.map { "\($0)" } ?? "-") \(manifests) \(descriptor)")
    }
    func history(_ name: String, platform: Platform?) async throws -> [ImageHistoryEntry] {
        [ImageHistoryEntry(Id: name, Created: 1, CreatedBy: platform?.description ?? "", Tags: nil, Size: 0, Comment: "")]
    }
    func tag(_ name: String, repository: String, tag: String) async throws {}
    func remove(_ name: String, platforms: [Platform], force: Bool, noPrune: Bool) async throws -> [ImageDeletion] {
        [ImageDeletion(Untagged: name)]
    }
    func pull(name: String, tag: String?, platform: String?, credentials: RegistryCredentials, emit: @escaping EmitJSON) async throws {
        if name == "missing" { throw EngineError.notFound("manifest for missing:latest not found: manifest unknown: manifest unknown") }
        try await emit(["status": .string("\(name) \(tag ?? "-") \(platform ?? "-") \(credentials.username)")])
        if name == "broken" { throw EngineError(.system, "connection reset by peer") }
    }
    func push(
        name: String, tag: String?, platform: Platform?, credentials: RegistryCredentials, emit: @escaping EmitJSON
    ) async throws {
        try await emit(["status": .string("\(name) \(tag ?? "-") \(credentials.password)\(platform.map { " \($0)" } ?? "")")])
    }
    func importRootfs(
        source: Descriptor, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping EmitJSON
    ) async throws { try await consume(source, emit) }
    func importRootfs(
        url: String, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping EmitJSON
    ) async throws { try await emit(["status": .string("\(url) \(repository ?? "-")")]) }
    func load(source: Descriptor, quiet: Bool, platform: Platform?, emit: @escaping EmitJSON) async throws {
        if quiet {
            _ = try await reading(source)
            try await emit(["status": .string("loading \(platform.map { "\($0)" } ?? "-")")])
            throw EngineError(.unavailable, "disk is down")
        }
        try await consume(source, emit)
    }
    func save(names: [String], platform: Platform?) async throws -> Descriptor {
        let pipe = try OwnedFD.pipe()
        try pipe.writing.writeAll(Array((names + (platform.map { ["\($0)"] } ?? [])).joined(separator: ",").utf8))
        return try pipe.reading.duplicate().take()
    }
    func build(
        _ query: BuildQuery, credentials: [String: RegistryCredentials], context: Descriptor, emit: @escaping EmitJSON
    ) async throws { try await consume(context, emit) }

    func list(filters: Filters) async throws -> VolumeList { VolumeList(Volumes: []) }
    func create(_ request: VolumeCreateRequest) async throws -> VolumeResource { volume(request.Name ?? "anonymous") }
    func inspect(_ name: String) async throws -> VolumeResource { volume(name) }
    func remove(_ name: String, force: Bool) async throws { if name == "used" { throw EngineError.conflict("volume is in use") } }
    private func volume(_ name: String) -> VolumeResource {
        VolumeResource(CreatedAt: "", Driver: "local", Labels: nil, Mountpoint: "/v", Name: name, Options: nil)
    }

    func list(filters: Filters, showsContainers: Bool) async throws -> [NetworkResource] { [] }
    func create(_ request: NetworkCreateRequest) async throws -> NetworkCreateResponse { NetworkCreateResponse(Id: "n1", Warning: "") }
    func inspect(_ id: String, verbose: Bool, scope: String?) async throws -> NetworkResource {
        throw EngineError.notFound("network \(id) not found")
    }
    func remove(_ id: String) async throws {}

    /// Reads a whole upload on a thread of its own and tells its size.
    private func consume(_ source: Descriptor, _ emit: @escaping EmitJSON) async throws {
        let count = try await reading(source)
        try await emit(["stream": .string("got \(count) bytes\n")])
    }
}

func framed(_ bytes: [UInt8]) -> [UInt8] { [1, 0, 0, 0, 0, 0, UInt8(bytes.count >> 8), UInt8(bytes.count & 255)] + bytes }
