public import EngineTypes
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import ShimProtocol
internal import Supervision

extension ContainerService {
    public func execCreate(_ id: String, _ request: ExecCreateRequest) async throws -> String {
        let container = try store.find(id)
        _ = try container.unpausedConnection(to: "exec")
        let words = request.Cmd ?? []
        do { _ = try Self.detachKeys(request.DetachKeys) } catch {
            // Docker has another word here.
            throw EngineError.invalid("Invalid escape keys (\(request.DetachKeys ?? "")) provided", cause: error)
        }
        if let directory = request.WorkingDir, !directory.isEmpty, !directory.hasPrefix("/") {
            throw EngineError.invalid("the working directory '\(directory)' is invalid, it needs to be an absolute path")
        }
        let session = ExecSessions.Session(id: ContainerNames.newID(), containerID: container.id, request: request, arguments: words)
        execs.add(session)
        lifecycle.events.publish("exec_create", ofExec: session.id, words, in: container.record)
        return session.id
    }

    public func execStart(_ execID: String, _ request: ExecStartRequest) async throws -> AttachedStream? {
        let known = try execs.session(execID)
        let container = try store.find(known.containerID)
        let connection = try container.unpausedConnection(to: "exec")
        let session = try execs.begin(execID, isRaw: request.Tty == true)
        // Before the command is: its end is told as soon as it comes.
        lifecycle.events.publish("exec_start", ofExec: session.id, session.arguments, in: container.record)
        let wanted = session.request
        let isDetached = request.Detach == true
        let hasTerminal = wanted.Tty == true && wanted.AttachStdin == true
        var socket: Int32?
        let process: Spec.Process
        do {
            process = try await execProcesses.process(
                container, request: wanted, arguments: session.arguments, consoleSize: request.ConsoleSize ?? wanted.ConsoleSize)
        } catch {
            await failed(session, connection, error)
            let failure = EngineError.from(error)
            if isDetached { throw failure }
            // As Docker: a client that has asked for the stream is told in the stream.
            return try Self.stream(saying: failure.message, isRaw: session.isRaw)
        }
        do {
            try await container.withUnpaused(to: "exec") { connection in
                try await connection.execCreate(
                    id: execID, process: process.json, terminal: wanted.Tty == true, stdin: wanted.AttachStdin == true && !isDetached)
            }
            if isDetached {
                try await begin(session, container)
            } else {
                socket = try await connection.execAttach(
                    id: execID,
                    AttachOptions(
                        stdin: wanted.AttachStdin == true, stdout: wanted.AttachStdout == true, stderr: wanted.AttachStderr == true,
                        isRaw: session.isRaw, isFramed: !session.isRaw,
                        detachKeys: hasTerminal ? try Self.detachKeys(wanted.DetachKeys) : []))
            }
        } catch {
            if let socket { _ = close(socket) }
            await failed(session, connection, error)
            throw EngineError.from(error)
        }
        return socket.map { AttachedStream(socket: $0, isTerminal: session.isRaw) }
    }

    public func execBegin(_ execID: String) async -> [UInt8] {
        do {
            let session = try execs.session(execID)
            if case .exited = session.phase { return [] }
            let container = try store.find(session.containerID)
            let connection = try container.connection()
            do {
                try await begin(session, container)
                return []
            } catch {
                await failed(session, connection, error)
                let text = Array("OCI runtime exec failed: \(EngineError.from(error).message)\r\n".utf8)
                return session.isRaw ? text : LogReader.frameHeader(isError: false, count: text.count) + text
            }
        } catch {
            // The container ended in between; the stream just ends.
            return []
        }
    }

    private static func stream(saying text: String, isRaw: Bool) throws -> AttachedStream {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let line = Array("\(text)\r\n".utf8)
        let bytes = isRaw ? line : LogReader.frameHeader(isError: false, count: line.count) + line
        // A line fits in the socket's buffer: no reader is waited for.
        try pair.second.writeAll(bytes)
        return AttachedStream(socket: pair.first.duplicateRaw(), isTerminal: isRaw)
    }

    private func begin(_ session: ExecSessions.Session, _ container: Container) async throws {
        let pid = try await container.withUnpaused(to: "exec") { try await $0.execStart(id: session.id) }
        execs.started(session.id, pid: pid)
    }

    /// A command that could not be run is over, with the code that a shell would give it.
    private func failed(_ session: ExecSessions.Session, _ connection: ShimConnection, _ error: any Error) async {
        execs.ended(session.id, code: (error as? ShimFailure)?.kind == .commandNotFound ? 127 : 126)
        // Nobody waits for that: the supervisor may be silent.
        Task { try? await connection.execForget(id: session.id) }
    }

    public func execInspect(_ execID: String) async throws -> ExecInspect {
        var session = try execs.session(execID)
        // Clients ask for the exit code when the stream has ended. The process is gone by then, and its code on its way.
        if session.phase == .running, session.pid > 0, Glibc.kill(session.pid, 0) != 0 {
            for await _ in execs.waitForEnd(of: execID) { break }
            session = try execs.session(execID)
        }
        var code: Int?
        if case .exited(let value) = session.phase { code = value }
        let request = session.request
        let user = [request.User, try? store.find(session.containerID).record.config.User].compactMap(\.self).first { !$0.isEmpty }
        return ExecInspect(
            ID: execID, Running: session.phase == .running, ExitCode: code,
            ProcessConfig: .init(
                tty: request.Tty == true, entrypoint: session.arguments[0], arguments: Array(session.arguments.dropFirst()),
                privileged: request.Privileged ?? false, user: user),
            OpenStdin: request.AttachStdin == true, OpenStderr: request.AttachStderr == true, OpenStdout: request.AttachStdout == true,
            CanRemove: false, ContainerID: session.containerID, DetachKeys: request.DetachKeys ?? "", Pid: Int(session.pid))
    }

    public func execResize(_ execID: String, rows: Int, columns: Int) async throws {
        let session = try execs.session(execID)
        guard session.phase == .running else { throw EngineError.invalid("exec process is not started") }
        let container = try store.find(session.containerID)
        do {
            try await container.whileRunning {
                try await $0.execResize(id: execID, rows: UInt16(clamping: rows), columns: UInt16(clamping: columns))
            }
        } catch { throw EngineError.from(error) }
    }
}
