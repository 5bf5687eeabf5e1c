internal import Images
internal import OCIImageSpec

/// SHA-256 of fields. Each goes in with its length, so that no two sequences of fields look the same.
final class ContentHasher {
    private let hash: ContentHash

    init() throws { hash = try ContentHash() }

    /// Part of a field whose length is known otherwise.
    func update(_ bytes: UnsafeRawBufferPointer) { hash.update(bytes) }

    func update(field: [UInt8]) {
        withUnsafeBytes(of: UInt64(field.count).littleEndian) { hash.update($0) }
        field.withUnsafeBytes { hash.update($0) }
    }

    func update(field: String) { update(field: Array(field.utf8)) }

    /// To be called once, at the end.
    func finish() -> String { hash.finish().hex }

    /// The hash of some fields.
    static func hash(_ fields: [String]) throws -> String {
        let hasher = try ContentHasher()
        for field in fields { hasher.update(field: field) }
        return hasher.finish()
    }

    /// 64 hexadecimal digits that nobody else has.
    static func randomIdentifier() -> String {
        var generator = SystemRandomNumberGenerator()
        return Digest(bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }).hex
    }
}
