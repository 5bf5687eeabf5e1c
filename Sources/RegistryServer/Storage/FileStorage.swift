internal import CLinux
internal import Glibc
internal import HTTPServer
internal import Linux
internal import OCIImageSpec
internal import Synchronization

/// Repositories on disk.
///
///     ROOT/repositories/NAME/_layout   an OCI image layout: oci-layout, index.json, blobs/ALGORITHM/HEX
///     ROOT/blobs/ALGORITHM/HEX         each blob once more: a hard link to those of the repositories
///
/// No component of a repository's name may begin with `_`, so layouts and nested names never meet. A blob is written elsewhere,
/// synced, and then linked to its name; `index.json` is replaced whole (`RepositoryIndex`). So a crash leaves the old or the new
/// state. A blob's age is its inode's modification time, which all its links share: pushing, mounting or finding it for a push
/// in one repository keeps it everywhere.
final class FileStorage: IndexedStorage {
    let root: String
    let indexes = Mutex(IndexCache())
    /// Held while an index is read, changed and written. By repository's name, so that one waits not for another.
    private let writers = Mutex<[Int: Writer]>([:])

    private final class Writer: Sendable { let lock = Mutex(()) }

    init(root: String) throws {
        self.root = root
        try Files.makeDirectories("\(root)/repositories")
        for algorithm in Digest.Algorithm.allKnown { try Files.makeDirectories("\(root)/blobs/\(algorithm.rawValue)") }
    }

    func check() async throws {}

    func layout(_ name: String) -> String { "\(root)/repositories/\(name)/_layout" }
    func path(_ digest: Digest, in name: String) -> String { "\(layout(name))/blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }
    private func pooled(_ digest: Digest) -> String { "\(root)/blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }

    /// One change of a repository's index at a time. 64 locks for all repositories: names that share one wait for each other.
    func changing<Result>(_ name: String, _ body: () throws -> Result) throws -> Result {
        let slot = name.utf8.reduce(5381) { ($0 &* 33) ^ Int($1) } & 63
        let writer = writers.withLock { writers in
            let writer = writers[slot] ?? Writer()
            writers[slot] = writer
            return writer
        }
        return try writer.lock.withLock { _ in try body() }
    }

    /// Makes the directories and the marker of a layout.
    func prepare(_ name: String, _ algorithm: Digest.Algorithm) throws {
        let directory = "\(layout(name))/blobs/\(algorithm.rawValue)"
        let marker = "\(layout(name))/oci-layout"
        if Files.isDirectory(directory) && Files.exists(marker) { return }
        try Files.makeDirectories(directory)
        if !Files.exists(marker) { try Files.replace(marker, with: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), mode: 0o644) }
        try syncNames(down: layout(name))
    }

    /// Makes the names of new directories durable, from `repositories` down to the layout.
    private func syncNames(down directory: String) throws {
        var path = directory
        while path.utf8.count >= root.utf8.count {
            try Files.syncDirectory(path)
            path = Files.parent(of: path)
        }
    }

    // MARK: Blobs

    func blob(_ digest: Digest, in name: String) async throws -> StoredBlob? {
        let path = path(digest, in: name)
        return try await offloaded {
            guard let raw = try Self.openIfThere(path) else { return nil }
            let shared = SharedDescriptor(owning: raw)
            var status = stat()
            _ = try retrying("stat", path) { fstat(raw, &status) }
            return StoredBlob(size: Int(status.st_size)) { .file(shared, offset: $0.lowerBound, length: $0.count) }
        }
    }

    /// The caller owns the descriptor.
    private static func openIfThere(_ path: String) throws(SystemError) -> Int32? {
        do { return try OwnedFD.open(path).take() } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    func adopt(_ file: String, as digest: Digest, in name: String) async throws {
        let (pool, target) = (pooled(digest), path(digest, in: name))
        try await offloaded { [self] in
            try prepare(name, digest.algorithm)
            // The first one to arrive stays: equal content, one inode.
            if link(file, pool) != 0 && errno != EEXIST { throw SystemError("link", pool) }
            var source = pool
            while link(source, target) != 0 && errno != EEXIST {
                // The pool's name can go between the two calls (a deletion of the last repository's blob).
                guard errno == ENOENT, source == pool else { throw SystemError("link", target) }
                source = file
            }
            try setNow(target)
            try Files.syncDirectory(Files.parent(of: target))
        }
    }

    func mount(_ digest: Digest, from source: String, to name: String) async throws -> Bool {
        let (old, new) = (path(digest, in: source), path(digest, in: name))
        return try await offloaded { [self] in
            guard Files.exists(old) else { return false }
            try prepare(name, digest.algorithm)
            if link(old, new) != 0 && errno != EEXIST {
                if errno == ENOENT { return false }
                throw SystemError("link", new)
            }
            try setNow(new)
            try Files.syncDirectory(Files.parent(of: new))
            return true
        }
    }

    func repository(with digest: Digest, where isAllowed: @Sendable (String) -> Bool) async throws -> String? {
        guard Files.exists(pooled(digest)) else { return nil }
        return try await allRepositories().first { isAllowed($0) && Files.exists(path(digest, in: $0)) }
    }

    func touch(_ digest: Digest, in name: String, ifOlderThan age: Int64) async throws {
        let path = path(digest, in: name)
        try await offloaded { [self] in
            var status = stat()
            guard stat(path, &status) == 0, Int64(status.st_mtim.tv_sec) + age < Int64(time(nil)) else { return }
            try setNow(path)
        }
    }

    private func setNow(_ path: String) throws(SystemError) {
        _ = try retrying("touch", path) { utimensat(AT_FDCWD, path, nil, 0) }
    }

    func removeBlob(_ digest: Digest, from name: String) async throws -> Bool {
        try await offloaded { [self] in
            if try index(name)?.manifests[digest] != nil { return false }
            return try remove(digest, from: name) != nil
        }
    }

    /// Removes a blob's name, and the pool's when it was the last. Returns the bytes given free; nil when it wasn't there.
    private func remove(_ digest: Digest, from name: String) throws -> Int? {
        let path = path(digest, in: name)
        var status = stat()
        guard stat(path, &status) == 0, unlink(path) == 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw SystemError("remove", path)
        }
        try Files.syncDirectory(Files.parent(of: path))
        let pool = pooled(digest)
        var left = stat()
        if stat(pool, &left) == 0, left.st_nlink == 1 { _ = unlink(pool) }
        return status.st_nlink <= 2 ? Int(status.st_size) : 0
    }

    // MARK: Garbage collection

    func contents(of name: String) async throws -> [StoredContent] {
        let layout = layout(name)
        return try await offloaded {
            var found: [StoredContent] = []
            for algorithm in Digest.Algorithm.allKnown {
                let directory = "\(layout)/blobs/\(algorithm.rawValue)"
                guard Files.isDirectory(directory) else { continue }
                for hex in try Files.list(directory) {
                    var status = stat()
                    // Other names are what a write that broke off has left: `sweep` sees to them.
                    guard let digest = try? Digest("\(algorithm.rawValue):\(hex)"), stat("\(directory)/\(hex)", &status) == 0 else {
                        continue
                    }
                    found.append(StoredContent(digest: digest, modified: Int64(status.st_mtim.tv_sec)))
                }
            }
            return found
        }
    }

    func discard(_ digest: Digest, from name: String, olderThan deadline: Int64) async throws -> Int {
        let path = path(digest, in: name)
        return try await offloaded { [self] in
            var status = stat()
            guard stat(path, &status) == 0, Int64(status.st_mtim.tv_sec) < deadline else { return 0 }
            return try remove(digest, from: name) ?? 0
        }
    }

    func sweep(olderThan deadline: Int64) async throws -> Int {
        var directories = Digest.Algorithm.allKnown.map { "\(root)/blobs/\($0.rawValue)" }
        for name in try await allRepositories() {
            directories.append(layout(name))
            directories += Digest.Algorithm.allKnown.map { "\(layout(name))/blobs/\($0.rawValue)" }
        }
        let all = directories
        return try await offloaded { [root] in
            var freed = 0
            for directory in all where Files.isDirectory(directory) {
                for entry in try Files.list(directory) {
                    var status = stat()
                    let path = "\(directory)/\(entry)"
                    guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG, Int64(status.st_mtim.tv_sec) < deadline else {
                        continue
                    }
                    // A temporary file of `Files.replace`, or the pool's last link to a blob.
                    let isOrphan = directory.hasPrefix("\(root)/blobs/") && status.st_nlink == 1
                    guard isOrphan || entry.contains(".tmp.") else { continue }
                    if unlink(path) == 0 { freed += Int(status.st_size) }
                }
            }
            return freed
        }
    }

    func allRepositories() async throws -> [String] { try await walk { _ in true } }

    func repositories() async throws -> [String] { try await walk { Files.exists("\($0)/index.json") } }

    private func walk(_ counts: @escaping @Sendable (_ layout: String) -> Bool) async throws -> [String] {
        let base = "\(root)/repositories"
        return try await offloaded {
            var found: [String] = []
            func walk(_ name: String) throws {
                let directory = name.isEmpty ? base : "\(base)/\(name)"
                for entry in try Files.list(directory) where Files.isDirectory("\(directory)/\(entry)") {
                    if entry == "_layout" {
                        if counts("\(directory)/_layout") { found.append(name) }
                    } else if !entry.hasPrefix("_") {
                        try walk(name.isEmpty ? entry : "\(name)/\(entry)")
                    }
                }
            }
            try walk("")
            return found
        }
    }
}

extension SystemError {
    /// The path isn't there, or one of its directories is none.
    var isMissing: Bool { code == ENOENT || code == ENOTDIR }
    /// The file system or the quota is full.
    var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
}

extension Digest.Algorithm {
    static let allKnown: [Digest.Algorithm] = [.sha256, .sha512]
}
