internal import AsyncHTTPClient
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec
internal import RegistryClient
internal import Synchronization

/// A registry over HTTP: Basic credentials, or a token of the server that its challenge names.
struct HTTPUpstream: Upstream {
    private let client: HTTPClient
    private let base: String
    private let credentials: (user: String, password: String)?
    private let tokens = TokenCache()

    /// - Parameter remote: `https://HOST[:PORT]`.
    init(client: HTTPClient, remote: String, username: String?, password: String?) {
        self.client = client
        base = remote.hasSuffix("/") ? String(remote.dropLast()) : remote
        credentials = username.map { ($0, password ?? "") }
    }

    private static let accepted = (MediaType.manifests.union(MediaType.indexes)).sorted()

    func resolve(_ reference: RegistryPath.Reference, in name: String) async throws -> Digest? {
        let path = "/v2/\(name)/manifests/\(reference)"
        guard let response = try await send(.HEAD, path, in: name, accept: Self.accepted) else { return nil }
        if let text = response.headers.first(name: "Docker-Content-Digest"), let digest = try? Digest(text) { return digest }
        // Allowed by earlier versions of the specification.
        return try await manifest(reference, in: name).map { ContentHasher.digest(of: $0.bytes) }
    }

    func manifest(_ reference: RegistryPath.Reference, in name: String) async throws -> UpstreamManifest? {
        guard let response = try await send(.GET, "/v2/\(name)/manifests/\(reference)", in: name, accept: Self.accepted) else { return nil }
        let body: ByteBuffer
        do { body = try await response.body.collect(upTo: 4 << 20) } catch { throw UpstreamError(status: nil, description: "\(error)") }
        return UpstreamManifest(bytes: Array(body.readableBytesView), mediaType: response.headers.first(name: "Content-Type") ?? "")
    }

    func blobSize(_ digest: Digest, in name: String) async throws -> Int? {
        guard let response = try await send(.HEAD, "/v2/\(name)/blobs/\(digest)", in: name) else { return nil }
        return try Self.length(response)
    }

    func blob(_ digest: Digest, in name: String) async throws -> UpstreamBlob? {
        guard let response = try await send(.GET, "/v2/\(name)/blobs/\(digest)", in: name) else { return nil }
        return UpstreamBlob(size: try Self.length(response), chunks: response.body)
    }

    private static func length(_ response: HTTPClientResponse) throws -> Int {
        guard let length = response.headers.first(name: "Content-Length").flatMap({ Int($0) }), length >= 0 else {
            throw UpstreamError(status: Int(response.status.code), description: "no Content-Length")
        }
        return length
    }

    func tags(in name: String) async throws -> [String]? {
        var tags: [String] = []
        var path: String? = "/v2/\(name)/tags/list?n=1000"
        while let next = path, tags.count < 1_000_000 {
            guard let response = try await send(.GET, next, in: name) else { return nil }
            guard let body = try? await response.body.collect(upTo: 16 << 20),
                let document = try? JSONValue(parsing: Array(body.readableBytesView))
            else { throw UpstreamError(status: Int(response.status.code), description: "malformed list of tags") }
            tags += (document["tags"]?.arrayValue ?? []).compactMap(\.stringValue)
            let link = response.headers.first(name: "Link").flatMap { text in
                text.firstIndex(of: "<").flatMap { start in text.firstIndex(of: ">").map { String(text[text.index(after: start)..<$0]) } }
            }
            // Only a path of the same registry is followed.
            path = link.flatMap { $0.hasPrefix("/v2/") ? $0 : $0.hasPrefix(base + "/v2/") ? String($0.dropFirst(base.utf8.count)) : nil }
        }
        return tags
    }

    // MARK: Requests

    /// Nil for 404. Every other status than success throws.
    private func send(_ method: HTTPMethod, _ path: String, in name: String, accept: [String] = []) async throws -> HTTPClientResponse? {
        var response = try await attempt(method, path, accept, authorization: tokens.find(name))
        if response.status == .unauthorized, let header = try await authorization(response, name) {
            tokens.keep(name, header)
            response = try await attempt(method, path, accept, authorization: header)
        }
        switch response.status.code {
        case 200..<300: return response
        case 404: return nil
        default: throw UpstreamError(status: Int(response.status.code), description: "\(response.status) for \(method) \(path)")
        }
    }

    private func attempt(_ method: HTTPMethod, _ path: String, _ accept: [String], authorization: String?) async throws
        -> HTTPClientResponse
    {
        var request = HTTPClientRequest(url: base + path)
        request.method = method
        for type in accept { request.headers.add(name: "Accept", value: type) }
        if let authorization { request.headers.add(name: "Authorization", value: authorization) }
        request.headers.add(name: "User-Agent", value: "clipper-registry")
        do { return try await client.execute(request, timeout: .minutes(60)) } catch {
            throw UpstreamError(status: nil, description: "\(error)")
        }
    }

    /// What a challenge asks for; nil when it can't be had.
    private func authorization(_ response: HTTPClientResponse, _ name: String) async throws -> String? {
        let challenges = response.headers["WWW-Authenticate"].flatMap { AuthenticationChallenge.parse($0) }
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }), let realm = bearer.parameters["realm"] {
            var query = ["scope=" + RegistryServer.escaped("repository:\(name):pull")]
            if let service = bearer.parameters["service"] { query.append("service=" + RegistryServer.escaped(service)) }
            var request = HTTPClientRequest(url: realm + (realm.contains("?") ? "&" : "?") + query.joined(separator: "&"))
            if let basic { request.headers.add(name: "Authorization", value: basic) }
            do {
                let answer = try await client.execute(request, timeout: .seconds(30))
                guard answer.status == .ok else {
                    throw UpstreamError(status: Int(answer.status.code), description: "\(answer.status) from token server")
                }
                let body = try await answer.body.collect(upTo: 1 << 20)
                let document = try JSONValue(parsing: Array(body.readableBytesView))
                guard let token = document["token"]?.stringValue ?? document["access_token"]?.stringValue else { return nil }
                return "Bearer \(token)"
            } catch let error as UpstreamError {
                throw error
            } catch { throw UpstreamError(status: nil, description: "token server: \(error)") }
        }
        return challenges.contains { $0.scheme == "basic" } ? basic : nil
    }

    private var basic: String? { credentials.map { "Basic " + Base64.encode(Array("\($0.user):\($0.password)".utf8)) } }
}

/// The last `Authorization` of each repository.
private final class TokenCache: Sendable {
    private let headers = Mutex<[String: String]>([:])

    func find(_ name: String) -> String? { headers.withLock { $0[name] } }

    func keep(_ name: String, _ header: String) {
        headers.withLock {
            if $0.count >= 10_000 { $0.removeAll() }
            $0[name] = header
        }
    }
}
