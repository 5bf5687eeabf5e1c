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
        let words = request.Cmd?.words ?? []
        guard !words.isEmpty else { throw EngineError.invalid("No exec command specified") }
        if let directory = request.WorkingDir, !directory.isEmpty, !directory.hasPrefix("/") {
            throw EngineError.invalid("the working directory '\(directory)' is invalid, it needs to be an absolute path")
        }
        let session = ExecSessions.Session(id: ContainerNames.newID(), containerID: container.id, request: request, arguments: words)
        execs.add(session)
        lifecycle.publish(container, "exec_create: \(words.joined(separator: " "))", ["execID": session.id])
        return session.id
    }

    public func execStart(_ execID: String, _ request: ExecStartRequest) async throws -> AttachedStream? {
        let known = try execs.session(execID)
        let container = try store.find(known.containerID)
        let connection = try container.unpausedConnection(to: "exec")
        let session = try execs.begin(execID)
        let wanted = session.request
        let isTerminal = wanted.Tty == true
        var socket: Int32?
        do {
            let process = try await execProcesses.process(
                container, request: wanted, arguments: session.arguments, consoleSize: request.ConsoleSize ?? wanted.ConsoleSize)
            try await connection.execCreate(
                id: execID, process: process.json, terminal: isTerminal, stdin: wanted.AttachStdin == true && request.Detach != true)
            if request.Detach != true {
                socket = try await connection.execAttach(
                    id: execID,
                    AttachOptions(
                        stdin: wanted.AttachStdin == true, stdout: wanted.AttachStdout == true, stderr: wanted.AttachStderr == true))
            }
            execs.started(execID, pid: try await connection.execStart(id: execID))
        } catch {
            let code = (error as? ShimFailure)?.kind == .commandNotFound ? 127 : 126
            execs.ended(execID, code: code)
            try? await connection.execForget(id: execID)
            // A command that cannot be run is told on the stream and by the exit code, as Docker does once the stream is open.
            if let socket, let failure = error as? ShimFailure, [.commandNotFound, .commandNotExecutable].contains(failure.kind) {
                _ = close(socket)
                return try Self.stream(of: "OCI runtime exec failed: \(failure.message)\r\n", isTerminal: isTerminal)
            }
            if let socket { _ = close(socket) }
            throw EngineError.from(error)
        }
        lifecycle.publish(container, "exec_start: \(session.arguments.joined(separator: " "))", ["execID": execID])
        return socket.map { AttachedStream(socket: $0, isTerminal: isTerminal) }
    }

    /// A stream that says one thing and ends.
    private static func stream(of text: String, isTerminal: Bool) throws -> AttachedStream {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
        let bytes = Array(text.utf8)
        try pair.first.writeAll((isTerminal ? [] : LogReader.frameHeader(isError: false, count: bytes.count)) + bytes)
        return AttachedStream(socket: pair.second.duplicateRaw(), isTerminal: isTerminal)
    }

    public func execInspect(_ execID: String) async throws -> ExecInspect {
        let session = try execs.session(execID)
        var code: Int?
        if case .exited(let value) = session.phase { code = value }
        let request = session.request
        return ExecInspect(
            ID: execID, Running: session.phase == .running, ExitCode: code,
            ProcessConfig: .init(
                tty: request.Tty == true, entrypoint: session.arguments[0], arguments: Array(session.arguments.dropFirst()),
                privileged: request.Privileged ?? false, user: request.User),
            OpenStdin: request.AttachStdin == true, OpenStderr: request.AttachStderr == true, OpenStdout: request.AttachStdout == true,
            CanRemove: false, ContainerID: session.containerID, DetachKeys: request.DetachKeys ?? "", Pid: Int(session.pid))
    }

    public func execResize(_ execID: String, rows: Int, columns: Int) async throws {
        let session = try execs.session(execID)
        guard session.phase == .running else { throw EngineError.conflict("exec \(execID) is not running") }
        let connection = try store.find(session.containerID).connection(to: "resize")
        do { try await connection.execResize(id: execID, rows: UInt16(clamping: rows), columns: UInt16(clamping: columns)) } catch {
            throw EngineError.from(error)
        }
    }
}
