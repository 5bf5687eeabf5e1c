internal import Linux
internal import NIOPosix

/// Keeps the garbage collector's deletions apart from what makes content needed: a blob that a push finds or adds, a manifest that is
/// stored. Those pass together, the collector alone and shortly. Locks on files, so that `clipper-registry garbage-collect`
/// works beside a server.
final class RegistryGate: Sendable {
    private let path: String
    /// Threads that wait for locks, apart from those that work: who has passed must find a thread, however many wait.
    private static let waiting: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: 2)
        pool.start()
        return pool
    }()

    init(path: String) { self.path = path }

    /// A held lock; given back when the last reference goes.
    private final class Holder: Sendable {
        let lock: FileLock

        /// Whoever comes goes through the turnstile, where the collector stands while it waits for those inside to leave: else
        /// a stream of pushes, each beginning before the one before it ends, would keep it out for ever.
        init(_ path: String, _ kind: FileLock.Kind) throws(SystemError) {
            let turnstile = try FileLock("\(path).turn", kind, waits: true)
            lock = try FileLock(path, kind, waits: true)
            _ = consume turnstile
        }
    }

    func pass<Result>(_ body: () async throws -> Result) async throws -> Result { try await hold(.shared, body) }

    func alone<Result>(_ body: () async throws -> Result) async throws -> Result { try await hold(.exclusive, body) }

    private func hold<Result>(_ kind: FileLock.Kind, _ body: () async throws -> Result) async throws -> Result {
        let path = path
        let holder = try await Self.waiting.runIfActive { try Holder(path, kind) }
        defer { withExtendedLifetime(holder) {} }
        return try await body()
    }
}
