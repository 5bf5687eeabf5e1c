internal import EngineTypes
internal import Linux
internal import ShimProtocol
internal import Supervision

/// Commands run inside containers: what was asked, whether it runs, how it ended.
final class ExecSessions: Sendable {
    struct Session: Sendable {
        enum Phase: Sendable, Equatable { case created, running, exited(Int) }
        let id: String
        let containerID: String
        let request: ExecCreateRequest
        let arguments: [String]
        var phase: Phase = .created
        /// Output goes to the client as it comes, without frames: the start request's `Tty`, not the creation's, says so.
        var isRaw = false
        var pid: Int32 = 0
        var endedAt: Timestamp?
        var waiters: [AsyncStream<Int>.Continuation] = []
    }

    private let sessions = Locked<[String: Session]>([:])

    func add(_ session: Session) { sessions.withLock { $0[session.id] = session } }

    func session(_ id: String) throws(EngineError) -> Session {
        guard let session = sessions.withLock({ $0[id] }) else { throw .notFound("No such exec instance: \(id)") }
        return session
    }

    /// Marks a session as running, or says why it cannot be started.
    func begin(_ id: String, isRaw: Bool = false) throws(EngineError) -> Session {
        let outcome: Result<Session, EngineError> = sessions.withLock { sessions in
            guard var session = sessions[id] else { return .failure(.notFound("No such exec instance: \(id)")) }
            switch session.phase {
            case .created:
                session.phase = .running
                session.isRaw = isRaw
                sessions[id] = session
                return .success(session)
            case .running: return .failure(.conflict("exec already running: \(id)"))
            case .exited: return .failure(.conflict("exec instance \(id) has already run"))
            }
        }
        return try outcome.get()
    }

    func started(_ id: String, pid: Int32) { sessions.withLock { $0[id]?.pid = pid } }

    /// Gives the exit code once the session is over, also when it is already. For any number of waiters.
    func waitForEnd(of id: String) -> AsyncStream<Int> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        let isPending = sessions.withLock { sessions in
            guard let phase = sessions[id]?.phase else { return false }
            if case .exited(let code) = phase {
                continuation.yield(code)
                return false
            }
            sessions[id]?.waiters.append(continuation)
            return true
        }
        if !isPending { continuation.finish() }
        return stream
    }

    func ended(_ id: String, code: Int) {
        let waiters = sessions.withLock { sessions in
            let waiters = Self.end(&sessions[id], code: code)
            Self.prune(&sessions)
            return waiters
        }
        for waiter in waiters { waiter.finish() }
    }

    /// Marks one as over; its waiters have the code and are the caller's to finish.
    private static func end(_ session: inout Session?, code: Int) -> [AsyncStream<Int>.Continuation] {
        guard let waiters = session?.waiters else { return [] }
        session?.phase = .exited(code)
        session?.endedAt = .now()
        session?.waiters = []
        for waiter in waiters { waiter.yield(code) }
        return waiters
    }

    /// Sessions of a container that are not over.
    func open(in containerID: String) -> [String] {
        sessions.withLock { sessions in
            sessions.values.filter { session in
                if case .exited = session.phase { return false }
                return session.containerID == containerID
            }.map(\.id).sorted()
        }
    }

    /// The container ended, and its execs with it.
    func forget(container id: String) {
        let waiters = sessions.withLock { sessions in
            sessions.filter { $0.value.containerID == id && $0.value.phase == .running }.keys.flatMap { Self.end(&sessions[$0], code: 137) }
        }
        for waiter in waiters { waiter.finish() }
    }

    /// The container is removed: what was never started never will be. Ended ones stay for those who still ask.
    func dropUnstarted(in containerID: String) {
        sessions.withLock { sessions in
            sessions = sessions.filter { $0.value.containerID != containerID || $0.value.phase != .created }
        }
    }

    /// Ended sessions can be inspected for five minutes, as in Docker.
    private static func prune(_ sessions: inout [String: Session]) {
        guard sessions.count > 256 else { return }
        let oldest = Timestamp.now().adding(nanoseconds: -300 * 1_000_000_000)
        sessions = sessions.filter { $0.value.endedAt.map { oldest < $0 } ?? true }
    }
}
