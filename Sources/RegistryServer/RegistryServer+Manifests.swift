internal import HTTPServer
internal import JSON
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Manifests and tags (distribution-spec, "Pulling manifests", "Pushing manifests", "Listing tags").
extension RegistryServer {
    /// As the specification allows: a larger manifest is refused.
    private static let manifestLimit = 4 << 20

    func manifest(_ name: String, _ reference: RegistryPath.Reference) throws -> Response {
        let (digest, mediaType) = try store.find(name, reference)
        let bytes: [UInt8]
        do { bytes = try Files.read(store.blobPath(name, digest)) } catch { throw RegistryError.unknownManifest(reference) }
        var response = Response.bytes(bytes, contentType: mediaType)
        response.headers.add(name: "Docker-Content-Digest", value: digest.description)
        response.headers.add(name: "Etag", value: "\"\(digest)\"")
        return response
    }

    func putManifest(_ name: String, _ reference: RegistryPath.Reference, _ request: Request) async throws -> Response {
        let buffer: ByteBuffer
        do { buffer = try await request.body.collect(limit: Self.manifestLimit) } catch let error as HTTPServerError
            where error == .bodyTooLarge
        {
            throw RegistryError(.payloadTooLarge, "MANIFEST_INVALID", "manifest is larger than \(Self.manifestLimit) bytes")
        }
        let bytes = Array(buffer.readableBytesView)
        var algorithm = Digest.Algorithm.sha256
        var tag: String?
        switch reference {
        case .digest(let digest): algorithm = digest.algorithm
        case .tag(let name): tag = name
        }
        let digest = ContentHasher.digest(of: bytes, algorithm)
        if case .digest(let wanted) = reference, wanted != digest {
            throw RegistryError.badDigest("content has digest \(digest), not \(wanted)")
        }
        let mediaType = try checked(bytes, in: name, contentType: request.headers.first(name: "Content-Type"))
        try store.putManifest(name, bytes, digest, mediaType: mediaType, tag: tag)
        return Response(
            status: .created, headers: ["Location": "/v2/\(name)/manifests/\(reference)", "Docker-Content-Digest": digest.description])
    }

    /// A manifest must be JSON of schema 2 whose content is here already. Returns its media type.
    private func checked(_ bytes: [UInt8], in name: String, contentType: String?) throws -> String {
        func invalid(_ reason: String) -> RegistryError { RegistryError(.badRequest, "MANIFEST_INVALID", "invalid manifest: \(reason)") }
        let document: JSONValue
        do { document = try JSONValue(parsing: bytes) } catch { throw invalid("\(error)") }
        guard document["schemaVersion"]?.intValue == 2 else { throw invalid("schemaVersion must be 2") }
        let inside = document["mediaType"]?.stringValue
        let outside = contentType.map { String($0.prefix { $0 != ";" }) }
        if let inside, let outside, inside != outside { throw invalid("Content-Type \(outside) but mediaType \(inside)") }
        guard let mediaType = inside ?? outside else { throw invalid("no media type") }
        let layers = document["layers"]?.arrayValue ?? []
        // Layers with urls of their own (foreign layers) need not be here.
        let blobs = ([document["config"]] + layers.map { $0 }).compactMap { $0 }.filter { $0["urls"]?.arrayValue?.isEmpty ?? true }
        for descriptor in blobs + (document["manifests"]?.arrayValue ?? []) {
            guard let text = descriptor["digest"]?.stringValue else { throw invalid("descriptor without digest") }
            let digest = try RegistryPath.digest(text)
            guard store.hasBlob(name, digest) else {
                throw RegistryError(.notFound, "MANIFEST_BLOB_UNKNOWN", "manifest references unknown content: \(digest)")
            }
        }
        return mediaType
    }

    func deleteManifest(_ name: String, _ reference: RegistryPath.Reference) throws -> Response {
        try store.removeManifest(name, reference)
        return Response(status: .accepted)
    }

    func tags(_ name: String, _ request: Request) throws -> Response {
        try page(
            "tags", of: store.tags(name), at: "/v2/\(name)/tags/list", request,
            also: JSONObject([.init(name: "name", value: .string(name))]))
    }
}
