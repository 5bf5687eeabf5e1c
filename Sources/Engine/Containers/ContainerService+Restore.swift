internal import EngineTypes
internal import Glibc
internal import Linux
internal import Logging
internal import ShimProtocol
internal import Supervision

extension ContainerService {
    /// Finds again what a former daemon left: running containers with their addresses and ports, the exit codes of those
    /// that ended, and the policies of those that should run. Call once, before the API answers.
    public func restore() async throws {
        lifecycle.directories.empty()
        do { try initLayers.removeUnused() } catch {
            logger.warning("cannot remove init layers of images that are gone", metadata: ["error": "\(error)"])
        }
        let isComplete = try store.load { Container($0, phase: .exited) }
        // Without a record: a creation that was cut short. But never what belongs to a record that cannot be read.
        if isComplete {
            let known = Set(store.all.map(\.id))
            for id in (try? Files.list("\(configuration.dataRoot)/containers")) ?? [] where id.utf8.count == 64 && !known.contains(id) {
                try lifecycle.directories.discard(id)
            }
        }
        var found: [(Container, ShimReconnection)] = []
        for container in store.all {
            let phase = container.record.outcome.phase
            // `created` too: the daemon may have died between the start and writing it down.
            guard phase != .exited && phase != .dead || Files.exists(configuration.paths(of: container.id).run) else { continue }
            let reconnection = await lifecycle.launcher.reconnect(container)
            if case .lost = reconnection, phase == .created {
                container.withState { $0.phase = .created }
                continue
            }
            found.append((container, reconnection))
        }
        let living = found.compactMap { container, reconnection in
            if case .running = reconnection { container } else { nil }
        }
        try await lifecycle.launcher.restoreNetworks(of: living)
        for (container, reconnection) in found { await lifecycle.resume(container, reconnection) }
        for container in living where container.record.isRewiring { await lifecycle.finishRewiring(container) }
        await lifecycle.startByPolicy()
    }
}

extension ContainerLifecycle {
    /// Goes on with one container after a restart of the daemon.
    func resume(_ container: Container, _ reconnection: ShimReconnection) async {
        switch reconnection {
        case .running(let connection, _):
            let wasPaused = container.record.outcome.phase == .paused
            container.withState { state in
                state.phase = wasPaused ? .paused(connection) : .running(connection)
                state.record.outcome.phase = wasPaused ? .paused : .running
                state.record.outcome.pid = connection.containerPID
                state.record.outcome.startedAt = connection.startedAt
            }
            follow(container, connection)
        case .exited(let record): await endedWhileAway(container, record, reason: "")
        case .lost(let reason):
            let started = container.record.outcome.startedAt
            let record = ExitRecord(exitCode: 255, signal: nil, oomKilled: false, startedAt: started, exitedAt: Timestamp.now().description)
            await endedWhileAway(container, record, reason: reason)
        }
    }

    /// The daemon died within a change of the container's networks.
    func finishRewiring(_ container: Container) async {
        await container.transition.withLock {
            guard let connection = try? container.connection() else { return }
            await settleNetworksOrTell(container, connection, anew: true)
        }
    }

    private func endedWhileAway(_ container: Container, _ record: ExitRecord, reason: String) async {
        let found = health.journal.read(container.id, run: record.startedAt)
        container.withState { state in
            // Its endpoints were not restored: there is nothing to detach.
            state.record.attachments = []
            state.record.health = found ?? state.record.health
        }
        await finish(container, record, error: reason)
    }

    /// Starts what its restart policy wants running: after a reboot, or when its supervisor was lost.
    func startByPolicy() async {
        for container in store.all where !container.isAlive {
            let record = container.record
            guard record.outcome.startedAt != Timestamp.never.description else { continue }
            let policy = record.hostConfig.RestartPolicy?.Name
            let wanted = policy == "always" || (policy == "unless-stopped" && !record.wasStoppedByUser)
            guard wanted else { continue }
            if case .restarting = container.phase { continue }
            do { try await start(container, anew: false) } catch {
                logger.error("cannot start a container by its policy", metadata: ["container": "\(container.id)", "error": "\(error)"])
            }
        }
    }
}

extension ContainerService {
    /// Whether a container runs now, which keeps the daemon's networks.
    public var hasLivingContainers: Bool { store.all.contains { $0.isAlive } }
}
