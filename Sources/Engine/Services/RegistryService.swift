public import EngineTypes
internal import JSON
public import OCIImageSpec
public import RegistryClient

/// What the API asks of registries without moving layers.
public final class RegistryService: Sendable {
    private let client: RegistryClient

    public init(client: RegistryClient) { self.client = client }

    /// Asks a registry whether credentials are good.
    public func logIn(_ credentials: RegistryCredentials) async throws -> AuthResponse {
        try await translating { AuthResponse(IdentityToken: try await client.logIn(credentials), Status: "Login Succeeded") }
    }

    // MARK: Manifests

    /// What a name means in its registry, and for which platforms it is.
    public func distribution(_ name: String, credentials: RegistryCredentials) async throws -> (OCIImageSpec.Descriptor, [Platform]) {
        let (repository, selector) = try repository(name, credentials)
        return try await translating {
            let manifest = try await repository.manifest(selector)
            let descriptor = OCIImageSpec.Descriptor(
                mediaType: manifest.mediaType, digest: manifest.digest, size: Int64(manifest.bytes.count))
            if MediaType.indexes.contains(manifest.mediaType) {
                let index: Index = try Self.decoding(manifest)
                return (descriptor, index.manifests.compactMap(\.platform))
            }
            let config: OCIImageSpec.Descriptor = (try Self.decoding(manifest) as Manifest).config
            return (descriptor, [try await Self.platform(config, repository)])
        }
    }

    /// A manifest as its registry has it.
    public func manifest(_ name: String, credentials: RegistryCredentials) async throws -> FetchedManifest {
        let (repository, selector) = try repository(name, credentials)
        return try await translating { try await repository.manifest(selector) }
    }

    /// A blob that is no layer: the configuration of an image.
    public func blob(_ name: String, _ digest: Digest, credentials: RegistryCredentials) async throws -> [UInt8] {
        let (repository, _) = try repository(name, credentials)
        return try await translating { try await Self.small(digest, repository) }
    }

    /// Stores a manifest or index under a name; what it lists must be in that repository, or in `source` of the same registry.
    public func putManifest(_ name: String, _ bytes: [UInt8], mediaType: String, credentials: RegistryCredentials) async throws -> Digest {
        let (repository, selector) = try repository(name, credentials)
        return try await translating { try await repository.putManifest(bytes, mediaType: mediaType, as: selector) }
    }

    /// Makes a blob of one repository one of another in the same registry as well.
    public func mountBlob(_ digest: Digest, from source: String, to name: String, credentials: RegistryCredentials) async throws {
        let (target, _) = try repository(name, credentials)
        let (origin, _) = try repository(source, credentials)
        guard target.name.domain == origin.name.domain else {
            throw EngineError.invalid("cannot use source images from a different registry than the target image: \(source)")
        }
        try await translating {
            if try await target.hasBlob(digest) { return }
            if try await target.mountBlob(digest, from: origin.name.path) { return }
            guard let size = try await origin.blobSize(digest) else {
                throw RegistryError(.notFound, "blob unknown: \(digest) of \(source)")
            }
            // Registries that mount nothing get the bytes.
            try await target.uploadBlob(digest, size: size, from: origin)
        }
    }

    private func repository(_ name: String, _ credentials: RegistryCredentials) throws -> (HTTPRepository, ManifestSelector) {
        let reference: ImageReference
        do { reference = try ImageReference(name) } catch { throw EngineError.invalid("\(error)", cause: error) }
        let selector = reference.digest.map { ManifestSelector.digest($0) } ?? .tag(reference.tag ?? "latest")
        return (client.repository(named: reference, credentials: credentials), selector)
    }

    private static func decoding<Document: Decodable>(_ manifest: FetchedManifest) throws -> Document {
        do { return try JSON.decode(Document.self, from: manifest.bytes) } catch {
            throw RegistryError(.invalid, "manifest \(manifest.digest): \(error)")
        }
    }

    private static func platform(_ config: OCIImageSpec.Descriptor, _ repository: HTTPRepository) async throws -> Platform {
        let bytes = try await small(config.digest, repository)
        do { return try JSON.decode(Platform.self, from: bytes) } catch {
            throw RegistryError(.invalid, "configuration \(config.digest): \(error)")
        }
    }

    private static func small(_ digest: Digest, _ repository: HTTPRepository) async throws -> [UInt8] {
        try await repository.smallBlob(digest, limit: 8 << 20)
    }

    // MARK: Search

    /// - Parameter limit: nil or 0 for Docker's 25.
    public func search(_ term: String, limit: Int?, filters: Filters, credentials: RegistryCredentials) async throws -> [SearchResult] {
        let wanted = try SearchFilter(filters)
        let limit = limit.flatMap { $0 == 0 ? nil : $0 } ?? 25
        guard (1...100).contains(limit) else { throw EngineError.invalid("limit \(limit) is outside the range of [1, 100]") }
        let found = try await translating { try await client.search(term, limit: limit, credentials: credentials) }
        return found.filter(wanted.matches)
    }

    // MARK: Errors

    private func translating<Value>(_ body: () async throws -> Value) async throws -> Value {
        do { return try await body() } catch let error as RegistryError {
            throw EngineError(Self.code(of: error.code), error.message, cause: error)
        }
    }

    /// A registry's refusal is told by the status that it came with, as dockerd does.
    private static func code(of code: RegistryError.Code) -> EngineError.Code {
        switch code {
        case .notFound: .notFound
        case .unauthorized: .unauthorized
        case .denied: .forbidden
        case .unsupported: .notImplemented
        default: .system
        }
    }
}

/// The filters of `GET /images/search`.
struct SearchFilter {
    private let isOfficial: Bool?
    /// Docker Hub builds nothing automatically any more: what is asked for that was is empty.
    private let isAutomated: Bool?
    private let stars: Int

    init(_ filters: Filters) throws(EngineError) {
        try filters.requireOnly(["is-automated", "is-official", "stars"])
        isOfficial = try Self.flag("is-official", filters)
        isAutomated = try Self.flag("is-automated", filters)
        var stars = 0
        for text in filters["stars"] ?? [] {
            guard let number = Int(text) else { throw .invalid("invalid filter 'stars=[\(text)]'") }
            stars = max(stars, number)
        }
        self.stars = stars
    }

    private static func flag(_ name: String, _ filters: Filters) throws(EngineError) -> Bool? {
        guard let values = filters[name] else { return nil }
        let flags = Set(values.map { ["1", "true"].contains($0) ? true : ["0", "false"].contains($0) ? false : nil })
        guard flags.count == 1, let only = flags.first, let flag = only else {
            throw .invalid("invalid filter '\(name)=[\(values.sorted().joined(separator: " "))]'")
        }
        return flag
    }

    func matches(_ result: SearchResult) -> Bool {
        isAutomated != true && (isOfficial == nil || isOfficial == result.isOfficial) && result.stars >= stars
    }
}
