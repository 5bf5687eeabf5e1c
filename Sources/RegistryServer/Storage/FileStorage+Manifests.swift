internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec
internal import Synchronization

// Manifests and tags: `index.json` of the layout.
extension FileStorage {
    /// A repository's index, from memory when its file is the one that was read; nil when there is no such repository.
    func index(_ name: String) throws -> RepositoryIndex? {
        let path = "\(layout(name))/index.json"
        let file: OwnedFD
        do { file = try OwnedFD.open(path) } catch {
            if error.isMissing { return Files.isDirectory(layout(name)) ? RepositoryIndex() : nil }
            throw error
        }
        let signature = IndexCache.Signature(try file.status())
        if let known = indexes.withLock({ $0.find(name, signature) }) { return known }
        var index = try RepositoryIndex(parsing: try file.readAll())
        for digest in index.unread {
            guard let bytes = try? Files.read(self.path(digest, in: name)), let document = try? JSONValue(parsing: bytes) else { continue }
            index.manifests[digest]?.complete(from: document)
            index.unread.remove(digest)
        }
        indexes.withLock { $0.keep(name, signature, index) }
        return index
    }

    func change<Result: Sendable>(
        _ name: String, _ body: @escaping @Sendable (inout RepositoryIndex) throws -> (Result, isChanged: Bool)
    ) async throws -> Result {
        try await offloaded { [self] in
            try changing(name) {
                var index = try index(name) ?? RepositoryIndex()
                let (result, isChanged) = try body(&index)
                guard isChanged else { return result }
                let path = "\(layout(name))/index.json"
                try Files.replace(path, with: index.serialized(), mode: 0o644)
                let signature = IndexCache.Signature(try OwnedFD.open(path).status())
                indexes.withLock { $0.keep(name, signature, index) }
                return result
            }
        }
    }

    func repositoryIndex(_ name: String) async throws -> RepositoryIndex? { try await offloaded { [self] in try index(name) } }

    func manifestBytes(_ digest: Digest, in name: String) async throws -> [UInt8]? {
        let path = path(digest, in: name)
        return try await offloaded {
            do { return try Files.read(path) } catch let error as SystemError where error.isMissing { return nil }
        }
    }

    func put(_ manifest: ManifestEntry, _ bytes: [UInt8], tags: [String], in name: String) async throws {
        let path = path(manifest.digest, in: name)
        try await offloaded { [self] in
            try prepare(name, manifest.digest.algorithm)
            // Whether or not it is there: a manifest pushed again is young again.
            try Files.replace(path, with: bytes, mode: 0o644)
        }
        try await insert(manifest, tags: tags, in: name)
    }
}
