public import Linux

/// One thing that builds keep to be faster the next time: what BuildKit calls a cache record.
public struct BuildCacheRecord: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// What a step made: an image without a name.
        case regular
        /// A directory of `RUN --mount=type=cache`.
        case cacheMount = "exec.cachemount"
    }

    /// The image's ID, or the directory's name.
    public let id: String
    public let kind: Kind
    /// The image that the step was done on.
    public let parent: String?
    public let description: String
    /// The image's.
    public let labels: [String: String]
    /// Bytes of files that this record has and its parent has not.
    public let size: Int64
    /// Whether a build needs it now.
    public let isInUse: Bool
    /// Whether an image that is none of the cache holds it: removing it would free nothing.
    public let isShared: Bool
    public let createdAt: Timestamp
    public let lastUsedAt: Timestamp?
    /// How many builds have used it.
    public let uses: Int

    public init(
        id: String, kind: Kind, parent: String?, description: String, labels: [String: String], size: Int64, isInUse: Bool, isShared: Bool,
        createdAt: Timestamp, lastUsedAt: Timestamp?, uses: Int
    ) {
        (self.id, self.kind, self.parent, self.description, self.labels) = (id, kind, parent, description, labels)
        (self.size, self.isInUse, self.isShared) = (size, isInUse, isShared)
        (self.createdAt, self.lastUsedAt, self.uses) = (createdAt, lastUsedAt, uses)
    }
}

/// One prune of the build cache.
public struct BuildCacheRule {
    /// Whether what images hold is to be forgotten too, so that the next build makes it again.
    public let all: Bool
    public let bounds: BuildCacheBounds
    /// Which records may go.
    public let matches: (BuildCacheRecord) -> Bool

    public init(all: Bool = false, bounds: BuildCacheBounds = BuildCacheBounds(), matches: @escaping (BuildCacheRecord) -> Bool) {
        (self.all, self.bounds, self.matches) = (all, bounds, matches)
    }
}

/// What a prune of the build cache is to leave, in bytes; 0 sets no bound. BuildKit's rules.
public struct BuildCacheBounds: Sendable, Equatable {
    /// So much is always kept.
    public var reserved: Int64 = 0
    /// More than so much is never kept, but for what is reserved.
    public var maxUsed: Int64 = 0
    /// So much of the disk is to be free, but for what is reserved.
    public var minFree: Int64 = 0

    public init(reserved: Int64 = 0, maxUsed: Int64 = 0, minFree: Int64 = 0) {
        (self.reserved, self.maxUsed, self.minFree) = (reserved, maxUsed, minFree)
    }

    /// Bytes of the cache that may stay; nil: none need to.
    func kept(of total: Int64, free: Int64) -> Int64? {
        if self == BuildCacheBounds() { return nil }
        var kept = maxUsed == 0 ? (minFree == 0 ? 0 : total) : maxUsed
        if minFree > free { kept = min(kept, total - (minFree - free)) }
        return max(kept, reserved)
    }
}
