internal import CLinux
internal import Glibc
internal import HTTPServer
internal import Linux
internal import NIOCore
internal import OCIImageSpec
internal import Synchronization

/// Repositories in an object store.
///
///     blobs/ALGORITHM/HEX                  content, once for all repositories
///     links/NAME/_/ALGORITHM/HEX           empty: the repository has it. Its age is the content's age there, its metadata the size
///     indexes/NAME/_index.json             manifests and tags, as `index.json` of an OCI layout
///     names/NAME/_                         empty: there is such a repository
///
/// No component of a repository's name begins with `_`, so no key of one repository is a directory of another's. Content is
/// stored before its link, so a crash leaves content without a link: `sweep` removes it. An index is replaced on condition
/// that it is still the one that was read.
final class ObjectStorage: IndexedStorage {
    let objects: any ObjectStore
    /// Repositories whose name this server has stored.
    private let named = Mutex<Set<String>>([])
    let known = Mutex<[String: KnownIndex]>([:])
    let changes = NameLocks()

    /// An index read before, with the tag of its object.
    struct KnownIndex: Sendable {
        let tag: String
        let index: RepositoryIndex
    }

    init(_ objects: any ObjectStore) { self.objects = objects }

    func check() async throws { _ = try await objects.get(Self.nameKey("_"), unless: nil) }

    static func blobKey(_ digest: Digest) -> String { "blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }
    static func linkKey(_ digest: Digest, _ name: String) -> String { "links/\(name)/_/\(digest.algorithm.rawValue)/\(digest.hex)" }
    static func nameKey(_ name: String) -> String { "names/\(name)/_" }
    static func indexKey(_ name: String) -> String { "indexes/\(name)/_index.json" }

    /// The digest at the end of a key.
    private static func digest(of key: String) -> Digest? {
        let parts = key.split(separator: "/")
        return parts.count < 2 ? nil : try? Digest("\(parts[parts.count - 2]):\(parts[parts.count - 1])")
    }

    // MARK: Blobs

    func blob(_ digest: Digest, in name: String) async throws -> StoredBlob? {
        guard let link = try await objects.head(Self.linkKey(digest, name)) else { return nil }
        let key = Self.blobKey(digest)
        var size = link.metadata["size"].flatMap { Int($0) }
        if size == nil { size = try await objects.head(key)?.size }
        guard let size else { return nil }
        let objects = objects
        return StoredBlob(size: size) { range in
            range.isEmpty ? .none : .stream { writer in try await objects.read(key, range) { try await writer.write($0) } }
        }
    }

    func adopt(_ path: String, as digest: Digest, in name: String) async throws {
        let size = try await offloaded { Int(try OwnedFD.open(path).status().st_size) }
        let key = Self.blobKey(digest)
        if try await objects.head(key) == nil { try await objects.put(key, file: path) }
        try await link(digest, size: size, in: name)
    }

    /// Content that is small enough for memory: a manifest.
    func adopt(_ bytes: [UInt8], as digest: Digest, in name: String) async throws {
        let key = Self.blobKey(digest)
        if try await objects.head(key) == nil { try await objects.put(key, bytes, metadata: [:], if: .always) }
        try await link(digest, size: bytes.count, in: name)
    }

    /// Makes content the repository's, and young.
    private func link(_ digest: Digest, size: Int, in name: String) async throws {
        if !named.withLock({ $0.contains(name) }) {
            try await objects.put(Self.nameKey(name), [], metadata: [:], if: .always)
            named.withLock {
                // Bounded: forgetting means storing it once more.
                if $0.count >= 100_000 { $0.removeAll() }
                $0.insert(name)
            }
        }
        try await objects.put(Self.linkKey(digest, name), [], metadata: ["size": "\(size)"], if: .always)
    }

    func mount(_ digest: Digest, from source: String, to name: String) async throws -> Bool {
        guard let blob = try await blob(digest, in: source) else { return false }
        try await link(digest, size: blob.size, in: name)
        return true
    }

    func repository(with digest: Digest, where isAllowed: @Sendable (String) -> Bool) async throws -> String? {
        guard try await objects.head(Self.blobKey(digest)) != nil else { return nil }
        for name in try await allRepositories() where isAllowed(name) {
            if try await objects.head(Self.linkKey(digest, name)) != nil { return name }
        }
        return nil
    }

    func touch(_ digest: Digest, in name: String, ifOlderThan age: Int64) async throws {
        guard let link = try await objects.head(Self.linkKey(digest, name)), link.modified + age < Int64(time(nil)) else { return }
        try await objects.put(Self.linkKey(digest, name), [], metadata: link.metadata, if: .always)
    }

    func removeBlob(_ digest: Digest, from name: String) async throws -> Bool {
        if try await index(name)?.index.manifests[digest] != nil { return false }
        let key = Self.linkKey(digest, name)
        guard try await objects.head(key) != nil else { return false }
        try await objects.delete(key)
        return true
    }

    // MARK: Garbage collection

    func contents(of name: String) async throws -> [StoredContent] {
        var found: [StoredContent] = []
        try await objects.list("links/\(name)/_/") { page in
            for object in page {
                if let digest = Self.digest(of: object.key) { found.append(StoredContent(digest: digest, modified: object.modified)) }
            }
        }
        return found
    }

    /// The bytes are given free by `sweep`, when no repository has the content.
    func discard(_ digest: Digest, from name: String, olderThan deadline: Int64) async throws -> Int {
        let key = Self.linkKey(digest, name)
        if let link = try await objects.head(key), link.modified < deadline { try await objects.delete(key) }
        return 0
    }

    func sweep(olderThan deadline: Int64) async throws -> Int {
        var linked: Set<Digest> = []
        try await objects.list("links/") { page in linked.formUnion(page.compactMap { Self.digest(of: $0.key) }) }
        var orphans: [ObjectListing] = []
        try await objects.list("blobs/") { page in
            orphans += page.filter { $0.modified < deadline && !(Self.digest(of: $0.key).map { linked.contains($0) } ?? true) }
        }
        for orphan in orphans { try await objects.delete(orphan.key) }
        try await objects.abandonUploads("blobs/", olderThan: deadline)
        return orphans.reduce(0) { $0 + $1.size }
    }

    func allRepositories() async throws -> [String] { try await names("names/", behind: "/_") }

    func repositories() async throws -> [String] { try await names("indexes/", behind: "/_index.json") }

    private func names(_ prefix: String, behind suffix: String) async throws -> [String] {
        var found: [String] = []
        try await objects.list(prefix) { page in
            for object in page where object.key.hasSuffix(suffix) {
                found.append(String(object.key.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)))
            }
        }
        return found
    }
}
