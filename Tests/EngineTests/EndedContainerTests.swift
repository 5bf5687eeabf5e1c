import EngineTypes
import Glibc
import Linux
import ShimProtocol
import Testing

@testable import Engine
@testable import Supervision

/// The end of a container is noted later than it comes: what is asked meanwhile finds parts of it gone.
@Suite struct EndedContainerTests {
    private let pid: pid_t
    private let container: Container

    init() throws {
        var child: pid_t = 0
        let words = [strdup("sleep"), strdup("1000"), nil]
        defer { for word in words { free(word) } }
        try #require(posix_spawnp(&child, "sleep", nil, nil, words, nil) == 0)
        pid = child
        let fields = try Files.readText("/proc/\(child)/stat").split(separator: ")").last?.split(separator: " ")
        let start = try #require(fields.flatMap { UInt64($0[19]) })
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let state = ShimProtocol.ContainerState(
            containerID: "c1", shimPID: getpid(), containerPID: child, containerStartTime: start, startedAt: "2026-01-02T03:04:05Z")
        let connection = ShimConnection(
            try ControlChannel(pair.first), state, directory: "/nowhere", exitRecordPath: "", patience: nil)
        container = Container(makeRecord(), phase: .running(connection))
    }

    private func end() {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
    }

    private func refusal(_ body: () async throws -> Void) async -> EngineError? {
        do { try await body() } catch { return error as? EngineError }
        return nil
    }

    @Test func whatIsAskedAfterTheEndIsNotTried() async {
        end()
        let error = await refusal { try await container.whileRunning { _ in } }
        #expect(error?.code == .conflict && error?.message == "container \(container.id) is not running")
    }

    @Test func aFailureByTheEndIsNoFailure() async {
        let error = await refusal {
            try await container.whileRunning { _ in
                end()
                throw SystemError("open", "/sys/fs/cgroup/x", code: ENOENT)
            }
        }
        #expect(error?.code == .conflict && error?.cause is SystemError)
    }

    @Test func aFailureOfARunningOneStaysWhatItIs() async {
        await #expect(throws: SystemError.self) {
            try await container.whileRunning { _ in throw SystemError("open", "/sys/fs/cgroup/x", code: ENOENT) }
        }
        end()
    }

    @Test func onceItsEndIsNotedItIsNotPaused() async {
        let error = await refusal { try await container.setPaused(true) { _ in container.withState { $0.phase = .exited } } }
        #expect(error?.code == .conflict && container.apiState.Status == "exited")
        end()
    }
}
