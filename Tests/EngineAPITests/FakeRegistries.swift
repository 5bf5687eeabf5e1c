import EngineAPI
import EngineTypes
import OCIImageSpec
import RegistryClient

/// A registry that knows `known` alone, and everybody but `bad`.
struct FakeRegistries: RegistryBackend {
    private static let digest = Digest(algorithm: .sha256, bytes: [UInt8](repeating: 1, count: 32))

    func logIn(_ credentials: RegistryCredentials) async throws -> AuthResponse {
        if credentials.username == "bad" { throw EngineError(.unauthorized, "login attempt to x failed with status: 401 Unauthorized") }
        return AuthResponse(IdentityToken: credentials.serverAddress, Status: "Login Succeeded")
    }

    func distribution(_ name: String, credentials: RegistryCredentials) async throws -> (OCIImageSpec.Descriptor, [Platform]) {
        if name != "a/known:1" { throw EngineError.notFound("manifest unknown: manifest unknown") }
        let descriptor = OCIImageSpec.Descriptor(mediaType: MediaType.ociIndex, digest: Self.digest, size: 7)
        return (descriptor, [Platform(os: "linux", architecture: "arm", variant: "v7")])
    }

    func search(_ term: String, limit: Int?, filters: Filters, credentials: RegistryCredentials) async throws -> [SearchResult] {
        [SearchResult(name: term, description: "\(limit ?? 0) \(filters["stars"] ?? [])", stars: 1, isOfficial: true, isAutomated: true)]
    }

    func manifest(_ name: String, credentials: RegistryCredentials) async throws -> FetchedManifest {
        FetchedManifest(bytes: Array(name.utf8), mediaType: MediaType.ociManifest, digest: Self.digest)
    }

    func blob(_ name: String, _ digest: Digest, credentials: RegistryCredentials) async throws -> [UInt8] { Array("{}".utf8) }

    func putManifest(_ name: String, _ bytes: [UInt8], mediaType: String, credentials: RegistryCredentials) async throws -> Digest {
        Self.digest
    }

    func mountBlob(_ digest: Digest, from source: String, to name: String, credentials: RegistryCredentials) async throws {}
}
