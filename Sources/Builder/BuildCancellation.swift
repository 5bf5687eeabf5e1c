internal import Synchronization

/// Ends a build early: the caller fires it, the builder looks at it between steps, and whoever waits for the kernel
/// registers what wakes the wait. Thread-safe.
public final class BuildCancellation: Sendable {
    private struct State {
        var isCancelled = false
        var handlers: [Int: @Sendable () -> Void] = [:]
        var nextHandler = 0
    }

    private let state = Mutex(State())

    public init() {}

    public var isCancelled: Bool { state.withLock { $0.isCancelled } }

    /// Fires once: each registered handler is called on this thread; later calls do nothing.
    public func cancel() {
        let handlers = state.withLock { state -> [@Sendable () -> Void] in
            if state.isCancelled { return [] }
            state.isCancelled = true
            defer { state.handlers = [:] }
            return Array(state.handlers.values)
        }
        for handler in handlers { handler() }
    }

    /// Calls `handler` when the build is cancelled (at once if it was already) for as long as `body` runs.
    public func onCancel<Result>(_ handler: @escaping @Sendable () -> Void, during body: () throws -> Result) rethrows -> Result {
        let number = state.withLock { state -> Int? in
            if state.isCancelled { return nil }
            defer { state.nextHandler += 1 }
            state.handlers[state.nextHandler] = handler
            return state.nextHandler
        }
        guard let number else {
            handler()
            return try body()
        }
        defer { state.withLock { $0.handlers[number] = nil } }
        return try body()
    }

    /// Throws `BuildError.cancelled` when fired.
    public func check() throws(BuildError) { if isCancelled { throw BuildError.cancelled } }
}
