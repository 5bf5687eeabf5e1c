import EngineTypes
import Glibc
import JSON
import Linux
import ShimProtocol
import Testing

@testable import Engine
@testable import Supervision

/// A check meets a pause: only one that the pause kept from beginning says nothing about the container's health.
@Suite struct HealthProbeTests {
    private let connection: ShimConnection

    init() throws {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let state = ShimProtocol.ContainerState(
            containerID: "c1", shimPID: getpid(), containerPID: getpid(), containerStartTime: 1, startedAt: "2026-01-02T03:04:05Z")
        connection = ShimConnection(try ControlChannel(pair.first), state, directory: "/nowhere", exitRecordPath: "", patience: nil)
    }

    private func run(_ container: Container, _ process: @escaping @Sendable (Container) throws -> JSONValue) async -> HealthProbe.Outcome? {
        let probe = HealthProbe(execs: ExecSessions(), events: EventBus()) { container, _ in try process(container) }
        return await probe.run(["true"], timeout: 1_000_000_000, container, connection)
    }

    @Test func refusedByAPause() async {
        let outcome = await run(Container(makeRecord(), phase: .paused(connection))) { _ in [:] }
        #expect(outcome == nil)
    }

    @Test func unpausedAfterTheRefusal() async {
        let connection = connection
        let outcome = await run(Container(makeRecord(), phase: .paused(connection))) { container in
            defer { container.withState { $0.phase = .running(connection) } }
            _ = try container.unpausedConnection(to: "check")
            return [:]
        }
        #expect(outcome == nil)
    }

    @Test func pausedAfterAFailure() async {
        let connection = connection
        let outcome = await run(Container(makeRecord(), phase: .running(connection))) { container in
            container.withState { $0.phase = .paused(connection) }
            throw EngineError.notFound("no such user")
        }
        #expect(outcome?.exitCode == -1 && outcome?.output == "no such user")
    }
}
