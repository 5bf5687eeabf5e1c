internal import HTTPServer
internal import NIOCore
internal import NIOHTTP1
internal import OCIImageSpec

/// The registry behind a pull-through cache, as far as the cache needs it. Failures are `UpstreamError`.
protocol Upstream: Sendable {
    /// What a tag or digest names there now (HEAD); nil when it is unknown there.
    func resolve(_ reference: RegistryPath.Reference, in name: String) async throws -> Digest?

    func manifest(_ reference: RegistryPath.Reference, in name: String) async throws -> UpstreamManifest?

    /// Bytes of a blob (HEAD).
    func blobSize(_ digest: Digest, in name: String) async throws -> Int?

    func blob(_ digest: Digest, in name: String) async throws -> UpstreamBlob?

    func tags(in name: String) async throws -> [String]?
}

/// A manifest as it came: not verified yet.
struct UpstreamManifest: Sendable {
    let bytes: [UInt8]
    let mediaType: String
}

/// A blob on its way: not verified yet.
struct UpstreamBlob: Sendable {
    /// Bytes.
    let size: Int
    let chunks: any AsyncSequence<ByteBuffer, any Error> & Sendable
}

/// Why the registry behind the cache gave no answer that counts.
struct UpstreamError: Error, CustomStringConvertible {
    /// Its HTTP status; nil when it could not be reached.
    let status: Int?
    let description: String

    /// The error for the client when the cache doesn't have what it asks for.
    var registryError: RegistryError {
        switch status {
        case 429: RegistryError(.tooManyRequests, "TOOMANYREQUESTS", "remote registry: \(description)")
        case nil: RegistryError(.gatewayTimeout, "UNKNOWN", "remote registry is unreachable: \(description)")
        default: RegistryError(.badGateway, "UNKNOWN", "remote registry: \(description)")
        }
    }
}
