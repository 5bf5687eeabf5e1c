internal import CLinux
internal import Glibc
public import Images
internal import Linux
internal import Logging
public import OCIImageSpec

// What builds keep, and its removal: the least recently used first.
extension ImageBuilder {
    /// All records of the cache. Walks through the directories of cache mounts.
    /// - Parameter users: the containers of an image.
    public func cacheRecords(users: (Digest) -> [ImageUser]) throws -> [BuildCacheRecord] {
        try mounts.list() + CachedSteps(self, users: users).steps.map(\.record)
    }

    /// Removes what the rules, one after the other, want gone and no build uses. The images of finished builds, which have or had a name or
    /// were asked for by ID, are none of the cache.
    /// - Parameter removed: called with the steps of each image's deletion.
    /// - Returns: IDs of the records that are gone, and the bytes freed.
    public func pruneCache(
        _ rules: [BuildCacheRule], users: @escaping (Digest) -> [ImageUser], removed: ([ImageDeletionStep]) -> Void = { _ in }
    ) throws -> (deleted: [String], reclaimed: Int64) {
        var steps = CachedSteps(self, users: users)
        let records = try mounts.list() + steps.steps.map(\.record)
        let total = records.reduce(0) { $0 + ($1.isShared ? 0 : $1.size) }
        var deleted: [String] = []
        var reclaimed: Int64 = 0
        for rule in rules {
            let kept = rule.bounds.kept(of: total - reclaimed, free: Self.freeSpace(scratchDirectory))
            var candidates = records.filter {
                !$0.isInUse && (rule.all || !$0.isShared) && !deleted.contains($0.id) && rule.matches($0)
            }
            candidates.sort(by: Self.goesBefore)
            while kept.map({ total - reclaimed > $0 }) ?? true {
                // A step goes after those that were built on it.
                guard let index = candidates.firstIndex(where: { $0.isShared || !steps.hasChildren($0.id) }) else { break }
                let record = candidates.remove(at: index)
                guard try remove(record, &steps, users, removed) else { continue }
                deleted.append(record.id)
                reclaimed += record.size
            }
        }
        return (deleted, reclaimed)
    }

    /// False for a record that is only forgotten, and one that something has come to need.
    private func remove(
        _ record: BuildCacheRecord, _ steps: inout CachedSteps, _ users: @escaping (Digest) -> [ImageUser],
        _ removed: ([ImageDeletionStep]) -> Void
    ) throws -> Bool {
        if record.kind == .cacheMount { return try mounts.remove(record.id) }
        try cache.forget(steps.keys(of: record.id))
        guard !record.isShared, let done = try steps.remove(record.id, images, users) else { return false }
        removed(done)
        return true
    }

    /// Least recently used first; of those of one build the later steps first.
    private static func goesBefore(_ one: BuildCacheRecord, _ other: BuildCacheRecord) -> Bool {
        let (left, right) = (one.lastUsedAt ?? .never, other.lastUsedAt ?? .never)
        return left != right ? left < right : other.createdAt < one.createdAt
    }

    private static func freeSpace(_ path: String) -> Int64 {
        var status = statvfs()
        return statvfs(path, &status) == 0 ? Int64(status.f_bfree) * Int64(status.f_frsize) : .max
    }
}

/// The steps that the cache knows, and what holds them.
private struct CachedSteps {
    struct Step {
        let record: BuildCacheRecord
        let keys: [String]
    }

    let steps: [Step]
    private let index: [String: Int]
    /// How many images are built on each.
    private var children: [Digest: Int] = [:]

    init(_ builder: ImageBuilder, users: (Digest) -> [ImageUser]) {
        let images = builder.images.list()
        let byID = Dictionary(images.map { ($0.id, $0) }) { one, _ in one }
        var known: [Digest: [(key: String, record: BuildCache.Record)]] = [:]
        // A cache that can't be read is none.
        for entry in (try? builder.cache.all()) ?? [] where byID[entry.record.image] != nil {
            known[entry.record.image, default: []].append(entry)
        }
        for parent in images.compactMap(\.parent) { children[parent, default: 0] += 1 }

        // What stands for itself: named, used by a container, made by something else, or what a build ended with.
        let outside = images.filter { image in
            guard let entries = known[image.id], image.references.isEmpty, image.repoDigests.isEmpty else { return true }
            return !entries.allSatisfy { $0.record.isResult == false } || !users(image.id).isEmpty
        }
        let heldLayers = Set(outside.flatMap(\.layers).map(\.chainID))
        var heldImages: Set<Digest> = []
        for image in outside {
            var next: Digest? = image.id
            while let current = next, heldImages.insert(current).inserted { next = byID[current]?.parent }
        }
        steps = images.compactMap { image in
            guard let entries = known[image.id] else { return nil }
            let own = image.layers.dropFirst(image.parent.flatMap { byID[$0]?.layers.count } ?? 0)
            let record = BuildCacheRecord(
                id: image.id.description, kind: .regular, parent: image.parent?.description,
                description: image.config.history?.last?.createdBy ?? "", labels: image.config.config?.labels ?? [:],
                size: own.reduce(0) { $0 + $1.size }, isInUse: builder.images.isLeased(image.id),
                isShared: heldImages.contains(image.id) || own.contains { heldLayers.contains($0.chainID) }, createdAt: image.createdAt,
                lastUsedAt: entries.compactMap { $0.record.usedAt.flatMap { Timestamp($0) } }.max(),
                uses: entries.reduce(0) { $0 + ($1.record.uses ?? 0) })
            return Step(record: record, keys: entries.map(\.key))
        }
        index = Dictionary(steps.enumerated().map { ($1.record.id, $0) }) { one, _ in one }
    }

    func keys(of id: String) -> [String] { index[id].map { steps[$0].keys } ?? [] }

    func hasChildren(_ id: String) -> Bool { (try? Digest(id)).map { children[$0, default: 0] > 0 } ?? false }

    /// What was deleted; nil when something has come to need it.
    mutating func remove(_ id: String, _ images: ImageStore, _ users: @escaping (Digest) -> [ImageUser]) throws -> [ImageDeletionStep]? {
        guard let done = try images.deleteUnneeded(try Digest(id), users: users) else { return nil }
        if let parent = index[id].flatMap({ steps[$0].record.parent }) { children[try Digest(parent), default: 1] -= 1 }
        return done.steps
    }
}
