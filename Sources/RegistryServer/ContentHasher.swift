internal import CCrypto
internal import OCIImageSpec

/// A running digest by OpenSSL, which uses the processor's SHA instructions.
///
/// `@unchecked Sendable`: the context has one user at a time, see `Uploads`.
final class ContentHasher: @unchecked Sendable {
    private let context: OpaquePointer?
    let algorithm: Digest.Algorithm

    init(_ algorithm: Digest.Algorithm = .sha256) {
        self.algorithm = algorithm
        context = EVP_MD_CTX_new()
        EVP_DigestInit_ex(context, algorithm == .sha256 ? EVP_sha256() : EVP_sha512(), nil)
    }

    deinit { EVP_MD_CTX_free(context) }

    func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

    /// The digest; the hasher can't be used again.
    func finish() -> Digest {
        var bytes = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        EVP_DigestFinal_ex(context, &bytes, &count)
        return Digest(algorithm: algorithm, bytes: bytes[..<Int(count)])
    }

    static func digest(of bytes: [UInt8], _ algorithm: Digest.Algorithm = .sha256) -> Digest {
        let hasher = ContentHasher(algorithm)
        bytes.withUnsafeBytes { hasher.update($0) }
        return hasher.finish()
    }
}
