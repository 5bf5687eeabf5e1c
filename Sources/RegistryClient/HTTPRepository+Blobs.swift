internal import AsyncHTTPClient
public import NIOCore
internal import NIOHTTP1
public import OCIImageSpec

// Blobs: they may lie on other hosts than the registry, to which redirects lead.
extension HTTPRepository {
    public func blob(_ descriptor: Descriptor, in range: Range<Int64>) async throws -> BlobBytes {
        if range.isEmpty { return BlobBytes(body: BlobBody(nil, skipping: 0, from: ""), servesRanges: false) }
        let end = range.upperBound < descriptor.size ? range.upperBound : nil
        let opened = try await open(descriptor.digest, from: range.lowerBound, to: end)
        return BlobBytes(body: opened.body, servesRanges: opened.servesRanges)
    }

    /// A blob and its length in bytes, when the registry tells it.
    public func blob(_ digest: Digest) async throws -> (size: Int64?, body: any AsyncSequence<ByteBuffer, any Error> & Sendable) {
        let opened = try await open(digest)
        return (opened.size, opened.body)
    }

    /// A whole blob, verified; longer ones than `limit` bytes are refused.
    public func smallBlob(_ digest: Digest, limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        for try await chunk in try await open(digest).body {
            guard bytes.count + chunk.readableBytes <= limit else {
                throw RegistryError(.invalid, "blob \(digest) is longer than \(limit) bytes")
            }
            bytes += chunk.readableBytesView
        }
        let found = Digest(of: bytes, digest.algorithm)
        guard found == digest else { throw RegistryError(.invalid, "blob \(digest) has digest \(found)") }
        return bytes
    }

    /// A blob's answer: the bytes of the body, when the registry tells how many, and whether it sends parts.
    struct Opened: Sendable {
        let size: Int64?
        let body: BlobBody
        let servesRanges: Bool
    }

    /// - Parameter end: behind the last byte; nil for the blob's end.
    func open(_ digest: Digest, from offset: Int64 = 0, to end: Int64? = nil) async throws -> Opened {
        try await reading { endpoint in
            var call = RegistryCall(.GET, endpoint.url("\(path)/blobs/\(digest)"), scopes: scopes("pull"))
            // Compressed on the way it would be another blob.
            call.headers.add(name: "Accept-Encoding", value: "identity")
            let isPart = offset > 0 || end != nil
            if isPart { call.headers.add(name: "Range", value: "bytes=\(offset)-\(end.map { "\($0 - 1)" } ?? "")") }
            let response = try await send(call, endpoint)
            let size = response.headers.first(name: "Content-Length").flatMap { Int64($0) }
            let address = call.address.description
            switch response.status {
            case .ok:
                // A server that knows no ranges sends all.
                let accepts = response.headers[canonicalForm: "Accept-Ranges"].contains { $0.lowercased() == "bytes" }
                return Opened(size: size, body: BlobBody(response.body, skipping: offset, from: address), servesRanges: accepts && !isPart)
            case .partialContent:
                let start = response.headers.first(name: "Content-Range").flatMap { Self.start(ofRange: $0) }
                guard isPart, start == offset else {
                    throw RegistryError(.failed, "\(call.address): asked for bytes from \(offset), got those from \(start ?? -1)")
                }
                return Opened(size: size, body: BlobBody(response.body, skipping: 0, from: address), servesRanges: true)
            default: throw try await RegistryFailure(response).reading(name.familiarName, "blob \(digest)")
            }
        }
    }

    /// The 5 of `bytes 5-9/10`.
    static func start(ofRange text: String) -> Int64? {
        guard text.lowercased().hasPrefix("bytes ") else { return nil }
        return Int64(text.dropFirst(6).prefix { $0 != "-" })
    }

    public func hasBlob(_ digest: Digest) async throws -> Bool { try await head(digest) != nil }

    /// Length in bytes of a blob that the registry has; nil when it doesn't have it.
    public func blobSize(_ digest: Digest) async throws -> Int64? {
        guard let size = try await head(digest) else { return nil }
        guard size >= 0 else { throw RegistryError(.failed, "the registry does not tell the length of blob \(digest)") }
        return size
    }

    /// -1 for an unknown length.
    private func head(_ digest: Digest) async throws -> Int64? {
        do {
            return try await reading { endpoint in
                let call = RegistryCall(.HEAD, endpoint.url("\(path)/blobs/\(digest)"), scopes: scopes("pull"))
                let response = try await send(call, endpoint)
                guard response.status == .ok else { throw try await RegistryFailure(response).reading(name.familiarName, "blob \(digest)") }
                try await RegistrySession.drain(response)
                return response.headers.first(name: "Content-Length").flatMap { Int64($0) } ?? -1
            }
        } catch let error as RegistryError where error.code == .notFound { return nil }
    }
}

/// The bytes of a blob as they arrive, with errors in a user's words.
struct BlobBody: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    typealias Failure = any Error

    private let body: HTTPClientResponse.Body?
    private let skipping: Int64
    private let address: String

    init(_ body: HTTPClientResponse.Body?, skipping: Int64, from address: String) {
        self.body = body
        self.skipping = skipping
        self.address = address
    }

    func makeAsyncIterator() -> Iterator { Iterator(base: body?.makeAsyncIterator(), skipping: skipping, address: address) }

    struct Iterator: AsyncIteratorProtocol {
        var base: HTTPClientResponse.Body.AsyncIterator?
        var skipping: Int64
        let address: String

        mutating func next() async throws -> ByteBuffer? {
            while true {
                guard var chunk = try await received() else { return nil }
                let skipped = Swift.min(skipping, Int64(chunk.readableBytes))
                chunk.moveReaderIndex(forwardBy: Int(skipped))
                skipping -= skipped
                if chunk.readableBytes > 0 { return chunk }
            }
        }

        private mutating func received() async throws -> ByteBuffer? {
            do { return try await base?.next() } catch {
                guard let place = WebAddress(address) else { throw error }
                throw RegistryError(.unreachable, "\(address): \(try ConnectionFailure(error, to: place))")
            }
        }
    }
}
