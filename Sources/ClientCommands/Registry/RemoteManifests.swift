internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux
internal import OCIImageSpec

/// Manifests in registries, through the daemon.
struct RemoteManifests {
    private let context: Context

    init(_ context: Context) { self.context = context }

    /// A manifest or a list of them, as the registry has it.
    struct Fetched {
        let bytes: [UInt8]
        let mediaType: String
        let digest: String
        let document: JSONValue

        var isList: Bool { MediaType.indexes.contains(mediaType) }
    }

    /// Which registries may be insecure is the daemon's to know; loopback addresses always are.
    func refuseInsecure(_ name: ImageReference) throws {
        guard context.flags.bool("insecure") else { return }
        let host = name.domain.prefix { $0 != ":" }
        if host == "localhost" || host.hasPrefix("127.") || name.domain.hasPrefix("[::1]") { return }
        throw Failure.notImplemented("--insecure; name \(name.domain) in insecure-registries of the daemon")
    }

    func fetch(_ name: ImageReference) throws -> Fetched {
        do {
            let response = try context.client.send(request("GET", "manifests", name))
            let (type, digest) = (response.head["content-type"] ?? "", response.head["docker-content-digest"] ?? "")
            let bytes = try response.readAll()
            return Fetched(bytes: bytes, mediaType: type, digest: digest, document: try JSONValue(parsing: bytes))
        } catch ClientError.api(404, _) { throw Failure("no such manifest: \(name)") }
    }

    /// An image's entry.
    /// - Parameter platform: nil for what its configuration tells.
    func entry(_ name: ImageReference, _ fetched: Fetched, platform: Platform? = nil) throws -> ManifestEntry {
        if fetched.isList { throw Failure("\(name) is a manifest list") }
        guard MediaType.manifests.contains(fetched.mediaType) else { throw Failure("\(name) is not a manifest") }
        return ManifestEntry(
            name: "\(name)", mediaType: fetched.mediaType, digest: fetched.digest, platform: try platform ?? self.platform(name, fetched),
            bytes: fetched.bytes)
    }

    /// The images that a list names.
    func entries(of list: Fetched, _ name: ImageReference) throws -> [ManifestEntry] {
        try (list.document["manifests"]?.arrayValue ?? []).map { member in
            guard let text = member["digest"]?.stringValue, let image = try? ImageReference("\(name)@\(text)") else {
                throw Failure("\(name): a manifest of the list has no digest")
            }
            let fetched = try fetch(image)
            if !MediaType.manifests.contains(fetched.mediaType) { throw Failure("unsupported manifest type: \(fetched.mediaType)") }
            return try entry(image, fetched, platform: Platform(document: member["platform"]))
        }
    }

    private func platform(_ name: ImageReference, _ fetched: Fetched) throws -> Platform {
        guard let digest = fetched.document["config"]?["digest"]?.stringValue else { return Platform(document: nil) }
        let config = try context.client.send(request("GET", "blobs", name, [("digest", digest)])).readAll()
        return Platform(document: try JSONValue(parsing: config))
    }

    /// Sees to it that an image is in the list's own repository, where lists may name it.
    private func bring(_ entry: ManifestEntry, to list: ImageReference) throws {
        let source = try Self.reference(of: entry)
        if source.name == list.name { return }
        let manifest = try JSONValue(parsing: entry.bytes)
        let blobs = [manifest["config"]].compactMap { $0 } + (manifest["layers"]?.arrayValue ?? [])
        for digest in blobs.compactMap({ $0["digest"]?.stringValue }) {
            _ = try context.client.call(request("POST", "blobs", list, [("digest", digest), ("from", source.name)]))
        }
        guard let digest = try? Digest(entry.digest) else { throw Failure("digest parse of image \(quoted(entry.name)) failed") }
        let stored = try put(entry.bytes, entry.mediaType, as: list.with(digest: digest))
        context.print("Pushed ref \(list.with(digest: digest)) with digest: \(stored)")
    }

    /// Answers the list's digest.
    func push(_ entries: [ManifestEntry], as list: ImageReference) throws -> String {
        for entry in entries where entry.platform.architecture.isEmpty || entry.platform.os.isEmpty {
            throw Failure("manifest \(entry.name) must have an OS and Architecture to be pushed to a registry")
        }
        let document = try Self.list(of: entries, as: list)
        for entry in entries { try bring(entry, to: list) }
        return try put(document.bytes, document.mediaType, as: list)
    }

    /// The list as a registry gets it: byte for byte what Docker's client makes of the same entries.
    static func list(of entries: [ManifestEntry], as name: ImageReference) throws -> (bytes: [UInt8], mediaType: String) {
        for entry in entries {
            let domain = try reference(of: entry).domain
            if domain == name.domain { continue }
            throw Failure("cannot use source images from a different registry than the target image: \(domain) != \(name.domain)")
        }
        // The first decides.
        let type = entries.first?.isOCI ?? false ? MediaType.ociIndex : MediaType.dockerManifestList
        let document: JSONValue = [
            "schemaVersion": 2, "mediaType": .string(type), "manifests": .array(try entries.map { try $0.listed }),
        ]
        return (Array(GoJSON.htmlSafe(document.text(indent: 3)).utf8), type)
    }

    private static func reference(of entry: ManifestEntry) throws -> ImageReference {
        do { return try ImageReference(entry.name) } catch { throw Failure("\(entry.name): \(error)") }
    }

    private func put(_ bytes: [UInt8], _ mediaType: String, as name: ImageReference) throws -> String {
        var put = try request("PUT", "manifests", name)
        put.body = .producer(type: mediaType) { writer in try bytes.withUnsafeBytes { try writer.write($0) } }
        return try context.client.call(put)["Digest"]?.stringValue ?? ""
    }

    private func request(_ method: String, _ kind: String, _ name: ImageReference, _ query: [(String, String)] = []) throws -> Request {
        let credentials = try context.registryAuth.header(for: "\(name)")
        return Request(
            method, "/registry/\(kind)/\(Context.imageSegment("\(name)"))", query: query, headers: [("X-Registry-Auth", credentials)])
    }
}
