internal import EngineTypes
internal import Glibc
internal import Linux
internal import Logging
internal import ShimProtocol
internal import Supervision
internal import Volumes

/// Starts and ends containers, and follows them while they run.
final class ContainerLifecycle: Sendable {
    let store: ContainerStore
    let launcher: ContainerLauncher
    let volumes: VolumeStore
    let events: EventBus
    let execs: ExecSessions
    let health: HealthMonitor
    let directories: ContainerDirectories
    let configuration: EngineConfiguration
    let logger: Logger
    /// The task that follows each running container; ends when the container has left nothing behind.
    let followers = Locked<[String: Task<Void, Never>]>([:])

    init(
        store: ContainerStore, launcher: ContainerLauncher, volumes: VolumeStore, events: EventBus, execs: ExecSessions,
        health: HealthMonitor, configuration: EngineConfiguration, logger: Logger
    ) {
        self.store = store
        self.launcher = launcher
        self.volumes = volumes
        self.events = events
        self.execs = execs
        self.health = health
        directories = ContainerDirectories(configuration: configuration, logger: logger)
        self.configuration = configuration
        self.logger = logger
    }

    // MARK: Start

    /// - Parameter anew: whether somebody asked for it: then its restart policy counts from nought.
    func start(_ container: Container, anew: Bool = true) async throws {
        try await container.transition.withLock {
            switch container.phase {
            case .running, .unreachable, .restarting: throw EngineError(.notModified, "container is already running")
            case .paused: throw EngineError.conflict("cannot start a paused container, try unpause instead")
            case .removing: throw EngineError.conflict("container is marked for removal and cannot be started")
            case .dead: throw EngineError.conflict("container is dead and cannot be started")
            case .created, .starting, .exited: break
            }
            if anew { container.withState { $0.record.restartCount = 0 } }
            try await container.files.withLock { try await launch(container) }
        }
    }

    /// Called with the container's transition lock and that of its files held.
    private func launch(_ container: Container) async throws {
        // The shim of the last run unmounts and goes; only then its places may be used again.
        await followers.current[container.id]?.value
        // Its removal does not wait for this lock: it may have begun.
        let isThere = container.withState { state in
            switch state.phase {
            case .removing, .dead: return false
            case .created, .starting, .running, .paused, .unreachable, .restarting, .exited:
                state.phase = .starting
                return true
            }
        }
        guard isThere else { throw EngineError.conflict("container is marked for removal and cannot be started") }
        let connection: ShimConnection
        do { connection = try await launcher.launch(container) } catch {
            let failure = EngineError.from(error)
            let code = Self.exitCode(of: error)
            await releaseVolumes(container.record)
            container.withState { state in
                let isNew = state.record.outcome.startedAt == Timestamp.never.description
                state.phase = isNew ? .created : .exited
                // It may have been a restart, which is over.
                state.record.outcome.phase = isNew ? .created : .exited
                state.record.outcome.exitCode = code
                state.record.outcome.error = failure.message
                state.record.outcome.reason = EndReason.ofFailedStart(failure.message, code: code)
                state.record.leaveNetworks()
            }
            try? await store.save(container)
            if container.record.hostConfig.AutoRemove == true { try? await erase(container, volumes: true) }
            throw failure
        }
        container.withState { state in
            state.phase = .running(connection)
            state.record.outcome = ContainerRecord.Outcome(
                phase: .running, pid: connection.containerPID, startedAt: connection.startedAt, finishedAt: state.record.outcome.finishedAt)
            state.record.wasStoppedByUser = false
            state.sent = nil
        }
        follow(container, connection)
        try await store.save(container, durable: false)
        publish(container, "start")
        container.announce(.started)
        await launcher.tellLinked(of: container)
    }

    /// Docker's codes for a container that could not be started.
    private static func exitCode(of error: any Error) -> Int {
        switch (error as? ShimFailure)?.kind {
        case .commandNotFound: 127
        case .commandNotExecutable: 126
        default: 128
        }
    }

    /// Follows a running container until it has ended; at start and after a restart of the daemon.
    func follow(_ container: Container, _ connection: ShimConnection) {
        // Before anybody can ask how the container does.
        let checks = health.start(container, connection)
        let task = Task {
            var record: ExitRecord?
            var attachments: [NetworkAttachment] = []
            defer { checks?.cancel() }
            for await event in connection.events {
                switch event {
                case .oom:
                    container.withState { $0.record.outcome.wasOutOfMemory = true }
                    publish(container, "oom")
                case .execExited(let id, let code):
                    execs.ended(id, code: Int(code))
                    publish(container, "exec_die", ["execID": id, "exitCode": "\(code)"])
                case .detached(let exec?): publish(container, "exec_detach", ["execID": exec])
                case .detached(nil): publish(container, "detach")
                case .exited(let exit):
                    record = exit
                    checks?.cancel()
                    attachments = await ended(container, exit)
                case .disconnected: break
                }
            }
            if record == nil {
                let lost = await launcher.reconnect(container)
                attachments = await ended(
                    container, Self.exitRecord(of: lost, startedAt: connection.startedAt), error: Self.reason(of: lost))
            }
            // Only now: the shim's sockets hold the ports until it has gone.
            await launcher.detach(attachments)
            followers.withLock { $0[container.id] = nil }
            await afterExit(container)
        }
        followers.withLock { $0[container.id] = task }
    }

    private static func exitRecord(of lost: ShimReconnection, startedAt: String) -> ExitRecord {
        if case .exited(let record) = lost { return record }
        return ExitRecord(exitCode: 137, signal: SIGKILL, oomKilled: false, startedAt: startedAt, exitedAt: Timestamp.now().description)
    }

    private static func reason(of lost: ShimReconnection) -> String {
        if case .lost(let reason) = lost { return "the container's supervisor was killed: \(reason)" }
        return ""
    }

    // MARK: End

    /// The container's process is gone: write down how it ended, tell everyone. Its shim may live a moment longer. Answers the
    /// places on networks that it had at its end.
    @discardableResult
    private func ended(_ container: Container, _ exit: ExitRecord, error: String = "") async -> [NetworkAttachment] {
        let restarts = willRestart(container, exit)
        let victim = exit.oomKilled ? try? await offloading { KernelLog.lastVictim(inControlGroup: container.id) } : nil
        let attachments = container.withState { state in
            let attachments = state.record.attachments
            state.record.outcome.phase = restarts ? .restarting : .exited
            state.record.outcome.pid = 0
            state.record.leaveNetworks()
            state.record.outcome.exitCode = Int(exit.exitCode)
            state.record.outcome.finishedAt = exit.exitedAt
            state.record.outcome.wasOutOfMemory = exit.oomKilled || state.record.outcome.wasOutOfMemory
            state.record.outcome.error = ""
            state.record.outcome.reason =
                error.isEmpty ? EndReason(exit: exit, record: state.record, sent: state.sent, victim: victim).sentence ?? "" : error
            state.record.health = HealthMonitor.stopped(state.record.health)
            if case .removing = state.phase {} else { state.phase = .exited }
            return attachments
        }
        // The shim's exit record says the same; and a container that goes now needs no record of its end.
        if container.record.hostConfig.AutoRemove != true {
            do { try await store.save(container, durable: false) } catch {
                logger.error("cannot record a container's end", metadata: ["error": "\(error)"])
            }
        }
        execs.forget(container: container.id)
        publish(container, "die", ["exitCode": "\(exit.exitCode)", "execDuration": "\(Self.duration(exit))"])
        container.announce(.exited(code: Int(exit.exitCode), error: "", reason: container.record.outcome.reason))
        return attachments
    }

    private static func duration(_ exit: ExitRecord) -> Int64 {
        guard let start = Timestamp(exit.startedAt), let end = Timestamp(exit.exitedAt) else { return 0 }
        return max(0, end.seconds - start.seconds)
    }

    /// The end of a container that nobody followed: as if it had been.
    func finish(_ container: Container, _ exit: ExitRecord, error: String) async {
        await ended(container, exit, error: error)
        await afterExit(container)
    }

    /// Everything the shim held is gone: remove the container, or start it again.
    private func afterExit(_ container: Container) async {
        let record = container.record
        await releaseVolumes(record)
        events.publishUnmounts(of: record)
        if record.hostConfig.AutoRemove == true {
            if container.withState({ $0.isRestartedByRequest }) { return }
            do { try await erase(container, volumes: true) } catch {
                logger.error("cannot remove a container", metadata: ["error": "\(error)"])
            }
            return
        }
        if record.outcome.phase == .restarting { scheduleRestart(container) }
    }

    private func releaseVolumes(_ record: ContainerRecord) async {
        let names = record.mounts.filter { $0.kind == .volume }.map(\.name)
        guard !names.isEmpty else { return }
        try? await offloading { [volumes] in
            for name in names { try volumes.release(name, user: record.id) }
        }
    }

    // MARK: Restart policy

    private func willRestart(_ container: Container, _ exit: ExitRecord) -> Bool {
        container.withState { state in
            if case .removing = state.phase { return false }
            if state.record.wasStoppedByUser { return false }
            let policy = state.record.hostConfig.RestartPolicy
            switch policy?.Name {
            case "always", "unless-stopped": return true
            case "on-failure":
                let limit = policy?.MaximumRetryCount ?? 0
                return exit.exitCode != 0 && (limit == 0 || state.record.restartCount < limit)
            default: return false
            }
        }
    }

    /// Docker's back-off: 100 ms, doubled each time up to a minute, from the start after a run of ten seconds.
    private func scheduleRestart(_ container: Container) {
        let record = container.record
        let ran =
            Timestamp(record.outcome.finishedAt).flatMap { end in Timestamp(record.outcome.startedAt).map { end.nanoseconds(since: $0) } }
            ?? 0
        let exponent = ran > 10_000_000_000 ? 0 : min(record.restartCount, 10)
        let delay = min(UInt64(100_000_000) << UInt64(exponent), 60_000_000_000)
        let task = Task {
            try? await Task.sleep(nanoseconds: delay)
            if Task.isCancelled { return }
            await restartNow(container)
        }
        container.withState { state in
            // A stop may have come while the end was being taken in.
            if case .exited = state.phase, state.record.outcome.phase == .restarting {
                state.phase = .restarting(task)
            } else {
                task.cancel()
            }
        }
    }

    private func restartNow(_ container: Container) async {
        do {
            try await container.transition.withLock {
                guard case .restarting = container.phase else { return }
                container.withState { $0.record.restartCount += 1 }
                try await container.files.withLock { try await launch(container) }
            }
        } catch {
            logger.error("cannot restart a container", metadata: ["container": "\(container.id)", "error": "\(error)"])
            let outcome = container.record.outcome
            container.announce(.exited(code: outcome.exitCode, error: outcome.error, reason: outcome.reason))
        }
    }

    /// Ends a pause between restarts, or forestalls it; the container counts as stopped.
    func cancelRestart(_ container: Container) async -> Bool {
        let isCancelled = container.withState { state in
            guard state.record.outcome.phase == .restarting else { return false }
            switch state.phase {
            case .restarting(let task): task.cancel()
            // Its end is still being taken in.
            case .exited: break
            case .created, .starting, .running, .paused, .unreachable, .removing, .dead: return false
            }
            state.phase = .exited
            state.record.outcome.phase = .exited
            state.record.wasStoppedByUser = true
            return true
        }
        guard isCancelled else { return false }
        try? await store.save(container)
        container.announce(.exited(code: container.record.outcome.exitCode, error: "", reason: container.record.outcome.reason))
        return true
    }

    // MARK: Stop and kill

    /// A start in progress ends one way or the other; what is asked then meets a container that runs or does not.
    func settle(_ container: Container) async {
        if case .starting = container.phase { await container.transition.withLock {} }
    }

    func stop(_ container: Container, timeout: Int?, signal name: String?) async throws {
        await settle(container)
        if await cancelRestart(container) { return }
        guard container.isAlive else { throw EngineError(.notModified, "container is already stopped") }
        let record = container.record
        let text = name.flatMap { $0.isEmpty ? nil : $0 } ?? record.config.StopSignal.flatMap { $0.isEmpty ? nil : $0 } ?? "SIGTERM"
        guard let signal = Signals.number(text) else { throw EngineError.invalid("Invalid signal: \(text)") }
        let seconds = timeout ?? record.config.StopTimeout ?? 10
        container.withState { $0.record.wasStoppedByUser = true }
        let exit = ExitWaiter(container)
        try await deliver(signal, to: container, for: .stop)
        if await !exit.wait(seconds: seconds < 0 ? nil : seconds) {
            // A waiter that ran out of time is spent: the cancelled read has ended its stream.
            let end = ExitWaiter(container)
            try await deliver(SIGKILL, to: container, for: .stopTimeout(after: signal, seconds: seconds))
            try await expectEnd(container, end)
        }
        try? await store.save(container)
        publish(container, "stop")
    }

    /// After SIGKILL.
    func expectEnd(_ container: Container, _ exit: ExitWaiter) async throws {
        if await exit.wait(seconds: 30) { return }
        throw EngineError(
            .system,
            "container \(container.name) has not ended within 30 s of SIGKILL: the kernel keeps its process, or its supervisor is stopped")
    }

    func kill(_ container: Container, signal name: String?) async throws {
        let text = name.flatMap { $0.isEmpty ? nil : $0 } ?? "SIGKILL"
        guard let signal = Signals.number(text) else { throw EngineError.invalid("Invalid signal: \(text)") }
        await settle(container)
        if await cancelRestart(container) { return }
        _ = try container.connection()
        if signal == SIGKILL || signal == stopSignal(of: container) { container.withState { $0.record.wasStoppedByUser = true } }
        let exit = ExitWaiter(container)
        try await deliver(signal, to: container, for: .kill)
        if signal == SIGKILL { _ = await exit.wait(seconds: 10) }
    }

    private func stopSignal(of container: Container) -> Int32 {
        container.record.config.StopSignal.flatMap { Signals.number($0) } ?? SIGTERM
    }

    func deliver(_ signal: Int32, to container: Container, for cause: SentSignal.Cause) async throws {
        let connection: ShimConnection
        do { connection = try container.connection() } catch {
            // It ended in the meantime: nothing to signal.
            if !container.isAlive { return }
            throw error
        }
        // What is to end it does so only once it runs.
        if case .paused = container.phase, signal == SIGKILL || cause == .stop || signal == stopSignal(of: container) {
            try? await unpause(container)
        }
        container.withState { $0.sent = SentSignal(number: signal, cause: cause) }
        do throws(ShimFailure) { try await connection.signal(signal) } catch {
            if error.kind != .conflict && error.kind != .lost && error.kind != .notFound { throw EngineError.from(error) }
        }
        publish(container, "kill", ["signal": "\(signal)"])
    }

    func restart(_ container: Container, timeout: Int?, signal: String?) async throws {
        // One that is to be removed at its end has not come to it.
        container.withState { $0.isRestartedByRequest = true }
        defer { container.withState { $0.isRestartedByRequest = false } }
        do {
            do { try await stop(container, timeout: timeout, signal: signal) } catch let error as EngineError
                where error.code == .notModified
            {}
            await followers.current[container.id]?.value
            // Another request may have been the first.
            do { try await start(container) } catch let error as EngineError where error.code == .notModified {}
        } catch {
            if case .exited = container.phase, container.record.hostConfig.AutoRemove == true { try? await erase(container, volumes: true) }
            throw error
        }
        publish(container, "restart")
    }

    // MARK: Pause

    func pause(_ container: Container, forCommit isPausedByCommit: Bool = false) async throws {
        try await container.freezing.withLock {
            if case .paused = container.phase { throw EngineError.conflict("Container \(container.id) is already paused") }
            try await container.setPaused(true, byCommit: isPausedByCommit) { connection in
                try await offloading { try connection.cgroup().freeze() }
            }
            try await store.save(container, durable: false)
        }
        publish(container, "pause")
    }

    func unpause(_ container: Container) async throws {
        try await container.freezing.withLock {
            // As in Docker no conflict, but a failure.
            guard case .paused = container.phase else { throw EngineError(.system, "Container \(container.id) is not paused") }
            try await container.setPaused(false) { connection in try await offloading { try connection.cgroup().thaw() } }
            try await store.save(container, durable: false)
        }
        publish(container, "unpause")
    }

    // MARK: Events

    func publish(_ container: Container, _ action: String, _ more: [String: String] = [:]) {
        events.publish(action, of: container.record, more)
    }
}

/// Waits once for the next end of a container; registered when made, so that no end is missed.
struct ExitWaiter {
    private let stream: AsyncStream<Void>

    init(_ container: Container) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        self.stream = stream
        container.observe { milestone in
            if case .started = milestone { return false }
            continuation.yield()
            continuation.finish()
            return true
        }
        if !container.isAlive { continuation.finish() }
    }

    /// True when it ended within the time; nil waits forever.
    func wait(seconds: Int?) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in stream { return true }
                return !Task.isCancelled
            }
            if let seconds {
                group.addTask {
                    try? await Task.sleep(nanoseconds: UInt64(seconds) * 1_000_000_000)
                    return false
                }
            }
            let first = await group.next() ?? false
            group.cancelAll()
            return first
        }
    }
}
