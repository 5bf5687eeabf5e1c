internal import Archive
internal import CCrypto
public import OCIImageSpec

/// SHA-256 of a stream, by OpenSSL (which uses the processor's SHA instructions).
public final class ContentHash {
    private let context: OpaquePointer
    /// Bytes hashed so far.
    public private(set) var count: Int64 = 0

    public init() throws {
        guard let context = EVP_MD_CTX_new() else { throw ImageError(.failed, "hash: out of memory") }
        self.context = context
        guard EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else { throw ImageError(.failed, "hash: sha256 is not available") }
    }

    deinit { EVP_MD_CTX_free(context) }

    public func update(_ bytes: UnsafeRawBufferPointer) {
        EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
        count += Int64(bytes.count)
    }

    /// The digest of all bytes; nothing may follow.
    public func finish() -> Digest {
        var result = [UInt8](repeating: 0, count: 32)
        EVP_DigestFinal_ex(context, &result, nil)
        return Digest(bytes: result)
    }

    /// The digest of bytes in memory.
    public static func digest(of bytes: [UInt8]) throws -> Digest {
        let hash = try ContentHash()
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.finish()
    }
}

/// Hashes what is written, and hands it on when there is a sink behind.
final class HashSink: ByteSink {
    let hash: ContentHash
    private let next: (any ByteSink)?

    init(next: (any ByteSink)? = nil) throws {
        hash = try ContentHash()
        self.next = next
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        hash.update(bytes)
        try next?.write(bytes)
    }

    /// The sink behind is finished by its owner.
    func finish() throws {}
}

/// Hashes what is read and keeps a copy when there is a sink for it.
final class HashingSource: ByteSource {
    let hash: ContentHash
    private let source: any ByteSource
    private let copy: (any ByteSink)?

    init(_ source: any ByteSource, copy: (any ByteSink)? = nil) throws {
        hash = try ContentHash()
        self.source = source
        self.copy = copy
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        hash.update(bytes)
        try copy?.write(bytes)
        return count
    }
}
