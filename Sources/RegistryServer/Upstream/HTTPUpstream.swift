internal import Logging
internal import NIOCore
internal import OCIImageSpec
internal import RegistryClient

/// A registry over HTTP: what `RegistryClient` knows of credentials, redirects and further attempts.
struct HTTPUpstream: Upstream {
    private let client: RegistryClient
    private let remote: String
    private let credentials: RegistryCredentials

    /// - Parameter remote: `https://HOST[:PORT]`.
    init(remote: String, username: String?, password: String?, logger: Logger) {
        client = RegistryClient(userAgent: "clipper-registry", logger: logger)
        self.remote = remote
        credentials = RegistryCredentials(username: username ?? "", password: password ?? "")
    }

    func resolve(_ reference: RegistryPath.Reference, in name: String) async throws -> Digest? {
        try await asking(name) { try await $0.resolve(reference.selector)?.digest }
    }

    func manifest(_ reference: RegistryPath.Reference, in name: String) async throws -> UpstreamManifest? {
        try await asking(name) { repository in
            let manifest = try await repository.manifest(reference.selector)
            return UpstreamManifest(bytes: manifest.bytes, mediaType: manifest.mediaType)
        }
    }

    func blobSize(_ digest: Digest, in name: String) async throws -> Int? {
        try await asking(name) { try await $0.blobSize(digest).map { Int($0) } }
    }

    func blob(_ digest: Digest, in name: String) async throws -> UpstreamBlob? {
        try await asking(name) { repository in
            let blob = try await repository.blob(digest)
            guard let size = blob.size else { throw UpstreamError(status: 200, description: "no Content-Length") }
            return UpstreamBlob(size: Int(size), chunks: blob.body)
        }
    }

    func tags(in name: String) async throws -> [String]? { try await asking(name) { try await $0.tags() } }

    /// Nil for what isn't there.
    private func asking<Value>(_ name: String, _ body: (HTTPRepository) async throws -> Value?) async throws -> Value? {
        do { return try await body(client.repository(name, at: remote, credentials: credentials)) } catch let error as RegistryClientError {
            switch error.code {
            case .notFound: return nil
            case .limited: throw UpstreamError(status: 429, description: error.message)
            case .unreachable: throw UpstreamError(status: nil, description: error.message)
            default: throw UpstreamError(status: 502, description: error.message)
            }
        }
    }
}

extension RegistryPath.Reference {
    fileprivate var selector: ManifestSelector {
        switch self {
        case .tag(let tag): .tag(tag)
        case .digest(let digest): .digest(digest)
        }
    }
}
