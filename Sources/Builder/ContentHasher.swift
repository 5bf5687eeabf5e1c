internal import CCrypto
internal import OCIImageSpec

/// SHA-256 of what it is fed. Fields are fed with their length, so that no two sequences of fields look the same.
final class ContentHasher {
    private let context: OpaquePointer

    init() throws(BuildError) {
        guard let context = EVP_MD_CTX_new() else { throw BuildError(.failed, "hash: out of memory") }
        guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            EVP_MD_CTX_free(context)
            throw BuildError(.failed, "hash: SHA-256 is not available")
        }
        self.context = context
    }

    deinit { EVP_MD_CTX_free(context) }

    func update(_ bytes: UnsafeRawBufferPointer) { _ = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

    func update(field: [UInt8]) {
        withUnsafeBytes(of: UInt64(field.count).littleEndian) { update($0) }
        field.withUnsafeBytes { update($0) }
    }

    func update(field: String) { update(field: Array(field.utf8)) }

    /// To be called once, at the end.
    func finish() -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        _ = EVP_DigestFinal_ex(context, &bytes, nil)
        return Digest(bytes: bytes).hex
    }

    /// The hash of some fields.
    static func hash(_ fields: [String]) throws(BuildError) -> String {
        let hasher = try ContentHasher()
        for field in fields { hasher.update(field: field) }
        return hasher.finish()
    }

    /// 64 hexadecimal digits that nobody else has.
    static func randomIdentifier() -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        if RAND_bytes(&bytes, 32) != 1 {
            var generator = SystemRandomNumberGenerator()
            for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &generator) }
        }
        return Digest(bytes: bytes).hex
    }
}
