public import EngineTypes
public import OCIImageSpec
public import RegistryClient

/// What is asked of registries without moving layers.
public protocol RegistryBackend: Sendable {
    func logIn(_ credentials: RegistryCredentials) async throws -> AuthResponse
    /// What a name means in its registry, and for which platforms it is.
    func distribution(_ name: String, credentials: RegistryCredentials) async throws -> (OCIImageSpec.Descriptor, [Platform])
    func search(_ term: String, limit: Int?, filters: Filters, credentials: RegistryCredentials) async throws -> [SearchResult]
    func manifest(_ name: String, credentials: RegistryCredentials) async throws -> FetchedManifest
    /// A blob that is no layer.
    func blob(_ name: String, _ digest: Digest, credentials: RegistryCredentials) async throws -> [UInt8]
    func putManifest(_ name: String, _ bytes: [UInt8], mediaType: String, credentials: RegistryCredentials) async throws -> Digest
    /// Makes a blob of one repository one of another in the same registry as well.
    func mountBlob(_ digest: Digest, from source: String, to name: String, credentials: RegistryCredentials) async throws
}
