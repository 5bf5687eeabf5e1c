internal import AsyncHTTPClient
public import NIOCore
internal import NIOHTTP1
public import OCIImageSpec

// Uploads: POST opens one, PUT brings all of it. Where something between refuses so long a body, PATCH brings it in parts.
extension HTTPRepository {
    public func mountBlob(_ digest: Digest, from repository: String) async throws -> Bool {
        try await writing { endpoint in
            let address = endpoint.url("\(path)/blobs/uploads/").adding("mount", "\(digest)").adding("from", repository)
            let call = RegistryCall(.POST, address, scopes: scopes("pull,push") + ["repository:\(repository):pull"])
            let response = try await send(call, endpoint)
            try await RegistrySession.drain(response)
            // Whatever the reason is: the blob can be uploaded.
            if response.status == .accepted { try await cancel(location(of: response, endpoint), endpoint) }
            return response.status == .created
        }
    }

    public func uploadBlob(
        _ digest: Digest, size: Int64, body: @escaping @Sendable () -> any AsyncSequence<ByteBuffer, any Error> & Sendable
    ) async throws {
        try await writing { endpoint in
            let upload = try await open(endpoint)
            var call = RegistryCall(.PUT, upload.location.adding("digest", "\(digest)"), scopes: scopes("pull,push"))
            call.headers.add(name: "Content-Type", value: "application/octet-stream")
            call.body = { Self.stream(body(), size) }
            let response: HTTPClientResponse
            do { response = try await send(call, endpoint) } catch let failure as ConnectionFailure where !failure.isTransient {
                throw failure
            } catch let failure as ConnectionFailure {
                // The answer may be lost on a connection that a refusal of the body has broken.
                if try await hasBlob(digest) { return }
                throw failure
            }
            switch response.status {
            case .created, .ok, .noContent, .accepted: try await RegistrySession.drain(response)
            case .payloadTooLarge, .methodNotAllowed:
                try await RegistrySession.drain(response)
                try await uploadInParts(digest, body(), endpoint)
            default: throw try await RegistryFailure(response).error
            }
        }
    }

    /// Stores a blob of another repository, which is read as it is sent.
    public func uploadBlob(_ digest: Digest, size: Int64, from source: HTTPRepository) async throws {
        try await uploadBlob(digest, size: size) { RemoteBody(repository: source, digest: digest) }
    }

    /// Begins to be fetched when it is asked for its first bytes.
    private struct RemoteBody: AsyncSequence, Sendable {
        typealias Element = ByteBuffer
        typealias Failure = any Error
        let repository: HTTPRepository
        let digest: Digest

        func makeAsyncIterator() -> Iterator { Iterator(repository: repository, digest: digest) }

        struct Iterator: AsyncIteratorProtocol {
            let repository: HTTPRepository
            let digest: Digest
            var body: BlobBody.Iterator?

            mutating func next() async throws -> ByteBuffer? {
                if body == nil { body = try await repository.open(digest, from: 0).body.makeAsyncIterator() }
                return try await body?.next()
            }
        }
    }

    private static func stream(_ body: some AsyncSequence<ByteBuffer, any Error> & Sendable, _ size: Int64) -> HTTPClientRequest.Body {
        .stream(body, length: .known(size))
    }

    private struct Upload {
        let location: WebAddress
        /// The least that a part but the last may have.
        let smallestPart: Int
    }

    private func open(_ endpoint: RegistryEndpoint) async throws -> Upload {
        var call = RegistryCall(.POST, endpoint.url("\(path)/blobs/uploads/"), scopes: scopes("pull,push"))
        // One too many is nothing but an empty upload.
        call.isRepeatable = true
        call.headers.add(name: "Content-Length", value: "0")
        let response = try await send(call, endpoint)
        guard response.status == .accepted else { throw try await RegistryFailure(response).error }
        try await RegistrySession.drain(response)
        let smallest = response.headers.first(name: "OCI-Chunk-Min-Length").flatMap { Int($0) } ?? 0
        return Upload(location: try location(of: response, endpoint), smallestPart: smallest)
    }

    private func location(of response: HTTPClientResponse, _ endpoint: RegistryEndpoint) throws -> WebAddress {
        let base = endpoint.url("\(path)/blobs/uploads/")
        guard let text = response.headers.first(name: "Location"), let address = base.resolving(text) else {
            throw RegistryError(.failed, "the registry opened an upload without telling where")
        }
        return address
    }

    private func cancel(_ location: WebAddress, _ endpoint: RegistryEndpoint) async throws {
        // One that can't be cancelled ends by itself.
        let response = try? await send(RegistryCall(.DELETE, location, scopes: scopes("pull,push")), endpoint)
        if let response { try await RegistrySession.drain(response) }
    }

    /// Bytes of a part. Held in memory, so not many.
    private static let partSize = 8 << 20

    private func uploadInParts(
        _ digest: Digest, _ body: any AsyncSequence<ByteBuffer, any Error> & Sendable, _ endpoint: RegistryEndpoint
    ) async throws {
        let upload = try await open(endpoint)
        guard upload.smallestPart <= 256 << 20 else {
            throw RegistryError(.unsupported, "the registry wants parts of \(upload.smallestPart) bytes at least")
        }
        let size = max(Self.partSize, upload.smallestPart)
        var parts = PartSender(repository: self, endpoint: endpoint, location: upload.location)
        var part = ByteBuffer()
        for try await var chunk in body {
            while chunk.readableBytes > 0 {
                var slice = chunk.readSlice(length: min(chunk.readableBytes, size - part.readableBytes)) ?? ByteBuffer()
                part.writeBuffer(&slice)
                if part.readableBytes == size {
                    try await parts.send(part)
                    part.clear()
                }
            }
        }
        if part.readableBytes > 0 { try await parts.send(part) }
        try await parts.finish(digest)
    }

    /// Sends parts one after the other; each answer tells where the next one goes.
    private struct PartSender {
        let repository: HTTPRepository
        let endpoint: RegistryEndpoint
        var location: WebAddress
        var offset = 0

        init(repository: HTTPRepository, endpoint: RegistryEndpoint, location: WebAddress) {
            self.repository = repository
            self.endpoint = endpoint
            self.location = location
        }

        mutating func send(_ part: ByteBuffer) async throws {
            var call = RegistryCall(.PATCH, location, scopes: repository.scopes("pull,push"))
            call.headers.add(name: "Content-Type", value: "application/octet-stream")
            call.headers.add(name: "Content-Range", value: "\(offset)-\(offset + part.readableBytes - 1)")
            call.body = { .bytes(part) }
            let response = try await repository.send(call, endpoint)
            guard response.status == .accepted || response.status == .noContent || response.status == .created else {
                throw try await RegistryFailure(response).error
            }
            try await RegistrySession.drain(response)
            location = try repository.location(of: response, endpoint)
            offset += part.readableBytes
        }

        func finish(_ digest: Digest) async throws {
            var call = RegistryCall(.PUT, location.adding("digest", "\(digest)"), scopes: repository.scopes("pull,push"))
            call.headers.add(name: "Content-Length", value: "0")
            let response = try await repository.send(call, endpoint)
            guard [.created, .ok, .noContent].contains(response.status) else { throw try await RegistryFailure(response).error }
            try await RegistrySession.drain(response)
        }
    }
}
