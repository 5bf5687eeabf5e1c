internal import NIOCore

/// Objects by key, as S3 and its likes keep them, as far as a registry needs it. A put is whole and durable when it returns,
/// and seen by every later call. Failures are `ObjectStoreError`.
protocol ObjectStore: Sendable {
    /// Nil when there is none.
    func head(_ key: String) async throws -> ObjectInfo?

    /// A small object. `.same` when its tag is `known`.
    func get(_ key: String, unless known: String?) async throws -> ObjectContent

    /// Hands on a part of an object as it comes. Throws when there is no such object.
    func read(_ key: String, _ range: Range<Int>, _ body: (ByteBuffer) async throws -> Void) async throws

    /// Stores a small object and returns its tag. Throws `ObjectStoreError.changed` when the condition does not hold.
    @discardableResult
    func put(_ key: String, _ bytes: [UInt8], metadata: [String: String], if condition: ObjectCondition) async throws -> String

    /// Stores a local file.
    func put(_ key: String, file path: String) async throws

    /// Nothing happens when there is none.
    func delete(_ key: String) async throws

    /// Every object whose key begins with `prefix`, page by page.
    func list(_ prefix: String, _ page: ([ObjectListing]) async throws -> Void) async throws

    /// Lets go of what uploads of files have left that broke off before `deadline` (seconds since 1970).
    func abandonUploads(_ prefix: String, olderThan deadline: Int64) async throws
}

struct ObjectInfo: Sendable {
    /// Bytes.
    let size: Int
    /// Seconds since 1970.
    let modified: Int64
    /// What was stored along with it.
    let metadata: [String: String]
}

enum ObjectContent: Sendable {
    case missing
    /// It is the one that the caller knows.
    case same
    case found([UInt8], tag: String)
}

enum ObjectCondition: Sendable, Equatable {
    case always
    case isMissing
    /// It is still the one with this tag.
    case has(tag: String)
}

struct ObjectListing: Sendable {
    let key: String
    /// Bytes.
    let size: Int
    /// Seconds since 1970.
    let modified: Int64
}

/// Why an object store didn't do what was asked of it.
struct ObjectStoreError: Error, CustomStringConvertible {
    enum Kind: Sendable {
        /// A condition of `put` does not hold.
        case changed
        /// It could not be reached, or says that it may work later.
        case unavailable
        case refused
    }

    let kind: Kind
    let description: String
    /// What the store calls it; empty when it says nothing.
    var code = ""

    static let changed = ObjectStoreError(kind: .changed, description: "the object has changed meanwhile")
}
