public import EngineTypes
internal import Glibc
public import Images
public import JSON
internal import Linux
public import Logging
public import Networking
internal import OCIRuntimeSpec
internal import ShimProtocol
public import Supervision
public import Volumes

/// What the API asks for containers. Finds the container, checks what is asked, and hands it to the one who does it.
public final class ContainerService: Sendable {
    let store: ContainerStore
    let images: ImageStore
    let initLayers: InitLayers
    let lifecycle: ContainerLifecycle
    let execs: ExecSessions
    let execProcesses: ExecProcesses
    let configuration: EngineConfiguration
    let supervisor: Supervisor
    /// What is counted of the work on containers.
    public let metrics = EngineMetrics()
    private let creation: ContainerCreation
    private let launcher: ContainerLauncher
    let logger: Logger

    public init(
        store: ContainerStore, images: ImageStore, volumes: VolumeStore, networks: NetworkManager, supervisor: Supervisor, events: EventBus,
        configuration: EngineConfiguration, logger: Logger
    ) {
        self.store = store
        self.images = images
        initLayers = InitLayers(root: "\(configuration.dataRoot)/init", images: images)
        self.configuration = configuration
        self.supervisor = supervisor
        self.logger = logger
        execs = ExecSessions()
        creation = ContainerCreation(
            store: store, images: images, volumes: volumes, networkName: { try? networks.network($0).name }, configuration: configuration,
            events: events, logger: logger)
        launcher = ContainerLauncher(
            store: store, images: images, initLayers: initLayers, volumes: volumes, networks: networks, supervisor: supervisor,
            configuration: configuration, events: events, logger: logger)
        let processes = ExecProcesses(images: images, configuration: configuration)
        execProcesses = processes
        let probe = HealthProbe(execs: execs, events: events) { container, command in
            var request = ExecCreateRequest()
            request.Cmd = command
            return try await processes.process(container, request: request, arguments: command, consoleSize: nil).json
        }
        lifecycle = ContainerLifecycle(
            store: store, launcher: launcher, volumes: volumes, events: events, execs: execs,
            health: HealthMonitor(
                probe: probe, journal: HealthJournal(configuration: configuration, logger: logger), events: events, metrics: metrics),
            configuration: configuration, logger: logger)
    }

    public func create(name: String?, platform: String?, request: ContainerCreateRequest) async throws -> ContainerCreateResponse {
        try await metrics.time(.create) { try await creation.create(name: name, platform: platform, request: request) }
    }

    public func start(_ id: String, detachKeys: String?) async throws {
        try await metrics.time(.start) { try await lifecycle.start(try store.find(id)) }
    }

    public func stop(_ id: String, timeout: Int?, signal: String?) async throws {
        try await lifecycle.stop(try store.find(id), timeout: timeout, signal: signal)
    }

    public func restart(_ id: String, timeout: Int?, signal: String?) async throws {
        let container = try store.find(id)
        do { try await lifecycle.restart(container, timeout: timeout, signal: signal) } catch {
            let failure = EngineError.from(error)
            // A start that fails is the daemon's failure here; one that comes too late is not.
            let code = failure.code == .conflict ? failure.code : .system
            throw EngineError(code, "Cannot restart container \(id): \(failure.message)", cause: error)
        }
    }

    public func kill(_ id: String, signal: String?) async throws {
        do { try await lifecycle.kill(try store.find(id), signal: signal) } catch {
            let failure = EngineError.from(error)
            throw EngineError(failure.code, "cannot kill container: \(id): \(failure.message)", cause: error)
        }
    }

    public func pause(_ id: String) async throws { try await lifecycle.pause(try store.find(id)) }

    public func unpause(_ id: String) async throws { try await lifecycle.unpause(try store.find(id)) }

    public func remove(_ id: String, force: Bool, volumes: Bool, link: Bool) async throws {
        if link { return try await removeLink(id) }
        try await metrics.time(.delete) { try await lifecycle.remove(try store.find(id), force: force, volumes: volumes) }
    }

    public func rename(_ id: String, to newName: String) async throws {
        let container = try store.find(id)
        let name = newName.hasPrefix("/") ? String(newName.dropFirst()) : newName
        if name.isEmpty { throw EngineError.invalid("Neither old nor new names may be empty") }
        func refuse(_ error: any Error) -> EngineError {
            let failure = EngineError.from(error)
            return EngineError(failure.code, "Error when allocating new name: \(failure.message)", cause: error)
        }
        do { try ContainerNames.check(name, shown: "/\(name)") } catch { throw refuse(error) }
        try await container.transition.withLock {
            let old = container.name
            if old == name { throw EngineError.invalid("Renaming a container with the same name as its current name") }
            do { try store.reserve(name, for: container.id) } catch { throw refuse(error) }
            func setName(_ name: String) {
                container.withState { state in
                    state.record.name = name
                    for index in state.record.attachments.indices { state.record.attachments[index].endpoint.containerName = name }
                }
                lifecycle.launcher.networks.rename(containerID: container.id, to: name)
            }
            setName(name)
            do { try await store.save(container) } catch {
                setName(old)
                store.release(name, of: container.id)
                throw EngineError.from(error)
            }
            store.release(old, of: container.id)
            lifecycle.publish(container, "rename", ["oldName": "/\(old)"])
        }
    }

    public func resize(_ id: String, rows: Int, columns: Int) async throws {
        let container = try store.find(id)
        do {
            try await container.whileRunning { try await $0.resize(rows: UInt16(clamping: rows), columns: UInt16(clamping: columns)) }
        } catch { throw EngineError.from(error) }
        lifecycle.publish(container, "resize", ["height": "\(rows)", "width": "\(columns)"])
    }

    // MARK: Wait

    public func wait(_ id: String, condition: WaitCondition) async throws -> @Sendable () async throws -> ContainerWaitResponse {
        let container = try store.find(id)
        let (stream, continuation) = AsyncStream.makeStream(of: ContainerWaitResponse.self)
        let observer = container.observe { milestone in
            switch (milestone, condition) {
            case (.started, _), (.exited, .removed): return false
            case (.exited(let code, let error, let reason), _):
                continuation.yield(
                    ContainerWaitResponse(StatusCode: Int64(code), Error: error.isEmpty ? nil : .init(Message: error), Reason: reason))
            case (.removed(let code, let reason), _): continuation.yield(ContainerWaitResponse(StatusCode: Int64(code), Reason: reason))
            }
            continuation.finish()
            return true
        }
        if condition == .notRunning && !container.isAlive && !container.isRestarting {
            container.stopObserving(observer)
            let outcome = container.record.outcome
            let failure = outcome.error.isEmpty ? nil : ContainerWaitResponse.WaitError(Message: outcome.error)
            return { ContainerWaitResponse(StatusCode: Int64(outcome.exitCode), Error: failure, Reason: outcome.reason) }
        }
        return {
            defer { container.stopObserving(observer) }
            for await answer in stream { return answer }
            throw CancellationError()
        }
    }

    // MARK: Streams

    public func hasTerminal(_ id: String) async throws -> Bool { try store.find(id).record.config.Tty == true }

    public func attach(_ id: String, _ request: AttachRequest) async throws -> AttachedStream {
        let container = try store.find(id)
        let record = container.record
        let isTerminal = record.config.Tty == true
        let wantsStdin = request.stdin && record.config.OpenStdin == true
        let options = AttachOptions(
            stdin: wantsStdin, stdout: request.stdout, stderr: request.stderr, isRaw: request.isRaw,
            detachKeys: isTerminal && wantsStdin ? try Self.detachKeys(request.detachKeys) : [])
        if case .paused = container.phase { throw EngineError.conflict("container \(id) is paused, unpause the container before attach") }
        if case .unreachable = container.phase, request.stream { _ = try container.connection() }
        if request.logs { _ = try logPath(container) }
        lifecycle.publish(container, "attach")
        var wantsStream = request.stream && (wantsStdin || request.stdout || request.stderr)
        if wantsStream, case .running(let connection) = container.phase {
            do {
                let (socket, moment) = try await connection.attachTellingMoment(options)
                return AttachedStream(socket: socket, isTerminal: isTerminal, begins: moment.flatMap { Timestamp($0) } ?? .now())
            } catch {
                guard connection.hasEnded else { throw EngineError.from(error) }
                wantsStream = false
            }
        }
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        // Whoever wants no live stream, or comes at the moment of the end, finds its end.
        if !wantsStream { return AttachedStream(socket: pair.first.duplicateRaw(), isTerminal: isTerminal) }
        launcher.addPendingStream(InitialStream(options: options, socket: pair.second.duplicateRaw()), for: container.id)
        return AttachedStream(socket: pair.first.duplicateRaw(), isTerminal: isTerminal)
    }

    /// The keys that detach from a terminal, as bytes.
    static func detachKeys(_ text: String?) throws(EngineError) -> [UInt8] {
        guard let text, !text.isEmpty else { return DetachKeys.standard }
        do throws(KeySequence.Unknown) { return try KeySequence(parsing: text).bytes } catch {
            throw .invalid("Invalid detach keys (\(text)) provided")
        }
    }

    public func checkLogs(_ id: String) async throws {
        _ = try logPath(try store.find(id))
    }

    func logPath(_ container: Container) throws(EngineError) -> String {
        guard let path = configuration.logPath(of: container.record) else {
            throw EngineError(.notImplemented, "configured logging driver does not support reading")
        }
        return path
    }

    public func logs(_ id: String, _ request: LogRequest, emit: @escaping @Sendable ([UInt8]) async throws -> Void) async throws {
        let container = try store.find(id)
        guard request.stdout || request.stderr else { throw EngineError.invalid("Bad parameters: you must choose at least one stream") }
        let reader = LogReader(
            path: try logPath(container), directory: configuration.paths(of: container.id).data, request: request,
            isFramed: container.record.config.Tty != true && !request.isRaw)
        try await reader.run(container: container, emit: emit)
    }

    // MARK: Files

    public func archiveGet(_ id: String, path: String) async throws -> (status: JSONValue, tar: Descriptor) {
        let container = try store.find(id)
        let status = try await archiveStatus(id, path: path)
        let tar = try helperOutput { [self] output in
            _ = try await withFiles(of: container, .archiveOut(path: path)) {
                try await self.supervisor.runHelper($0, output: output, opened: $1)
            }
        }
        lifecycle.publish(container, "archive-path")
        return (status, tar)
    }

    public func archiveStatus(_ id: String, path: String) async throws -> JSONValue {
        let container = try store.find(id)
        do {
            let status = try await withFiles(of: container, .stat(path: path)) { try await self.supervisor.runHelper($0, opened: $1) }
            guard let status else { throw EngineError(.system, "no status of \(path)") }
            return [
                "name": .string(status.name), "size": .integer(status.size), "mode": .integer(Int64(GoFileMode.mode(status.mode))),
                "mtime": .string(status.modifiedAt), "linkTarget": .string(status.linkTarget),
            ]
        } catch let error as ShimFailure where error.kind == .notFound {
            throw EngineError.notFound("Could not find the file \(path) in container \(id)")
        } catch { throw EngineError.from(error) }
    }

    public func archivePut(_ id: String, path: String, noOverwriteDirNonDir: Bool, copyUIDGID: Bool, tar: Descriptor) async throws {
        defer { _ = close(tar) }
        let container = try store.find(id)
        try checkWritable(container, path)
        // Docker's meaning: with it, what is copied belongs to the container's user; else to whom the archive says.
        var owner: RootfsRequest.Owner?
        if copyUIDGID, let user = container.record.config.User, !user.isEmpty {
            let image = try images.image(container.record.imageID)
            let files = LayeredFiles(layers: [configuration.paths(of: container.id).upper] + images.layerDirectories(of: image))
            let account = try UserLookup(files: files).resolve(user)
            owner = RootfsRequest.Owner(uid: account.uid, gid: account.gid)
        }
        let operation = RootfsRequest.Operation.archiveIn(path: path, noOverwriteDirNonDir: noOverwriteDirNonDir, owner: owner)
        do {
            try await PackedInput.plain(tar) { plain in
                _ = try await withFiles(of: container, operation) { request, _ in
                    try await self.supervisor.runHelper(request, input: plain)
                }
            }
            lifecycle.publish(container, "extract-to-dir")
        } catch let error as ShimFailure where error.kind == .notFound {
            throw EngineError.notFound("Could not find the file \(path) in container \(id)")
        } catch { throw EngineError.from(error) }
    }

    /// Docker's words for what the kernel would refuse file by file, and what it would allow on a container that has ended.
    private func checkWritable(_ container: Container, _ path: String) throws(EngineError) {
        let parts = path.split(separator: "/").filter { $0 != "." }
        let whole = "/" + parts.joined(separator: "/")
        let mount = container.record.mounts.filter { whole == $0.destination || whole.hasPrefix($0.destination + "/") }
            .max { $0.destination.utf8.count < $1.destination.utf8.count }
        if let mount {
            if mount.isReadOnly { throw .invalid("mounted volume is marked read-only") }
        } else if container.record.hostConfig.ReadonlyRootfs == true {
            throw .invalid("container rootfs is marked read-only")
        }
    }

    public func export(_ id: String) async throws -> Descriptor {
        let container = try store.find(id)
        // The image's absence is the answer, not a torn stream.
        if try container.livingConnection() == nil { _ = try stoppedTarget(container) }
        let tar = try helperOutput { [self] output in
            _ = try await withFiles(of: container, .export) { try await self.supervisor.runHelper($0, output: output, opened: $1) }
        }
        lifecycle.publish(container, "export")
        return tar
    }

    /// Where the files of a container that does not run are.
    private func stoppedTarget(_ container: Container) throws -> RootfsRequest.Target {
        let paths = configuration.paths(of: container.id)
        let image = try images.image(container.record.imageID)
        return .overlay(Overlay(layers: try initLayers.layers(of: image), upper: paths.upper, work: paths.work))
    }

    /// Runs `body` with a request for a container's files as it sees them, its mounts included unless they are exported. A container
    /// that ends or starts at that moment is taken as it is then. `body` calls its second argument, where there is one, when it has
    /// the files and does not write them: from then on the container may start.
    private func withFiles<Result>(
        of container: Container, _ operation: RootfsRequest.Operation,
        _ body: (RootfsRequest, (@Sendable () -> Void)?) async throws -> Result
    ) async throws -> Result {
        // The run whose end the helper has seen, which may be known here a while later: it is not asked again.
        var ended: ShimConnection?
        while true {
            if let connection = try container.livingConnection(), connection !== ended {
                let request = RootfsRequest(target: connection.rootTarget, operation: operation)
                if let result = try await Self.unlessEnded({ try await body(request, nil) }) { return result }
                ended = connection
            }
            let hold = await container.files.hold()
            defer { hold.release() }
            // Somebody may have started it before this.
            if let connection = try container.livingConnection(), connection !== ended { continue }
            if case .export = operation {
                return try await body(RootfsRequest(target: try stoppedTarget(container), operation: operation)) { hold.release() }
            }
            return try await lifecycle.launcher.withStoppedFiles(of: container.record, operation) { request in
                try await body(request) { hold.release() }
            }
        }
    }

    /// What `body` gives; nil when the container's process that it asks for has ended meanwhile.
    private static func unlessEnded<Result>(_ body: () async throws -> Result) async throws -> Result? {
        do { return try await body() } catch let failure as ShimFailure where failure.kind == .ended { return nil }
    }

    /// Runs the helper, which writes to the descriptor that it is given, and gives the reading end of its output. When the helper fails,
    /// reading ends with ECONNRESET: what is torn must not pass for whole.
    private func helperOutput(_ run: @escaping @Sendable (Int32) async throws -> Void) throws -> Descriptor {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        // A Unix socket that is closed with bytes unread breaks its peer's reading off: this one is read when all went well.
        try pair.first.writeAll([0])
        let writing = pair.second.duplicateRaw()
        Task { [logger] in
            defer { _ = close(writing) }
            do {
                try await run(writing)
                var mark: UInt8 = 0
                _ = recv(writing, &mark, 1, Int32(MSG_DONTWAIT))
            } catch {
                logger.warning("reading a container's files failed", metadata: ["error": "\(error)"])
            }
        }
        return pair.first.duplicateRaw()
    }

    // MARK: What uses what

    /// IDs of containers that use an image.
    func users(ofImage id: String) -> [ImageUser] {
        func uses(_ record: ContainerRecord) -> Bool {
            record.imageID == id || record.mounts.contains { $0.kind == .image && $0.source == id }
        }
        return store.all.filter { uses($0.record) }.map { ImageUser(containerID: $0.id, isRunning: $0.isAlive) }
    }

    /// IDs of containers that mention a volume.
    func users(ofVolume name: String) -> [String] {
        store.all.filter { $0.record.mounts.contains { $0.name == name && $0.kind == .volume } }.map(\.id)
    }
}

extension OwnedFD {
    /// Gives the descriptor away without closing it: for values that carry a raw descriptor.
    func duplicateRaw() -> Int32 { (try? duplicate().take()) ?? -1 }
}

/// Go's os.FileMode, which X-Docker-Container-Path-Stat carries, from st_mode.
enum GoFileMode {
    static func mode(_ mode: UInt32) -> UInt32 {
        var result = mode & 0o777
        switch mode & 0o170000 {
        case 0o040000: result |= 1 << 31
        case 0o120000: result |= 1 << 27
        case 0o060000: result |= 1 << 26
        case 0o020000: result |= 1 << 26 | 1 << 21
        case 0o010000: result |= 1 << 25
        case 0o140000: result |= 1 << 24
        default: break
        }
        if mode & 0o4000 != 0 { result |= 1 << 23 }
        if mode & 0o2000 != 0 { result |= 1 << 22 }
        if mode & 0o1000 != 0 { result |= 1 << 20 }
        return result
    }
}
