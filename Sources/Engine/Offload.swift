internal import Dispatch

/// Threads for work that blocks in the kernel: files, SQLite, netlink, unpacking.
private let workers = DispatchQueue(label: "clipper.offload", attributes: .concurrent)

/// Runs blocking work on a thread of its own, so that Swift's cooperative threads never wait for the kernel.
func offloaded<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        workers.async {
            continuation.resume(with: Swift.Result { try work() })
        }
    }
}

/// A lock that suspends instead of blocking; waiters are served in order.
final class AsyncLock: Sendable {
    private struct State {
        var isLocked = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Locked(State())

    /// The lock, held until `release`, which may come more than once, or until nobody has this any more.
    final class Hold: Sendable {
        private let lock: AsyncLock
        private let isHeld = Locked(true)

        fileprivate init(_ lock: AsyncLock) { self.lock = lock }

        deinit { release() }

        func release() {
            let wasHeld = isHeld.withLock { isHeld in
                defer { isHeld = false }
                return isHeld
            }
            if wasHeld { lock.release() }
        }
    }

    func withLock<Result>(_ body: () async throws -> Result) async rethrows -> Result {
        await acquire()
        defer { release() }
        return try await body()
    }

    func hold() async -> Hold {
        await acquire()
        return Hold(self)
    }

    private func acquire() async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isLocked {
                    state.waiters.append(continuation)
                    return false
                }
                state.isLocked = true
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    private func release() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            if state.waiters.isEmpty {
                state.isLocked = false
                return nil
            }
            return state.waiters.removeFirst()
        }
        next?.resume()
    }
}
