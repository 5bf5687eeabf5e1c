internal import EngineTypes
internal import Linux
internal import Supervision

/// One container in memory: its record, its phase, and those who wait for it to change.
final class Container: Sendable {
    /// Where a container is in its life. Each case carries what only that phase has.
    enum Phase: Sendable {
        case created
        case starting
        case running(ShimConnection)
        case paused(ShimConnection)
        /// Runs or is paused under a supervisor that has not answered since the daemon's start: something has stopped or frozen it.
        case unreachable
        /// Ended, and its restart policy starts it again after a pause.
        case restarting(Task<Void, Never>)
        case exited
        case removing
        /// Its removal failed half-way.
        case dead
    }

    /// Something that others can wait for.
    enum Milestone: Sendable {
        case exited(code: Int, error: String, reason: String = ""), removed(code: Int, reason: String = ""), started
    }

    struct State: Sendable {
        var record: ContainerRecord { didSet { summary = nil } }
        var phase: Phase
        var waiters: [Int: @Sendable (Milestone) -> Bool] = [:]
        var nextWaiter = 0
        /// The last signal that a request sent to it.
        var sent: SentSignal?
        /// Whether a request ends it only to start it again.
        var isRestartedByRequest = false
        /// What lists show of the record, once one has asked.
        fileprivate var summary: ContainerSummary?

        init(record: ContainerRecord, phase: Phase) {
            self.record = record
            self.phase = phase
        }
    }

    let id: String
    /// As the record has it.
    let created: String
    /// Serialises start, restart, remove, rename, update and network changes of this container: suspends, never blocks a thread, and is
    /// never held while waiting for the container's process to end. The supervisor's answers are waited for under it.
    let transition = AsyncLock()
    /// Held while the container is frozen or thawed, and while a process is put into it: one that froze half-way would hold up
    /// the supervisor, which waits for it, and all that is asked of the supervisor meanwhile.
    let freezing = AsyncLock()
    /// Held while the container is started, and while the files of one that does not run are mounted, until that is done when they
    /// are read, to the end when they are written: overlayfs makes its work directory anew at each mount, under the feet of another
    /// mount of the same layer.
    let files = AsyncLock()
    private let state: Locked<State>

    init(_ record: ContainerRecord, phase: Phase) {
        id = record.id
        created = record.created
        state = Locked(State(record: record, phase: phase))
    }

    func withState<Result>(_ body: (inout State) throws -> Result) rethrows -> Result { try state.withLock(body) }

    var record: ContainerRecord { state.withLock { $0.record } }
    var phase: Phase { state.withLock { $0.phase } }
    var name: String { state.withLock { $0.record.name } }
    var links: [ContainerLink] { state.withLock { $0.record.links } }

    /// What lists show of the record: `make`'s answer, kept until the record changes.
    func summary(of make: (ContainerRecord) -> ContainerSummary) -> ContainerSummary {
        state.withLock { state in
            if let summary = state.summary { return summary }
            let summary = make(state.record)
            state.summary = summary
            return summary
        }
    }

    /// The connection of a container that runs or is paused.
    func connection() throws(EngineError) -> ShimConnection {
        switch phase {
        case .running(let connection), .paused(let connection): return connection
        case .unreachable: throw isSilent()
        case .restarting: throw .conflict("Container \(id) is restarting, wait until the container is running")
        case .created, .starting, .exited, .removing, .dead: throw isNotRunning()
        }
    }

    private func isNotRunning(_ cause: (any Error)? = nil) -> EngineError {
        EngineError(.conflict, "container \(id) is not running", cause: cause)
    }

    private func isSilent() -> EngineError { EngineError(.system, "container \(name): \(Self.silence)") }

    static let silence = "its supervisor does not answer: it is stopped or frozen"

    /// `connection()` of a container that runs or is paused; nil for one that does neither.
    func livingConnection() throws(EngineError) -> ShimConnection? {
        switch phase {
        case .running(let connection), .paused(let connection): return connection
        case .unreachable: throw isSilent()
        case .created, .starting, .restarting, .exited, .removing, .dead: return nil
        }
    }

    /// The cause of a refusal: the container was paused at that moment, whatever it is by now.
    struct IsPaused: Error {}

    /// `connection()`, refusing a paused container too, by the operation's name and with the cause `IsPaused`.
    func unpausedConnection(to verb: String) throws(EngineError) -> ShimConnection {
        if case .paused = phase {
            throw EngineError(.conflict, "container \(name) is paused, unpause the container before \(verb)", cause: IsPaused())
        }
        return try connection()
    }

    /// Puts a process into the container, which neither is paused nor will be before `body` ends.
    func withUnpaused<Result>(to verb: String, _ body: (ShimConnection) async throws -> Result) async throws -> Result {
        try await freezing.withLock { try await whileRunning(try unpausedConnection(to: verb), body) }
    }

    /// Does something with a container that runs or is paused. Its end is known later here than it comes: what `body` then finds
    /// gone (a control group, the supervisor) is a container that is not running, which this throws.
    func whileRunning<Result>(_ body: (ShimConnection) async throws -> Result) async throws -> Result {
        try await whileRunning(try connection(), body)
    }

    private func whileRunning<Result>(
        _ connection: ShimConnection, _ body: (ShimConnection) async throws -> Result
    ) async throws -> Result {
        if connection.hasEnded { throw isNotRunning() }
        do { return try await body(connection) } catch { throw connection.hasEnded ? isNotRunning(error) : error }
    }

    /// Freezes or thaws it by `body`, and notes that. Called with the lock `freezing` held.
    func setPaused(_ isPaused: Bool, byCommit isByCommit: Bool = false, _ body: (ShimConnection) async throws -> Void)
        async throws
    {
        try await whileRunning { connection in
            try await body(connection)
            let isAlive = withState { state in
                switch state.phase {
                case .running, .paused:
                    state.phase = isPaused ? .paused(connection) : .running(connection)
                    state.record.outcome.phase = isPaused ? .paused : .running
                    state.record.outcome.isPausedByCommit = isByCommit
                    return true
                // Its end was noted meanwhile.
                case .created, .starting, .unreachable, .restarting, .exited, .removing, .dead: return false
                }
            }
            if !isAlive { throw isNotRunning() }
        }
    }

    var isAlive: Bool {
        switch phase {
        case .running, .paused, .unreachable, .starting: true
        case .created, .restarting, .exited, .removing, .dead: false
        }
    }

    /// Whether it is to start again after a pause.
    var isRestarting: Bool { record.outcome.phase == .restarting }

    /// Calls `body` at each milestone until it answers true. Registered when this returns.
    @discardableResult
    func observe(_ body: @escaping @Sendable (Milestone) -> Bool) -> Int {
        state.withLock { state in
            state.nextWaiter += 1
            state.waiters[state.nextWaiter] = body
            return state.nextWaiter
        }
    }

    func stopObserving(_ waiter: Int) { _ = state.withLock { $0.waiters.removeValue(forKey: waiter) } }

    func announce(_ milestone: Milestone) {
        let waiters = state.withLock { $0.waiters }
        for (identifier, body) in waiters where body(milestone) { stopObserving(identifier) }
    }
}

extension Container {
    /// The state as the API shows it.
    var apiState: ContainerState {
        state.withLock { state in
            let outcome = state.record.outcome
            let (status, running, paused, restarting) =
                switch state.phase {
                case .created, .starting: ("created", false, false, false)
                case .running: ("running", true, false, false)
                case .paused: ("paused", true, true, false)
                case .unreachable: outcome.phase == .paused ? ("paused", true, true, false) : ("running", true, false, false)
                case .restarting: ("restarting", true, false, true)
                case .exited: ("exited", false, false, false)
                case .removing: ("removing", false, false, false)
                case .dead: ("dead", false, false, false)
                }
            var isDead = false
            if case .dead = state.phase { isDead = true }
            var error = outcome.error
            if case .unreachable = state.phase { error = Self.silence }
            return ContainerState(
                Status: status, Running: running, Paused: paused, Restarting: restarting, OOMKilled: outcome.wasOutOfMemory, Dead: isDead,
                Pid: running && !restarting ? Int(outcome.pid) : 0, ExitCode: running && !restarting ? 0 : outcome.exitCode,
                Error: error,
                StartedAt: outcome.startedAt, FinishedAt: outcome.finishedAt, Health: state.record.health,
                Reason: outcome.reason.isEmpty || running ? nil : outcome.reason)
        }
    }
}
