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
        var pid: Int32 = 0
        var endedAt: Timestamp?
        var waiter: AsyncStream<Int>.Continuation?
    }

    private let sessions = Locked<[String: Session]>([:])

    func add(_ session: Session) { sessions.withLock { $0[session.id] = session } }

    func session(_ id: String) throws(EngineError) -> Session {
        guard let session = sessions.withLock({ $0[id] }) else { throw .notFound("No such exec instance: \(id)") }
        return session
    }

    /// Marks a session as running, or says why it cannot be started.
    func begin(_ id: String) throws(EngineError) -> Session {
        let outcome: Result<Session, EngineError> = sessions.withLock { sessions in
            guard var session = sessions[id] else { return .failure(.notFound("No such exec instance: \(id)")) }
            switch session.phase {
            case .created:
                session.phase = .running
                sessions[id] = session
                return .success(session)
            case .running: return .failure(.conflict("exec already running: \(id)"))
            case .exited: return .failure(.conflict("exec instance \(id) has already run"))
            }
        }
        return try outcome.get()
    }

    func started(_ id: String, pid: Int32) { sessions.withLock { $0[id]?.pid = pid } }

    /// Gives the exit code once the session is over.
    func waitForEnd(of id: String) -> AsyncStream<Int> {
        let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
        sessions.withLock { $0[id]?.waiter = continuation }
        return stream
    }

    func ended(_ id: String, code: Int) {
        let waiter = sessions.withLock { $0[id]?.waiter }
        waiter?.yield(code)
        waiter?.finish()
        sessions.withLock { sessions in
            sessions[id]?.phase = .exited(code)
            sessions[id]?.endedAt = .now()
            Self.prune(&sessions)
        }
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
        sessions.withLock { sessions in
            for (key, session) in sessions where session.containerID == id && session.phase == .running {
                sessions[key]?.phase = .exited(137)
                sessions[key]?.endedAt = .now()
                session.waiter?.finish()
            }
        }
    }

    /// Ended sessions can be inspected for five minutes, as in Docker.
    private static func prune(_ sessions: inout [String: Session]) {
        guard sessions.count > 256 else { return }
        let oldest = Timestamp.now().adding(nanoseconds: -300 * 1_000_000_000)
        sessions = sessions.filter { $0.value.endedAt.map { oldest < $0 } ?? true }
    }
}
