internal import Synchronization

/// How much at once, and how often again.
public struct TransferLimits: Sendable, Hashable {
    /// Layers that are downloaded at a time, over all pulls (`max-concurrent-downloads`).
    public var downloads: Int
    /// Layers that are uploaded at a time, over all pushes (`max-concurrent-uploads`).
    public var uploads: Int
    /// How often a transfer is begun before it fails (`max-download-attempts`). Those that moved something do not count.
    public var attempts: Int
    /// Seconds before the second attempt; before each later one so many more.
    public var retrySeconds: Int

    public init(downloads: Int = 3, uploads: Int = 5, attempts: Int = 5, retrySeconds: Int = 5) {
        self.downloads = downloads
        self.uploads = uploads
        self.attempts = attempts
        self.retrySeconds = retrySeconds
    }
}

/// Places that work takes in turn: who finds none waits until one is left, in order.
final class Places: Sendable {
    private struct State {
        var limit: Int
        var taken = 0
        var next = 0
        var waiting: [(number: Int, continuation: CheckedContinuation<Void, any Error>)] = []
        /// Gave up before they began to wait.
        var gone: Set<Int> = []
    }

    private let state: Mutex<State>

    init(_ limit: Int) { state = Mutex(State(limit: max(1, limit))) }

    /// Takes effect for those who come or wait; who has a place keeps it.
    func setLimit(_ limit: Int) {
        state.withLock { $0.limit = max(1, limit) }
        admit()
    }

    /// Whether nobody has a place or waits for one.
    var isIdle: Bool { state.withLock { $0.taken == 0 && $0.waiting.isEmpty } }

    /// Runs `body` in a place. `onWait` is called when there is none at once. Throws `CancellationError` for who gives up waiting.
    func withPlace<Result>(onWait: () -> Void = {}, _ body: () async throws -> Result) async throws -> Result {
        try await take(onWait)
        defer { giveBack() }
        return try await body()
    }

    /// A place that is left while nobody waits for one; to be given back. False when there is none.
    func takeSpare() -> Bool {
        state.withLock { state in
            guard state.taken < state.limit, state.waiting.isEmpty else { return false }
            state.taken += 1
            return true
        }
    }

    /// Gives a place back that `takeSpare` gave.
    func giveBack() {
        state.withLock { $0.taken -= 1 }
        admit()
    }

    private func take(_ onWait: () -> Void) async throws {
        let number = state.withLock { state -> Int? in
            if state.taken < state.limit {
                state.taken += 1
                return nil
            }
            state.next += 1
            return state.next
        }
        guard let number else { return }
        onWait()
        defer { _ = state.withLock { $0.gone.remove(number) } }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let hasGone = state.withLock { state in
                    if state.gone.contains(number) { return true }
                    state.waiting.append((number, continuation))
                    return false
                }
                if hasGone { continuation.resume(throwing: CancellationError()) } else { admit() }
            }
        } onCancel: {
            let continuation = state.withLock { state -> CheckedContinuation<Void, any Error>? in
                guard let index = state.waiting.firstIndex(where: { $0.number == number }) else {
                    state.gone.insert(number)
                    return nil
                }
                return state.waiting.remove(at: index).continuation
            }
            continuation?.resume(throwing: CancellationError())
        }
    }

    private func admit() {
        let admitted = state.withLock { state in
            let count = max(0, min(state.limit - state.taken, state.waiting.count))
            let admitted = state.waiting.prefix(count).map(\.continuation)
            state.waiting.removeFirst(count)
            state.taken += count
            return admitted
        }
        for continuation in admitted { continuation.resume() }
    }
}
