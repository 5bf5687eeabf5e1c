internal import HTTPServer
internal import Linux
internal import NIOCore
internal import OCIImageSpec

/// Where repositories are kept: `FileStorage`, `ObjectStorage`. A test suite of its own (`StorageTests`) holds each to the contract.
///
/// The contract: what a call has stored when it returns survives a crash of the machine. A blob or manifest is either there whole
/// or not there. Calls may come at the same time, except that `RegistryGate` keeps the garbage collector's deletions apart from
/// calls that store or that find content for a push.
protocol RegistryStorage: Sendable {
    /// Throws when the store can't be reached or used.
    func check() async throws

    // MARK: Blobs

    /// A repository's blob; nil when it isn't there.
    func blob(_ digest: Digest, in name: String) async throws -> StoredBlob?

    /// Makes a local file, complete and synced, a blob of a repository. The file's name may go away.
    func adopt(_ path: String, as digest: Digest, in name: String) async throws

    /// Makes a blob of the registry one of another repository, without copying it. False when `source` doesn't have it.
    func mount(_ digest: Digest, from source: String, to name: String) async throws -> Bool

    /// A repository among those that `isAllowed` admits that has a blob.
    func repository(with digest: Digest, where isAllowed: @Sendable (String) -> Bool) async throws -> String?

    /// Makes a blob as young as if it were pushed now, when it is older than `age` seconds.
    func touch(_ digest: Digest, in name: String, ifOlderThan age: Int64) async throws

    /// False when there is no such blob. A manifest is none.
    func removeBlob(_ digest: Digest, from name: String) async throws -> Bool

    // MARK: Manifests and tags

    /// The manifest that a tag or digest names; nil when the repository or the manifest isn't there.
    func manifest(_ reference: RegistryPath.Reference, in name: String) async throws -> ManifestEntry?

    func manifestBytes(_ digest: Digest, in name: String) async throws -> [UInt8]?

    /// Stores a manifest and moves its tags to it. What a moved tag named before stays reachable by digest.
    func put(_ manifest: ManifestEntry, _ bytes: [UInt8], tags: [String], in name: String) async throws

    /// False when there is no such tag. The manifest stays reachable by digest.
    func removeTag(_ tag: String, from name: String) async throws -> Bool

    /// Removes a manifest and its tags. False when it isn't there.
    func removeManifest(_ digest: Digest, from name: String) async throws -> Bool

    /// Tags in the order of their bytes; nil when there is no such repository.
    func tags(in name: String) async throws -> [String]?

    /// All manifests of a repository.
    func manifests(in name: String) async throws -> [ManifestEntry]

    /// The manifests of a repository whose subject is `digest`.
    func referrers(to digest: Digest, in name: String) async throws -> [ManifestEntry]

    /// Names of all repositories that hold a manifest or did so, in no order.
    func repositories() async throws -> [String]

    // MARK: Garbage collection

    /// Names of all repositories that hold anything at all.
    func allRepositories() async throws -> [String]

    /// Content of a repository, manifests included, with the time it was pushed or touched last (seconds since 1970).
    func contents(of name: String) async throws -> [StoredContent]

    /// Removes content that nothing names, unless it has become younger than `deadline`. Returns the bytes given free, as far as
    /// not `sweep` gives them free.
    func discard(_ digest: Digest, from name: String, olderThan deadline: Int64) async throws -> Int

    /// Removes what belongs to no repository and is older than `deadline`. Returns the bytes given free.
    func sweep(olderThan deadline: Int64) async throws -> Int
}

/// A blob that can be read.
struct StoredBlob: Sendable {
    /// Bytes.
    let size: Int
    /// The answer's body for a range of its bytes. Called once.
    let body: @Sendable (Range<Int>) -> Response.Body
}

/// Content in a repository, as the garbage collector sees it.
struct StoredContent: Sendable {
    let digest: Digest
    /// Seconds since 1970.
    let modified: Int64
}

/// What is known of a manifest without reading it.
struct ManifestEntry: Sendable, Equatable {
    var digest: Digest
    var mediaType: String
    /// Bytes.
    var size: Int
    /// What it refers to (image spec, "subject").
    var subject: Digest?
    var artifactType: String?
    var annotations: [String: String] = [:]
    var tags: Set<String> = []
}
