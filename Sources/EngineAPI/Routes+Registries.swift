internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec
internal import RegistryClient

// What is asked of registries without moving layers.
extension EngineAPI {
    /// `POST /auth`
    @Sendable static func logIn(_ call: Call) async throws -> Response {
        let credentials = RegistryCredentials(try await call.body(AuthConfig.self))
        return try call.json(await call.backends.registries.logIn(credentials))
    }

    /// `GET /distribution/{name}/json`
    @Sendable static func distribution(_ call: Call) async throws -> Response {
        let (descriptor, platforms) = try await call.backends.registries.distribution(call.name, credentials: call.registryCredentials())
        let members: JSONValue = [
            "mediaType": .string(descriptor.mediaType), "digest": .string("\(descriptor.digest)"), "size": .integer(descriptor.size),
        ]
        return Call.json(["Descriptor": members, "Platforms": try JSON.value(platforms)])
    }

    /// `GET /images/search`
    @Sendable static func search(_ call: Call) async throws -> Response {
        guard let term = call.text("term") else { throw APIError.invalid("term: words to search for are missing") }
        let found = try await call.backends.registries.search(
            term, limit: call.number("limit"), filters: call.filters(), credentials: call.registryCredentials())
        return Call.json(
            .array(
                found.map { result in
                    [
                        "star_count": .integer(Int64(result.stars)), "is_official": .bool(result.isOfficial),
                        "name": .string(result.name),
                        // As dockerd since 1.44: always.
                        "is_automated": false, "description": .string(result.description),
                    ]
                }))
    }

    /// Manifests as registries have them, which Docker's client fetches and stores by itself: ours has no TLS, and the daemon knows
    /// mirrors, certificates and proxies. docs/decisions/0010-registries-through-the-daemon.md.
    static let manifestRoutes: [Route] = [
        Route(.GET, "/registry/manifests/{name*}") { call in
            let manifest = try await call.backends.registries.manifest(call.name, credentials: call.registryCredentials())
            var response = Response.bytes(manifest.bytes, contentType: manifest.mediaType)
            response.headers.add(name: "Docker-Content-Digest", value: "\(manifest.digest)")
            return response
        },
        Route(.PUT, "/registry/manifests/{name*}") { call in
            let bytes = Array(try await call.request.body.collect(limit: 4 << 20).readableBytesView)
            let type = call.request.headers.first(name: "Content-Type") ?? ""
            guard MediaType.manifests.contains(type) || MediaType.indexes.contains(type) else {
                throw APIError.invalid("unsupported Content-Type header (\(type)): must be that of a manifest or a list of manifests")
            }
            let digest = try await call.backends.registries.putManifest(
                call.name, bytes, mediaType: type, credentials: call.registryCredentials())
            return Call.json(["Digest": .string("\(digest)")], status: .created)
        },
        Route(.GET, "/registry/blobs/{name*}") { call in
            let bytes = try await call.backends.registries.blob(call.name, call.digest(), credentials: call.registryCredentials())
            return .bytes(bytes, contentType: "application/octet-stream")
        },
        Route(.POST, "/registry/blobs/{name*}") { call in
            guard let source = call.text("from") else { throw APIError.invalid("from: the repository that has the blob is missing") }
            try await call.backends.registries.mountBlob(
                call.digest(), from: source, to: call.name, credentials: call.registryCredentials())
            return Response(status: .created)
        },
    ]
}

extension Call {
    fileprivate func digest() throws -> Digest {
        do { return try Digest(text("digest") ?? "") } catch { throw APIError.invalid("digest: \(error)") }
    }
}
