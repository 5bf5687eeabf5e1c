internal import ClientUI
internal import EngineClient
internal import JSON
internal import Linux
internal import OCIImageSpec

/// Manifests in registries, through the daemon.
struct RemoteManifests {
    private let context: Context

    init(_ context: Context) { self.context = context }

    struct Fetched {
        let bytes: [UInt8]
        let mediaType: String
        let digest: String
        let document: JSONValue
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

    /// An image's entry. Its platform stands in its configuration.
    func entry(_ name: ImageReference, _ fetched: Fetched, platform: JSONObject? = nil) throws -> ManifestEntry {
        ManifestEntry(
            name: name, mediaType: fetched.mediaType, digest: fetched.digest, bytes: fetched.bytes, manifest: fetched.document,
            platform: try platform ?? self.platform(name, fetched))
    }

    /// The images that a list names.
    func entries(of list: Fetched, _ name: ImageReference) throws -> [ManifestEntry] {
        try (list.document["manifests"]?.arrayValue ?? []).map { member in
            guard let text = member["digest"]?.stringValue, let digest = try? Digest(text) else {
                throw Failure("\(name): a manifest of the list has no digest")
            }
            let image = name.with(digest: digest)
            return try entry(image, fetch(image), platform: member["platform"]?.objectValue)
        }
    }

    private func platform(_ name: ImageReference, _ fetched: Fetched) throws -> JSONObject {
        guard let digest = fetched.document["config"]?["digest"]?.stringValue else { return JSONObject() }
        let config = try JSONValue(parsing: context.client.send(request("GET", "blobs", name, [("digest", digest)])).readAll())
        let members = ["architecture", "os", "os.version", "os.features", "variant"].compactMap { member in
            config[member].map { JSONObject.Member(name: member, value: $0) }
        }
        return JSONObject(members)
    }

    /// Sees to it that an image is in the list's own repository, where lists may name it.
    func bring(_ entry: ManifestEntry, to list: ImageReference) throws {
        let name: ImageReference
        do { name = try ImageReference(entry.name) } catch { throw Failure("\(entry.name): \(error)") }
        if name.name == list.name { return }
        if name.domain != list.domain {
            throw Failure(
                "cannot use source images from a different registry than the target image: \(name.domain) != \(list.domain)")
        }
        let blobs = [entry.manifest["config"]].compactMap { $0 } + (entry.manifest["layers"]?.arrayValue ?? [])
        for digest in blobs.compactMap({ $0["digest"]?.stringValue }) {
            _ = try context.client.call(request("POST", "blobs", list, [("digest", digest), ("from", name.name)]))
            context.print("Mounted \(digest) from \(name.name)")
        }
        guard let digest = try? Digest(entry.digest) else { throw Failure("\(entry.name): malformed digest \(entry.digest)") }
        try put(entry.bytes, entry.mediaType, as: list.with(digest: digest))
        context.print("Pushed ref \(list.name)@\(entry.digest) with digest: \(entry.digest)")
    }

    /// Answers the list's digest.
    func pushList(_ entries: [ManifestEntry], as list: ImageReference) throws -> String {
        for entry in entries where entry.platform["architecture"] == nil || entry.platform["os"] == nil {
            throw Failure("manifest \(entry.name) must have an OS and Architecture to be pushed to a registry")
        }
        // Docker's list names Docker's images; one of OCI's alone is OCI's.
        let isOCI = !entries.isEmpty && entries.allSatisfy { $0.mediaType == MediaType.ociManifest }
        let type = isOCI ? MediaType.ociIndex : MediaType.dockerManifestList
        let document: JSONValue = [
            "schemaVersion": 2, "mediaType": .string(type), "manifests": .array(entries.map(\.descriptor)),
        ]
        return try put(document.serialized(indent: 3), type, as: list)
    }

    @discardableResult
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
