internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol
internal import Supervision

/// One run of a health check inside its container.
struct HealthProbe: Sendable {
    let execs: ExecSessions
    let events: EventBus
    let process: @Sendable (Container, [String]) async throws -> JSONValue

    struct Outcome: Sendable {
        let start: Timestamp
        let end: Timestamp
        /// The command's; -1 when it could not be run or did not end in time.
        let exitCode: Int
        let output: String

        var json: JSONValue {
            [
                "Start": .string(start.description), "End": .string(end.description), "ExitCode": .integer(Int64(exitCode)),
                "Output": .string(output),
            ]
        }
    }

    /// nil when the container was paused before the check began.
    func run(_ command: [String], timeout: UInt64, _ container: Container, _ connection: ShimConnection) async -> Outcome? {
        let start = Timestamp.now()
        let id = ContainerNames.newID()
        var request = ExecCreateRequest()
        request.Cmd = command
        execs.add(ExecSessions.Session(id: id, containerID: container.id, request: request, arguments: command))
        events.publish("exec_create", ofExec: id, command, in: container.record)
        func outcome(_ code: Int, _ text: String) -> Outcome { Outcome(start: start, end: .now(), exitCode: code, output: text) }
        do {
            _ = try execs.begin(id)
            let ended = execs.waitForEnd(of: id)
            let process = try await process(container, command)
            let (socket, pid) = try await container.withUnpaused(to: "check") { connection in
                try await connection.execCreate(id: id, process: process, terminal: false, stdin: false)
                let socket = try await connection.execAttach(id: id, AttachOptions(stdin: false, stdout: true, stderr: true))
                events.publish("exec_start", ofExec: id, command, in: container.record)
                do { return (socket, try await connection.execStart(id: id)) } catch {
                    _ = close(socket)
                    throw error
                }
            }
            defer { _ = close(socket) }
            execs.started(id, pid: pid)
            guard let code = await Self.first(of: ended, within: timeout) else {
                try? await connection.execSignal(id: id, SIGKILL)
                let said = Self.readOutput(socket)
                let words = "Health check exceeded timeout (\(GoDuration.text(Int64(clamping: timeout))))"
                return outcome(-1, said.isEmpty ? words : "\(words): \(said)")
            }
            return outcome(code, Self.readOutput(socket))
        } catch {
            execs.ended(id, code: 126)
            // Not by the phase: since the refusal the container may have been unpaused, and one whose check failed paused.
            if (error as? EngineError)?.cause is Container.IsPaused { return nil }
            return outcome(-1, "\(error)")
        }
    }

    private static func first(of ended: AsyncStream<Int>, within nanoseconds: UInt64) async -> Int? {
        await withTaskGroup(of: Int?.self) { group in
            group.addTask {
                for await code in ended { return code }
                return nil
            }
            group.addTask {
                try? await Task.sleep(nanoseconds: nanoseconds)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }

    /// What the command wrote and the socket holds, cut to what is shown: dots tell that there was more.
    private static func readOutput(_ socket: Int32) -> String {
        var frames = FrameSplitter()
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16384)
        while text.count <= HealthMonitor.loggedBytes {
            let count = recv(socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { break }
            frames.feed(buffer[..<count]) { text += $1 }
        }
        let shown = String(decoding: text.prefix(HealthMonitor.loggedBytes), as: UTF8.self)
        return text.count > HealthMonitor.loggedBytes ? shown + "..." : shown
    }
}
