internal import OCIImageSpec

/// A storage that keeps what it knows of a repository's manifests and tags in one index, which is read and replaced as a whole:
/// what follows from the index is the same wherever that lies.
protocol IndexedStorage: RegistryStorage {
    /// A repository's index; nil when there is no such repository.
    func repositoryIndex(_ name: String) async throws -> RepositoryIndex?

    /// Stores a repository's index with what `body` makes of it, unless that says that it has changed nothing. Changes of one
    /// repository come one after the other; `body` may be called again when another one came in between.
    func change<Result: Sendable>(
        _ name: String, _ body: @escaping @Sendable (inout RepositoryIndex) throws -> (Result, isChanged: Bool)
    ) async throws -> Result
}

extension IndexedStorage {
    func manifest(_ reference: RegistryPath.Reference, in name: String) async throws -> ManifestEntry? {
        guard let index = try await repositoryIndex(name) else { return nil }
        switch reference {
        case .digest(let digest): return index.manifests[digest]
        case .tag(let tag): return index.tags[tag].flatMap { index.manifests[$0] }
        }
    }

    /// Names a manifest, whose bytes are there, in the index, and moves its tags to it.
    func insert(_ manifest: ManifestEntry, tags: [String], in name: String) async throws {
        try await change(name) { index in
            let before = (index.manifests[manifest.digest], index.unread.contains(manifest.digest))
            index.insert(manifest, tags: tags)
            return ((), before.0 == nil || before.1 || before.0 != index.manifests[manifest.digest])
        }
    }

    func removeTag(_ tag: String, from name: String) async throws -> Bool {
        try await change(name) { index in
            let isThere = index.tags[tag] != nil
            index.untag(tag)
            return (isThere, isThere)
        }
    }

    /// The bytes stay until the garbage collector finds nothing that names them: the same content may be a blob too.
    func removeManifest(_ digest: Digest, from name: String) async throws -> Bool {
        try await change(name) { index in
            let isThere = index.remove(digest)
            return (isThere, isThere)
        }
    }

    func tags(in name: String) async throws -> [String]? {
        try await repositoryIndex(name)?.tags.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    func manifests(in name: String) async throws -> [ManifestEntry] {
        try await repositoryIndex(name).map { Array($0.manifests.values) } ?? []
    }

    func referrers(to digest: Digest, in name: String) async throws -> [ManifestEntry] {
        try await manifests(in: name).filter { $0.subject == digest }.sorted { $0.digest < $1.digest }
    }
}
