public import NIOCore
public import OCIImageSpec

/// One repository of one registry, as pulling and pushing need it (OCI distribution specification 1.1).
///
/// Declared for Images, which moves content and knows no HTTP, so that it can be tested with a registry in memory. Every
/// method throws `RegistryError`, or `CancellationError` when its task is cancelled.
public protocol RegistryRepository: Sendable {
    /// The name without tag and digest: `docker.io/library/busybox`.
    var name: ImageReference { get }

    /// A manifest or index as the registry has it. The bytes are verified when `selector` is a digest.
    func manifest(_ selector: ManifestSelector) async throws -> FetchedManifest

    /// What a selector means, without its bytes; nil when the registry does not have it.
    func resolve(_ selector: ManifestSelector) async throws -> Descriptor?

    /// All tags, in the registry's order.
    func tags() async throws -> [String]

    /// A part of a blob (offsets within 0 … size), as it arrives; not verified. A registry that knows no ranges may send more than
    /// was asked for behind the part. Ends early with an error when the connection breaks: ask again from where it ended.
    func blob(_ descriptor: Descriptor, in range: Range<Int64>) async throws -> BlobBytes

    /// Whether the repository has a blob.
    func hasBlob(_ digest: Digest) async throws -> Bool

    /// Mounts a blob of another repository of the same registry (`library/busybox`); false when the registry did not.
    func mountBlob(_ digest: Digest, from repository: String) async throws -> Bool

    /// Uploads a blob of `size` bytes whose digest is known before. `body` is asked anew for each attempt.
    func uploadBlob(
        _ digest: Digest, size: Int64, body: @escaping @Sendable () -> any AsyncSequence<ByteBuffer, any Error> & Sendable) async throws

    /// Stores a manifest or index; answers the digest that the registry gave it.
    func putManifest(_ bytes: [UInt8], mediaType: String, as selector: ManifestSelector) async throws -> Digest
}

/// A blob's bytes, or those of a part, on their way.
public struct BlobBytes: Sendable {
    public let body: any AsyncSequence<ByteBuffer, any Error> & Sendable
    /// Whether the registry sends parts of this blob: it has sent one, or says that it would (RFC 9110, "Accept-Ranges").
    public let servesRanges: Bool

    public init(body: any AsyncSequence<ByteBuffer, any Error> & Sendable, servesRanges: Bool) {
        self.body = body
        self.servesRanges = servesRanges
    }
}

/// By which name a manifest is asked for.
public enum ManifestSelector: Sendable, Hashable, CustomStringConvertible {
    case tag(String)
    case digest(Digest)

    public var description: String {
        switch self {
        case .tag(let tag): tag
        case .digest(let digest): digest.description
        }
    }
}

/// A manifest or index as it came.
public struct FetchedManifest: Sendable, Hashable {
    public let bytes: [UInt8]
    public let mediaType: String
    /// Of `bytes`, computed here.
    public let digest: Digest

    public init(bytes: [UInt8], mediaType: String, digest: Digest) {
        self.bytes = bytes
        self.mediaType = mediaType
        self.digest = digest
    }
}

/// Who asks: what `docker login` keeps for one registry, as `X-Registry-Auth` and `docker-credential-*` have it.
public struct RegistryCredentials: Sendable, Hashable {
    public var username: String
    public var password: String
    /// A refresh token of the OAuth2 flow in place of a password (Azure's registries).
    public var identityToken: String
    /// A token that is sent to the registry as it is.
    public var registryToken: String
    /// The registry that they are for, as the client knows it.
    public var serverAddress: String

    public static let anonymous = RegistryCredentials()

    public init(
        username: String = "", password: String = "", identityToken: String = "", registryToken: String = "", serverAddress: String = ""
    ) {
        self.username = username
        self.password = password
        self.identityToken = identityToken
        self.registryToken = registryToken
        self.serverAddress = serverAddress
    }
}

/// Where Images gets its repositories, and files of the web; `RegistryClient` is the real one.
public protocol RegistryAccess: Sendable {
    /// The repository of a name (tag and digest are not looked at). Does not ask the registry yet.
    func repository(_ reference: ImageReference, credentials: RegistryCredentials) throws -> any RegistryRepository

    /// What another web server has, for `docker import` of an address.
    func download(_ address: String) async throws -> WebDownload
}
