import HTTPServer
import Linux
import NIOCore
import Synchronization

@testable import RegistryServer

/// An object store in memory.
final class MemoryObjects: ObjectStore {
    private struct Object {
        var bytes: [UInt8]
        var metadata: [String: String]
        var modified: Int64
        var tag: String
    }

    private struct State {
        var objects: [String: Object] = [:]
        var tags = 0
        /// Conditional puts that are refused although they hold, as when another server comes first.
        var refusals = 0
    }

    private let state = Mutex(State())
    func refuse(_ count: Int) { state.withLock { $0.refusals = count } }
    var keys: [String] { state.withLock { $0.objects.keys.sorted() } }
    var refusalsLeft: Int { state.withLock { $0.refusals } }

    /// Makes everything older.
    func age(_ seconds: Int64) { state.withLock { state in for key in state.objects.keys { state.objects[key]?.modified -= seconds } } }

    func head(_ key: String) async throws -> ObjectInfo? {
        state.withLock { $0.objects[key].map { ObjectInfo(size: $0.bytes.count, modified: $0.modified, metadata: $0.metadata) } }
    }

    func get(_ key: String, unless known: String?) async throws -> ObjectContent {
        guard let object = state.withLock({ $0.objects[key] }) else { return .missing }
        return object.tag == known ? .same : .found(object.bytes, tag: object.tag)
    }

    func read(_ key: String, _ range: Range<Int>, _ body: (ByteBuffer) async throws -> Void) async throws {
        guard let object = state.withLock({ $0.objects[key] }) else {
            throw ObjectStoreError(kind: .refused, description: "no object \(key)")
        }
        try await body(ByteBuffer(bytes: object.bytes[range]))
    }

    @discardableResult
    func put(_ key: String, _ bytes: [UInt8], metadata: [String: String], if condition: ObjectCondition) async throws -> String {
        try state.withLock { state in
            if condition != .always, state.refusals > 0 {
                state.refusals -= 1
                throw ObjectStoreError.changed
            }
            switch condition {
            case .always: break
            case .isMissing: if state.objects[key] != nil { throw ObjectStoreError.changed }
            case .has(let tag): if state.objects[key]?.tag != tag { throw ObjectStoreError.changed }
            }
            state.tags += 1
            state.objects[key] = Object(bytes: bytes, metadata: metadata, modified: Timestamp.now().seconds, tag: "\"\(state.tags)\"")
            return "\"\(state.tags)\""
        }
    }

    func put(_ key: String, file path: String) async throws {
        try await put(key, try Files.read(path), metadata: [:], if: .always)
    }

    func delete(_ key: String) async throws { state.withLock { $0.objects[key] = nil } }

    /// Two on a page, so that every list has several.
    func list(_ prefix: String, _ page: ([ObjectListing]) async throws -> Void) async throws {
        let all = state.withLock { state in
            state.objects.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
                .map { ObjectListing(key: $0.key, size: $0.value.bytes.count, modified: $0.value.modified) }
        }
        for start in stride(from: 0, to: max(1, all.count), by: 2) { try await page(Array(all[start..<min(all.count, start + 2)])) }
    }

    func abandonUploads(_ prefix: String, olderThan deadline: Int64) async throws {}
}
