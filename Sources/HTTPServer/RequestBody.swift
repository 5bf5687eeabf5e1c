internal import NIOConcurrencyHelpers
public import NIOCore

/// A request's body: an asynchronous sequence of buffers for one reader. The client is read only as fast as the
/// reader takes. Throws `HTTPServerError.bodyIncomplete` when the connection ends before the body does.
public final class RequestBody: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    private struct State {
        var chunks = CircularBuffer<ByteBuffer>()
        var bytes = 0
        var end: Result<Void, any Error>?
        var waiter: CheckedContinuation<ByteBuffer?, any Error>?
        var started = false
    }

    /// What the connection does when the reader has taken something, or first asks.
    struct Source: Sendable {
        var eventLoop: any EventLoop
        var limit: Int
        /// Called on the event loop: room for more.
        var wantsMore: @Sendable () -> Void
    }

    private let state: NIOLockedValueBox<State>
    let source: Source?

    init(source: Source?) {
        self.source = source
        state = NIOLockedValueBox(State())
        if source == nil { finish(.success(())) }
    }

    /// The body of a request that has none.
    public static let empty = RequestBody(source: nil)

    /// A body that is complete already.
    public convenience init(bytes: ByteBuffer) {
        self.init(source: nil)
        if bytes.readableBytes > 0 { state.withLockedValue { $0.chunks.append(bytes) } }
    }

    public struct Iterator: AsyncIteratorProtocol {
        let body: RequestBody
        public mutating func next() async throws -> ByteBuffer? { try await body.next() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(body: self) }

    /// The whole body, up to `limit` bytes; more throws `HTTPServerError.bodyTooLarge`.
    public func collect(limit: Int) async throws -> ByteBuffer {
        var result = ByteBuffer()
        while var chunk = try await next() {
            if result.readableBytes + chunk.readableBytes > limit { throw HTTPServerError.bodyTooLarge }
            if result.readableBytes == 0 { result = chunk } else { result.writeBuffer(&chunk) }
        }
        return result
    }

    private enum Step {
        case give(ByteBuffer?, more: Bool)
        case fail(any Error)
        case wait
    }

    /// The next buffer; nil at the end of a complete body.
    public func next() async throws -> ByteBuffer? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (step, first) = state.withLockedValue { state -> (Step, Bool) in
                    let first = !state.started
                    state.started = true
                    return (take(&state, continuation), first && state.end == nil)
                }
                if first, let source { source.eventLoop.execute(source.wantsMore) }
                switch step {
                case .give(let buffer, let more):
                    continuation.resume(returning: buffer)
                    if more, let source { source.eventLoop.execute(source.wantsMore) }
                case .fail(let error): continuation.resume(throwing: error)
                case .wait: if Task.isCancelled { cancelWaiter() }
                }
            }
        } onCancel: {
            cancelWaiter()
        }
    }

    private func take(_ state: inout State, _ continuation: CheckedContinuation<ByteBuffer?, any Error>) -> Step {
        if let chunk = state.chunks.popFirst() {
            let wasFull = state.bytes >= (source?.limit ?? .max)
            state.bytes -= chunk.readableBytes
            return .give(chunk, more: wasFull && state.end == nil)
        }
        switch state.end {
        case .success: return .give(nil, more: false)
        case .failure(let error): return .fail(error)
        case nil: break
        }
        guard state.waiter == nil else { return .fail(HTTPServerError("request body has two readers")) }
        state.waiter = continuation
        return .wait
    }

    private func cancelWaiter() {
        let waiter = state.withLockedValue { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(throwing: CancellationError())
    }

    // What the connection calls, on its event loop.

    /// Whether more may be read from the client.
    var hasRoom: Bool { state.withLockedValue { $0.bytes < (source?.limit ?? .max) } }

    var isComplete: Bool { state.withLockedValue { if case .success = $0.end { true } else { false } } }

    /// Whether somebody waits for more of it.
    var isAwaited: Bool { state.withLockedValue { $0.waiter != nil } }

    /// Whether somebody has begun to read.
    var isStarted: Bool { state.withLockedValue { $0.started } }

    func append(_ buffer: ByteBuffer) {
        let waiter = state.withLockedValue { state -> CheckedContinuation<ByteBuffer?, any Error>? in
            guard let waiter = state.waiter else {
                state.chunks.append(buffer)
                state.bytes += buffer.readableBytes
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: buffer)
    }

    /// Ends the body; only the first end counts.
    func finish(_ end: Result<Void, any Error>) {
        let waiter = state.withLockedValue { state -> CheckedContinuation<ByteBuffer?, any Error>? in
            guard state.end == nil else { return nil }
            state.end = end
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(with: end.map { nil })
    }

    /// The handler has ended: what nobody read is let go, and what still comes is not kept.
    func discard() {
        state.withLockedValue { state in
            state.chunks.removeAll()
            state.bytes = 0
        }
    }
}
