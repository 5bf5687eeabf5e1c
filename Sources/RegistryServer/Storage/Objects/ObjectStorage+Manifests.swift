internal import OCIImageSpec
internal import Synchronization

// Manifests and tags: a repository's index, one object.
extension ObjectStorage {
    /// A repository's index with its object's tag, which is nil when it has none yet; nil when there is no such repository.
    func index(_ name: String) async throws -> (index: RepositoryIndex, tag: String?)? {
        let last = known.withLock { $0[name] }
        switch try await objects.get(Self.indexKey(name), unless: last?.tag) {
        case .missing:
            known.withLock { $0[name] = nil }
            return try await objects.head(Self.nameKey(name)) == nil ? nil : (RepositoryIndex(), nil)
        case .same:
            // Only an index that was known can be the same.
            return last.map { ($0.index, $0.tag) }
        case .found(let bytes, let tag):
            let index = try RepositoryIndex(parsing: bytes)
            keep(name, index, tag)
            return (index, tag)
        }
    }

    private func keep(_ name: String, _ index: RepositoryIndex, _ tag: String) {
        known.withLock {
            // Bounded: forgetting means reading it once more.
            if $0.count >= 128 { $0.removeAll() }
            $0[name] = KnownIndex(tag: tag, index: index)
        }
    }

    /// Changes of this server come one after the other; that of another one in between is seen by its tag, and the change is
    /// made once more on what is there then.
    func change<Result: Sendable>(
        _ name: String, _ body: @escaping @Sendable (inout RepositoryIndex) throws -> (Result, isChanged: Bool)
    ) async throws -> Result {
        try await changes.with(name) {
            var attempt = 0
            while true {
                attempt += 1
                let before = try await index(name)
                var index = before?.index ?? RepositoryIndex()
                let (result, isChanged) = try body(&index)
                guard isChanged else { return result }
                let condition = before?.tag.map { ObjectCondition.has(tag: $0) } ?? .isMissing
                do {
                    let tag = try await objects.put(Self.indexKey(name), index.serialized(), metadata: [:], if: condition)
                    keep(name, index, tag)
                    return result
                } catch let error as ObjectStoreError where error.kind == .changed && attempt < 20 {
                    try await Task.sleep(for: .milliseconds(Int.random(in: 1...20 * attempt)))
                }
            }
        }
    }

    func repositoryIndex(_ name: String) async throws -> RepositoryIndex? { try await index(name)?.index }

    func manifestBytes(_ digest: Digest, in name: String) async throws -> [UInt8]? {
        guard case .found(let bytes, _) = try await objects.get(Self.blobKey(digest), unless: nil) else { return nil }
        return bytes
    }

    func put(_ manifest: ManifestEntry, _ bytes: [UInt8], tags: [String], in name: String) async throws {
        // Whether or not it is there: a manifest pushed again is young again.
        try await adopt(bytes, as: manifest.digest, in: name)
        try await insert(manifest, tags: tags, in: name)
    }
}
