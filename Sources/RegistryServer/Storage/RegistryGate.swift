internal import Linux

/// Keeps the garbage collector's deletions apart from what makes content needed: a blob that a push finds or adds, a manifest that is
/// stored. Those pass together, the collector alone and shortly. A lock on a file, so that `clipper-registry garbage-collect`
/// works beside a server.
final class RegistryGate: Sendable {
    private let path: String

    init(path: String) { self.path = path }

    /// A held lock; given back when the last reference goes.
    private final class Holder: Sendable {
        let lock: FileLock
        init(_ path: String, _ kind: FileLock.Kind) throws(SystemError) { lock = try FileLock(path, kind, waits: true) }
    }

    func pass<Result>(_ body: () async throws -> Result) async throws -> Result { try await hold(.shared, body) }

    func alone<Result>(_ body: () async throws -> Result) async throws -> Result { try await hold(.exclusive, body) }

    private func hold<Result>(_ kind: FileLock.Kind, _ body: () async throws -> Result) async throws -> Result {
        let path = path
        let holder = try await offloaded { try Holder(path, kind) }
        defer { withExtendedLifetime(holder) {} }
        return try await body()
    }
}
