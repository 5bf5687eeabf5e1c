internal import Synchronization

/// One task at a time for each name; the others wait in their order.
final class NameLocks: Sendable {
    /// Who waits, by the names that are taken.
    private let waiting = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

    func with<Result>(_ name: String, _ body: () async throws -> Result) async throws -> Result {
        await withCheckedContinuation { continuation in
            let isFree = waiting.withLock { waiting in
                if waiting[name] == nil {
                    waiting[name] = []
                    return true
                }
                waiting[name]?.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
        defer {
            let next = waiting.withLock { waiting -> CheckedContinuation<Void, Never>? in
                if waiting[name]?.isEmpty ?? true {
                    waiting[name] = nil
                    return nil
                }
                return waiting[name]?.removeFirst()
            }
            next?.resume()
        }
        return try await body()
    }
}
