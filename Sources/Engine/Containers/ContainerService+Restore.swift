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
            for id in (try? Files.list(configuration.containersDirectory)) ?? [] where id.utf8.count == 64 && !known.contains(id) {
                try lifecycle.directories.discard(id)
            }
        }
        var candidates = store.all
        let end = candidates.partition { !mayHaveSupervisor($0) }
        // A start that came to nothing but what it wrote down.
        for container in candidates[end...] { container.withState { $0.record.leaveNetworks() } }
        let search = SupervisorSearch(Array(candidates[..<end]), lifecycle.launcher)
        let found = await search.answered()
        let answered = Set(found.map(\.0.id))
        let silent = search.containers.filter { !answered.contains($0.id) }
        for container in silent {
            logger.error(
                "a container's supervisor does not answer: it is stopped or frozen; it is taken up when it goes on",
                metadata: ["container": "\(container.id)", "name": "\(container.name)"])
            container.withState { $0.phase = .unreachable }
        }
        let living = found.compactMap { container, reconnection -> Container? in
            guard case .running(let connection, _) = reconnection else { return nil }
            // The daemon may have died before it wrote it down.
            container.withState { $0.record.outcome.pid = connection.containerPID }
            return container
        }
        try await lifecycle.launcher.restoreNetworks(of: living + silent)
        for (container, reconnection) in found { await lifecycle.resume(container, reconnection) }
        for container in living where container.record.isRewiring { await lifecycle.finishRewiring(container) }
        if !silent.isEmpty { search.followRest { [lifecycle] in await lifecycle.takeUp($0, $1) } }
        await lifecycle.startByPolicy()
    }

    /// `created` too: the daemon may have died between the start and writing it down.
    private func mayHaveSupervisor(_ container: Container) -> Bool {
        let phase = container.record.outcome.phase
        return phase != .exited && phase != .dead || Files.exists(configuration.paths(of: container.id).run)
    }
}

/// Asks for the supervisors of many containers at once, of which some may never answer.
private struct SupervisorSearch: Sendable {
    /// Seconds in which a supervisor answers that can.
    private static let patience = 3

    private enum Finding: Sendable {
        case answer(Container, ShimReconnection)
        case timeIsUp
    }

    let containers: [Container]
    private let findings: AsyncStream<Finding>
    private let alarm: Task<Void, Never>

    init(_ containers: [Container], _ launcher: ContainerLauncher) {
        self.containers = containers
        let (findings, source) = AsyncStream.makeStream(of: Finding.self)
        self.findings = findings
        for container in containers {
            Task { source.yield(.answer(container, await launcher.reconnect(container))) }
        }
        alarm = Task {
            try? await Task.sleep(for: .seconds(Self.patience))
            source.yield(.timeIsUp)
        }
    }

    /// What is found in time.
    func answered() async -> [(Container, ShimReconnection)] {
        var found: [(Container, ShimReconnection)] = []
        var iterator = findings.makeAsyncIterator()
        while found.count < containers.count, case .answer(let container, let reconnection)? = await iterator.next() {
            found.append((container, reconnection))
        }
        alarm.cancel()
        return found
    }

    /// What comes after that, whenever it does.
    func followRest(_ body: @escaping @Sendable (Container, ShimReconnection) async -> Void) {
        Task {
            for await case .answer(let container, let reconnection) in findings {
                Task { await body(container, reconnection) }
            }
        }
    }
}

extension ContainerLifecycle {
    /// Goes on with one container after a restart of the daemon.
    func resume(_ container: Container, _ reconnection: ShimReconnection) async {
        switch reconnection {
        case .running(let connection, _):
            let outcome = container.record.outcome
            let wasPaused = outcome.phase == .paused && !outcome.isPausedByCommit
            if !wasPaused { await thaw(container, connection) }
            container.withState { state in
                state.phase = wasPaused ? .paused(connection) : .running(connection)
                state.record.outcome.phase = wasPaused ? .paused : .running
                state.record.outcome.isPausedByCommit = false
                state.record.outcome.pid = connection.containerPID
                state.record.outcome.startedAt = connection.startedAt
            }
            follow(container, connection)
        case .exited(let record): await endedWhileAway(container, record, reason: "")
        case .lost where container.record.outcome.phase == .created:
            container.withState { state in
                state.phase = .created
                state.record.leaveNetworks()
            }
        case .lost(let reason):
            let started = container.record.outcome.startedAt
            let record = ExitRecord(exitCode: 255, signal: nil, oomKilled: false, startedAt: started, exitedAt: Timestamp.now().description)
            await endedWhileAway(container, record, reason: reason)
        }
    }

    /// A supervisor that did not answer when the daemon started answers now, or has gone.
    func takeUp(_ container: Container, _ reconnection: ShimReconnection) async {
        await container.transition.withLock {
            guard case .unreachable = container.phase else { return }
            logger.info("a container's supervisor answers again", metadata: ["container": "\(container.id)"])
            if case .running = reconnection { return await resume(container, reconnection) }
            let attachments = container.withState { state in
                defer { state.record.leaveNetworks() }
                return state.record.attachments
            }
            await launcher.detach(attachments)
            await resume(container, reconnection)
        }
        if container.record.isRewiring { await finishRewiring(container) }
    }

    /// The daemon died within a change of the container's networks.
    func finishRewiring(_ container: Container) async {
        await container.transition.withLock {
            guard let connection = try? container.connection() else { return }
            await settleNetworksOrTell(container, connection, anew: true)
        }
    }

    /// A daemon that was killed amid a commit or a pause leaves the container frozen, and nobody who would wait for it.
    private func thaw(_ container: Container, _ connection: ShimConnection) async {
        do { try await offloading { try connection.cgroup().thaw() } } catch {
            logger.warning("cannot thaw a container", metadata: ["container": "\(container.id)", "error": "\(error)"])
        }
    }

    private func endedWhileAway(_ container: Container, _ record: ExitRecord, reason: String) async {
        let found = health.journal.read(container.id, run: record.startedAt)
        container.withState { state in
            // Its endpoints were not restored: there is nothing to detach.
            state.record.leaveNetworks()
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
