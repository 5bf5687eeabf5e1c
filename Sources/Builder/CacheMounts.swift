internal import CLinux
internal import Dockerfile
internal import Glibc
internal import Linux
internal import RecordStore

/// The directories of `RUN --mount=type=cache`, which stay from build to build.
struct CacheMounts: Sendable {
    struct Record: Codable, Sendable {
        var description: String
        /// RFC 3339.
        var createdAt: String
        var usedAt: String
        var uses: Int
    }

    let root: String
    private let table: RecordTable<Record>

    private static let removed = "removed-"

    /// What an earlier process began to remove goes.
    init(root: String, records: RecordStore) throws {
        self.root = root
        table = try records.table("builder_cache_mounts")
        guard Files.isDirectory(root) else { return }
        for name in try Files.list(root) where name.hasPrefix(Self.removed) { try Files.removeTree("\(root)/\(name)") }
    }

    /// A directory for one command, and that it is used.
    func take(id: String, sharing: MountFlag.Sharing, target: String) throws -> CacheMount {
        let mount = try CacheMount(root: root, id: id, sharing: sharing)
        let now = Timestamp.now().description
        let description = "cached mount \(target)" + (id == target ? "" : " with id \(id)")
        var record = (try? table.get(mount.name)) ?? Record(description: description, createdAt: now, usedAt: now, uses: 0)
        (record.usedAt, record.uses) = (now, record.uses + 1)
        try table.put(mount.name, record, durable: false)
        return mount
    }

    /// All that are there. Walks through each.
    func list() throws -> [BuildCacheRecord] {
        guard Files.isDirectory(root) else { return [] }
        return try Files.list(root).filter { !$0.hasSuffix(".lock") && !$0.hasPrefix(Self.removed) }.compactMap { name in
            var status = stat()
            guard stat("\(root)/\(name)", &status) == 0 else { return nil }
            let record = try? table.get(name)
            let touched = Timestamp(seconds: Int64(status.st_mtim.tv_sec))
            return BuildCacheRecord(
                id: name, kind: .cacheMount, parent: nil, description: record?.description ?? "cached mount",
                labels: [:], size: (try? DirectorySize.bytes(of: "\(root)/\(name)")) ?? 0, isInUse: lock(name) == nil, isShared: false,
                createdAt: record.flatMap { Timestamp($0.createdAt) } ?? touched,
                lastUsedAt: record.flatMap { Timestamp($0.usedAt) } ?? touched, uses: record?.uses ?? 0)
        }
    }

    /// False when a build uses it. The name goes at once; the files, which may be many, afterwards.
    func remove(_ name: String) throws -> Bool {
        let target = "\(root)/\(Self.removed)\(ContentHasher.randomIdentifier().prefix(16))"
        do {
            guard let lock = lock(name) else { return false }
            _ = try retrying("remove", name) { rename("\(root)/\(name)", target) }
            try table.delete(name)
            _ = consume lock
        }
        try Files.removeTree(target)
        return true
    }

    private func lock(_ name: String) -> FileLock? { try? FileLock("\(root)/\(name).lock", .exclusive, waits: false) }
}
