internal import HTTPServer
internal import JSON
internal import NIOConcurrencyHelpers
internal import NIOHTTP1

/// A streaming answer whose status is decided by what happens first: an error before the first piece becomes an
/// ordinary error answer, the first piece sends `200 OK`, and an error after it becomes part of the stream.
final class DelayedStream: Sendable {
    private enum First: Sendable {
        case piece
        case end((any Error)?)
    }

    private struct State {
        var first: First?
        var starter: CheckedContinuation<First, Never>?
        var writer: ResponseWriter?
        var emitter: CheckedContinuation<ResponseWriter, Never>?
    }

    private let state = NIOLockedValueBox(State())

    /// Runs `work`, which emits pieces. `lastWord` makes the bytes that tell a late error; nil cuts the connection.
    static func answer(
        contentType: String, lastWord: (@Sendable (any Error) -> [UInt8])?, work: @escaping @Sendable (@escaping Emit) async throws -> Void
    ) async throws -> Response {
        let stream = DelayedStream()
        let worker = Task {
            do {
                try await work { try await stream.emit($0) }
                stream.happened(.end(nil))
            } catch {
                stream.happened(.end(error))
                throw error
            }
        }
        let first = await withTaskCancellationHandler {
            await stream.waitForFirst()
        } onCancel: {
            worker.cancel()
        }
        switch first {
        case .end(let error?): throw error
        case .end(nil): return Response(status: .ok, headers: ["Content-Type": contentType], body: .none)
        case .piece: break
        }
        return Response(
            status: .ok, headers: ["Content-Type": contentType],
            body: .stream { writer in
                stream.attach(writer)
                do {
                    try await withTaskCancellationHandler {
                        try await worker.value
                    } onCancel: {
                        worker.cancel()
                    }
                } catch {
                    guard let lastWord, !(error is CancellationError), error as? HTTPServerError != .clientGone else { throw error }
                    try await writer.write(lastWord(error))
                }
            })
    }

    /// Progress documents, each on a line of its own, as dockerd sends them.
    static func progress(_ work: @escaping @Sendable (@escaping EmitJSON) async throws -> Void) async throws -> Response {
        try await answer(contentType: "application/json", lastWord: { line(errorDocument(APIError.describe($0).message)) }) { emit in
            try await work { try await emit(line($0)) }
        }
    }

    private static func line(_ value: JSONValue) -> [UInt8] { value.serialized() + [13, 10] }

    private static func errorDocument(_ message: String) -> JSONValue {
        ["errorDetail": ["message": .string(message)], "error": .string(message)]
    }

    private func emit(_ bytes: [UInt8]) async throws {
        happened(.piece)
        let writer = await withCheckedContinuation { continuation in
            let writer = state.withLockedValue { state -> ResponseWriter? in
                if state.writer == nil { state.emitter = continuation }
                return state.writer
            }
            if let writer { continuation.resume(returning: writer) }
        }
        try await writer.write(bytes)
    }

    private func happened(_ event: First) {
        let starter = state.withLockedValue { state -> CheckedContinuation<First, Never>? in
            guard state.first == nil else { return nil }
            state.first = event
            defer { state.starter = nil }
            return state.starter
        }
        starter?.resume(returning: event)
    }

    private func waitForFirst() async -> First {
        await withCheckedContinuation { continuation in
            let first = state.withLockedValue { state -> First? in
                if state.first == nil { state.starter = continuation }
                return state.first
            }
            if let first { continuation.resume(returning: first) }
        }
    }

    private func attach(_ writer: ResponseWriter) {
        let emitter = state.withLockedValue { state -> CheckedContinuation<ResponseWriter, Never>? in
            state.writer = writer
            defer { state.emitter = nil }
            return state.emitter
        }
        emitter?.resume(returning: writer)
    }
}
