internal import AsyncHTTPClient
internal import CCrypto
internal import JSON
internal import NIOCore
internal import NIOHTTP1
public import OCIImageSpec

/// One repository over HTTP. Its blobs stand in HTTPRepository+Blobs.swift, uploads in HTTPRepository+Uploads.swift.
public struct HTTPRepository: RegistryRepository {
    enum Place: Sendable {
        /// Wherever the settings say that a domain's registry and its mirrors answer.
        case domain(String)
        case endpoint(RegistryEndpoint)
    }

    public let name: ImageReference
    /// The name in the registry.
    let path: String
    private let client: RegistryClient
    private let session: RegistrySession
    private let place: Place
    private let user: RegistryCredentials

    init(client: RegistryClient, name: ImageReference, path: String, place: Place, user: RegistryCredentials) {
        self.client = client
        self.name = name
        self.path = path
        self.place = place
        self.user = user
        session = RegistrySession(client)
    }

    // MARK: Manifests

    private static let accepted = (MediaType.manifests.union(MediaType.indexes)).sorted()
    /// Longer ones are refused, as registries do.
    private static let manifestLimit = 4 << 20

    public func manifest(_ selector: ManifestSelector) async throws -> FetchedManifest {
        try await reading { endpoint in
            let response = try await send(manifestCall(.GET, selector, endpoint), endpoint)
            guard response.status == .ok else {
                throw try await RegistryFailure(response).reading(name.familiarName, "manifest for \(shown(selector))")
            }
            let bytes = try await Self.collect(response, Self.manifestLimit, endpoint.address)
            return try checked(bytes, response.headers.first(name: "Content-Type"), selector)
        }
    }

    public func resolve(_ selector: ManifestSelector) async throws -> Descriptor? {
        do {
            return try await reading { endpoint in
                let response = try await send(manifestCall(.HEAD, selector, endpoint), endpoint)
                guard response.status == .ok else {
                    throw try await RegistryFailure(response).reading(name.familiarName, "manifest for \(shown(selector))")
                }
                return try await descriptor(response, selector)
            }
        } catch let error as RegistryError where error.code == .notFound { return nil }
    }

    /// Of an answer's headers; where those do not tell all, of the manifest itself.
    private func descriptor(_ response: HTTPClientResponse, _ selector: ManifestSelector) async throws -> Descriptor {
        let type = Self.mediaType(response.headers.first(name: "Content-Type"))
        let size = response.headers.first(name: "Content-Length").flatMap { Int64($0) }
        var digest = response.headers.first(name: "Docker-Content-Digest").flatMap { try? Digest($0) }
        if case .digest(let asked) = selector { digest = asked }
        if let digest, let size, size > 0, MediaType.manifests.contains(type) || MediaType.indexes.contains(type) {
            return Descriptor(mediaType: type, digest: digest, size: size)
        }
        let fetched = try await manifest(selector)
        return Descriptor(mediaType: fetched.mediaType, digest: fetched.digest, size: Int64(fetched.bytes.count))
    }

    public func putManifest(_ bytes: [UInt8], mediaType: String, as selector: ManifestSelector) async throws -> Digest {
        try await writing { endpoint in
            var call = RegistryCall(.PUT, endpoint.url("\(path)/manifests/\(selector)"), scopes: scopes("pull,push"))
            call.headers.add(name: "Content-Type", value: mediaType)
            call.body = { .bytes(ByteBuffer(bytes: bytes)) }
            // The same again is the same.
            call.isRepeatable = true
            let response = try await send(call, endpoint)
            guard response.status == .created || response.status == .ok || response.status == .accepted else {
                throw try await RegistryFailure(response).error
            }
            try await RegistrySession.drain(response)
            let answered = response.headers.first(name: "Docker-Content-Digest").flatMap { try? Digest($0) }
            return answered ?? Digest(of: bytes)
        }
    }

    private func manifestCall(_ method: HTTPMethod, _ selector: ManifestSelector, _ endpoint: RegistryEndpoint) -> RegistryCall {
        var call = RegistryCall(method, endpoint.url("\(path)/manifests/\(selector)"), scopes: scopes("pull"))
        for type in Self.accepted { call.headers.add(name: "Accept", value: type) }
        return call
    }

    /// Docker's words for a manifest: `x:1`, `x@sha256:…`.
    private func shown(_ selector: ManifestSelector) -> String {
        switch selector {
        case .tag(let tag): "\(name.familiarName):\(tag)"
        case .digest(let digest): "\(name.familiarName)@\(digest)"
        }
    }

    private func checked(_ bytes: [UInt8], _ contentType: String?, _ selector: ManifestSelector) throws(RegistryError) -> FetchedManifest {
        var digest = Digest(of: bytes)
        if case .digest(let asked) = selector {
            digest = Digest(of: bytes, asked.algorithm)
            guard digest == asked else {
                throw RegistryError(.invalid, "manifest verification failed for digest \(asked): the registry sent \(digest)")
            }
        }
        guard let document = try? JSONValue(parsing: bytes), document.objectValue != nil else {
            throw RegistryError(.invalid, "manifest for \(shown(selector)) is no JSON object")
        }
        var type = Self.mediaType(contentType)
        if !MediaType.manifests.contains(type) && !MediaType.indexes.contains(type) {
            // Old registries and plain web servers send other types.
            type = document["mediaType"]?.stringValue ?? type
        }
        if type.hasPrefix("application/vnd.docker.distribution.manifest.v1") || document["schemaVersion"] == 1 {
            throw RegistryError(
                .unsupported,
                "Docker Image manifest version 2, schema 1 is not supported. Suggest the author of \(shown(selector)) to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/"
            )
        }
        return FetchedManifest(bytes: bytes, mediaType: type, digest: digest)
    }

    private static func mediaType(_ contentType: String?) -> String {
        String((contentType ?? "").prefix { $0 != ";" && $0 != " " }).lowercased()
    }

    // MARK: Tags

    public func tags() async throws -> [String] {
        try await reading { endpoint in
            var tags: [String] = []
            var next: WebAddress? = endpoint.url("\(path)/tags/list?n=1000")
            while let address = next, tags.count < 1_000_000 {
                let response = try await send(RegistryCall(.GET, address, scopes: scopes("pull")), endpoint)
                guard response.status == .ok else { throw try await RegistryFailure(response).reading(name.familiarName) }
                let bytes = try await Self.collect(response, 16 << 20, address)
                guard let document = try? JSONValue(parsing: bytes) else {
                    throw RegistryError(.invalid, "list of tags of \(name.familiarName) is no JSON")
                }
                tags += (document["tags"]?.arrayValue ?? []).compactMap(\.stringValue)
                // Only the same registry is followed.
                next = Self.nextPage(response.headers["Link"]).flatMap { address.resolving($0) }
                    .flatMap { $0.hasSameOrigin(as: endpoint.address) && $0 != address ? $0 : nil }
            }
            return tags
        }
    }

    /// The target of `Link: <…>; rel="next"` (RFC 8288).
    static func nextPage(_ headers: [String]) -> String? {
        for link in headers.flatMap({ $0.split(separator: ",") }) {
            guard let start = link.firstIndex(of: "<"), let end = link[start...].firstIndex(of: ">") else { continue }
            let parameters = link[end...].lowercased()
            if parameters.contains("rel=\"next\"") || parameters.contains("rel=next") {
                return String(link[link.index(after: start)..<end])
            }
        }
        return nil
    }

    // MARK: Calls

    func scopes(_ actions: String) -> [String] { ["repository:\(path):\(actions)"] }

    func send(_ call: RegistryCall, _ endpoint: RegistryEndpoint) async throws -> HTTPClientResponse {
        try await session.send(call, to: endpoint, as: user)
    }

    /// Asks each endpoint until one has what is wanted; what the registry itself says counts more than what mirrors say.
    func reading<Value>(_ body: (RegistryEndpoint) async throws -> Value) async throws -> Value {
        try await anyEndpoint(withMirrors: true, body)
    }

    /// Mirrors take nothing.
    func writing<Value>(_ body: (RegistryEndpoint) async throws -> Value) async throws -> Value {
        try await anyEndpoint(withMirrors: false, body)
    }

    private func anyEndpoint<Value>(withMirrors: Bool, _ body: (RegistryEndpoint) async throws -> Value) async throws -> Value {
        guard case .domain(let domain) = place else {
            guard case .endpoint(let endpoint) = place else { throw RegistryError(.unreachable, "no endpoint") }
            do { return try await body(endpoint) } catch let failure as ConnectionFailure {
                throw RegistryError(.unreachable, failure.description)
            }
        }
        var last = RegistryError(.unreachable, "no endpoint of \(domain)")
        for endpoint in await client.endpoints(of: domain, withMirrors: withMirrors, session) {
            do {
                let value = try await body(endpoint)
                if !endpoint.isMirror && !endpoint.verifiesCertificate { client.note(endpoint, answersFor: domain) }
                return value
            } catch let failure as ConnectionFailure {
                last = RegistryError(.unreachable, failure.description)
                if !endpoint.isMirror { client.forgetEndpoint(of: domain) }
            } catch let error as RegistryError where endpoint.isMirror {
                last = error
            }
        }
        throw last
    }

    static func collect(_ response: HTTPClientResponse, _ limit: Int, _ address: WebAddress) async throws -> [UInt8] {
        do { return Array(try await response.body.collect(upTo: limit).readableBytesView) } catch is NIOTooManyBytesError {
            throw RegistryError(.invalid, "\(address): answer is longer than \(limit) bytes")
        } catch { throw try ConnectionFailure(error, to: address) }
    }
}

extension Digest {
    /// The digest of bytes, by OpenSSL.
    init(of bytes: [UInt8], _ algorithm: Algorithm = .sha256) {
        var output = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        EVP_Digest(bytes, bytes.count, &output, &count, algorithm == .sha256 ? EVP_sha256() : EVP_sha512(), nil)
        self.init(algorithm: algorithm, bytes: output[..<Int(count)])
    }
}
