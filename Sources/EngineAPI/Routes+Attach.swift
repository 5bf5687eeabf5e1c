internal import EngineTypes
internal import HTTPServer

// Streams of running containers, over a hijacked connection and over a WebSocket.
extension EngineAPI {
    static func attach(_ call: Call) async throws -> Response {
        let request = AttachRequest(
            stdin: call.flag("stdin"), stdout: call.flag("stdout"), stderr: call.flag("stderr"), stream: call.flag("stream"),
            logs: call.flag("logs"), detachKeys: try call.detachKeys())
        let stream = try await call.backends.containers.attach(call.id, request)
        return .hijack(
            socket: stream.socket, upgradedContentType: call.streamType(isTerminal: stream.isTerminal),
            prologue: replay(call, request, stream))
    }

    /// A WebSocket's messages tell no streams apart. Before 1.42 it had all three, before 1.28 messages said that they are text.
    static func attachWebSocket(_ call: Call) async throws -> Response {
        let opening: WebSocketOpening
        do { opening = try WebSocketOpening(call.request) } catch { throw APIError.invalid("\(error)") }
        let mayChoose = call.version >= APIVersion("1.42")
        var request = AttachRequest(
            stdin: !mayChoose || call.flag("stdin"), stdout: !mayChoose || call.flag("stdout"), stderr: !mayChoose || call.flag("stderr"),
            stream: call.flag("stream"), logs: call.flag("logs"), detachKeys: try call.detachKeys())
        request.isRaw = true
        let stream = try await call.backends.containers.attach(call.id, request)
        return .webSocket(
            opening, socket: stream.socket, isBinary: call.version >= APIVersion("1.28"), prologue: replay(call, request, stream))
    }

    /// What the log has from before the stream began, when it is asked for.
    private static func replay(_ call: Call, _ request: AttachRequest, _ stream: AttachedStream) -> Response.Prologue? {
        guard request.logs, request.stdout || request.stderr else { return nil }
        var logs = LogRequest(
            stdout: request.stdout, stderr: request.stderr, follow: false, since: nil, until: stream.begins, timestamps: false, tail: nil,
            details: false)
        logs.isRaw = request.isRaw
        let (wanted, id, containers) = (logs, call.id, call.backends.containers)
        return { writer in try await containers.logs(id, wanted) { try await writer.write($0) } }
    }
}
