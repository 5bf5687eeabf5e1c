internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

// Manifests (distribution-spec, "Pulling manifests", "Pushing manifests", "Deleting Manifests").
extension RegistryServer {
    func manifest(_ name: String, _ reference: RegistryPath.Reference, _ call: Call) async throws -> Response {
        var warning: String?
        if let upstream { warning = try await upstream.refresh(reference, in: name) }
        guard let entry = try await storage.manifest(reference, in: name) else { throw RegistryError.unknownManifest(reference) }
        let etag = "\"\(entry.digest)\""
        var headers: HTTPHeaders = ["Content-Type": entry.mediaType, "Docker-Content-Digest": entry.digest.description, "Etag": etag]
        if let warning { headers.add(name: "Warning", value: Self.warning(warning)) }
        if call.has(etag) { return Response(status: .notModified, headers: headers) }
        if call.request.method == .HEAD {
            headers.add(name: "Content-Length", value: "\(entry.size)")
            return Response(status: .ok, headers: headers, body: .none)
        }
        guard let bytes = try await storage.manifestBytes(entry.digest, in: name) else { throw RegistryError.unknownManifest(reference) }
        events.manifestPulled(entry, reference, in: name, call)
        return Response(status: .ok, headers: headers, body: .bytes(ByteBuffer(bytes: bytes)))
    }

    func putManifest(_ name: String, _ reference: RegistryPath.Reference, _ call: Call) async throws -> Response {
        let request = call.request
        let buffer: ByteBuffer
        do { buffer = try await request.body.collect(limit: manifestLimit) } catch let error as HTTPServerError where error == .bodyTooLarge
        {
            throw RegistryError(.payloadTooLarge, "MANIFEST_INVALID", "manifest is larger than \(manifestLimit) bytes")
        }
        let bytes = Array(buffer.readableBytesView)
        var algorithm = Digest.Algorithm.sha256
        var tags: [String] = []
        switch reference {
        case .digest(let digest):
            algorithm = digest.algorithm
            tags = try request.query.all("tag").map { try RegistryPath.checked(tag: $0) }
        case .tag(let name): tags = [name]
        }
        let digest = ContentHasher.digest(of: bytes, algorithm)
        if case .digest(let wanted) = reference, wanted != digest {
            throw RegistryError.badDigest("content has digest \(digest), not \(wanted)")
        }
        let document = try PushedManifest(bytes, contentType: request.headers.first(name: "Content-Type"))
        let entry = document.entry(digest, size: bytes.count)
        let all = tags
        try await gate.pass {
            try await check(document, in: name)
            try await storage.put(entry, bytes, tags: all, in: name)
        }
        events.manifestPushed(entry, reference, tags: tags, in: name, call)
        var headers: HTTPHeaders = ["Location": "/v2/\(name)/manifests/\(reference)", "Docker-Content-Digest": digest.description]
        if let subject = entry.subject { headers.add(name: "OCI-Subject", value: subject.description) }
        if case .digest = reference { for tag in tags { headers.add(name: "OCI-Tag", value: tag) } }
        return Response(status: .created, headers: headers)
    }

    /// What a manifest is made of must be in the repository. Its subject need not.
    private func check(_ manifest: PushedManifest, in name: String) async throws {
        var missing: [Digest] = []
        for digest in Set(manifest.blobs) where try await storage.blob(digest, in: name) == nil { missing.append(digest) }
        for digest in Set(manifest.manifests) where try await storage.manifest(.digest(digest), in: name) == nil { missing.append(digest) }
        guard let first = missing.min() else { return }
        throw RegistryError(
            .notFound, "MANIFEST_BLOB_UNKNOWN", "manifest references unknown content: \(first)",
            detail: ["digests": .array(missing.sorted().map { .string($0.description) })])
    }

    func deleteManifest(_ name: String, _ reference: RegistryPath.Reference, _ call: Call) async throws -> Response {
        let isGone = try await gate.pass {
            switch reference {
            case .tag(let tag): try await storage.removeTag(tag, from: name)
            case .digest(let digest): try await storage.removeManifest(digest, from: name)
            }
        }
        guard isGone else { throw RegistryError.unknownManifest(reference) }
        switch reference {
        case .tag(let tag): events.deleted(nil, tag: tag, in: name, call)
        case .digest(let digest): events.deleted(digest, tag: nil, in: name, call)
        }
        return Response(status: .accepted)
    }
}

/// A manifest as a client sends it: JSON of schema 2, an image or an index.
struct PushedManifest {
    let mediaType: String
    /// What must be there besides: config and layers. Layers with addresses of their own ("foreign") need not be here.
    let blobs: [Digest]
    /// An index's manifests.
    let manifests: [Digest]
    private let document: JSONValue

    init(_ bytes: [UInt8], contentType: String?) throws {
        do { document = try JSONValue(parsing: bytes) } catch { throw RegistryError.badManifest("\(error)") }
        guard case .object = document else { throw RegistryError.badManifest("no JSON object") }
        guard document["schemaVersion"]?.intValue == 2 else { throw RegistryError.badManifest("schemaVersion must be 2") }
        let inside = document["mediaType"]?.stringValue
        let outside = contentType.map { String($0.prefix { $0 != ";" && $0 != " " }) }
        if let inside, let outside, inside != outside { throw RegistryError.badManifest("Content-Type \(outside) but mediaType \(inside)") }
        guard let mediaType = inside ?? outside else { throw RegistryError.badManifest("no media type") }
        guard MediaType.manifests.contains(mediaType) || MediaType.indexes.contains(mediaType) else {
            throw RegistryError.badManifest("unsupported media type \(mediaType)")
        }
        self.mediaType = mediaType
        if MediaType.indexes.contains(mediaType) {
            guard let list = document["manifests"]?.arrayValue else { throw RegistryError.badManifest("no manifests") }
            if document["layers"] != nil || document["config"] != nil { throw RegistryError.badManifest("an index with config or layers") }
            manifests = try list.map { try Self.digest($0) }
            blobs = []
        } else {
            guard let config = document["config"], let layers = document["layers"]?.arrayValue else {
                throw RegistryError.badManifest("no config or no layers")
            }
            if document["manifests"] != nil { throw RegistryError.badManifest("an image with manifests") }
            manifests = []
            blobs = try ([config] + layers).compactMap { descriptor in
                let digest = try Self.digest(descriptor)
                return descriptor["urls"]?.arrayValue?.isEmpty ?? true ? digest : nil
            }
        }
        if let subject = document["subject"], !subject.isNull { _ = try Self.digest(subject) }
    }

    private static func digest(_ descriptor: JSONValue) throws -> Digest {
        guard let text = descriptor["digest"]?.stringValue else { throw RegistryError.badManifest("descriptor without digest") }
        do { return try Digest(text) } catch { throw RegistryError.badManifest("\(error): \(text.prefix(150))") }
    }

    func entry(_ digest: Digest, size: Int) -> ManifestEntry {
        var entry = ManifestEntry(digest: digest, mediaType: mediaType, size: size)
        entry.complete(from: document)
        return entry
    }

    /// Everything that a stored manifest needs, whatever it is: for the garbage collector, which must know it better than a
    /// push does (a foreign layer that was pushed all the same stays).
    static func references(in bytes: [UInt8]) -> [Digest] {
        guard let document = try? JSONValue(parsing: bytes) else { return [] }
        let descriptors =
            [document["config"]].compactMap { $0 } + (document["layers"]?.arrayValue ?? []) + (document["manifests"]?.arrayValue ?? [])
        return descriptors.compactMap { $0["digest"]?.stringValue.flatMap { try? Digest($0) } }
    }
}
