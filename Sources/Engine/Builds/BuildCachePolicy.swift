public import Builder
internal import CLinux
public import EngineTypes
internal import Glibc
internal import Linux

/// One rule that the build cache is kept to without being asked: a prune with bounds.
public struct BuildCachePolicy: Sendable {
    /// Whether what images hold is forgotten too.
    public var all: Bool
    public var filters: Filters
    public var bounds: BuildCacheBounds

    /// Throws `EngineError` for filters that no prune has.
    public init(all: Bool = false, filters: Filters = Filters(), bounds: BuildCacheBounds) throws(EngineError) {
        _ = try BuildCacheFilter(filters)
        (self.all, self.filters, self.bounds) = (all, filters, bounds)
    }

    /// Docker's rules where nobody gives others. A bound of 0 is taken from the disk: 2 GB are always kept, at most 80 % of the disk is
    /// used, and 20 % of it are to be free.
    /// - Parameter path: a directory on the disk.
    public static func standard(_ bounds: BuildCacheBounds, diskOf path: String) throws -> [BuildCachePolicy] {
        var bounds = bounds
        if bounds.reserved == 0 { bounds.reserved = 2_000_000_000 }
        var disk = statvfs()
        try retrying("look at", path) { statvfs(path, &disk) }
        let hundredth = Int64(disk.f_blocks) * Int64(disk.f_frsize) / 100
        if bounds.maxUsed == 0 { bounds.maxUsed = 80 * hundredth }
        if bounds.minFree == 0 { bounds.minFree = 20 * hundredth }
        // What is easily made again goes when it has not been used for two days, beyond 13.8 % of what is always kept, and 512 MB at
        // the least: Docker's share.
        let easy = max(512_000_000, bounds.reserved / 1000 * 138)
        return [
            try BuildCachePolicy(
                filters: Filters(["type": ["exec.cachemount"], "unused-for": ["48h"]]), bounds: BuildCacheBounds(maxUsed: easy)),
            try BuildCachePolicy(filters: Filters(["unused-for": ["1440h"]]), bounds: bounds),
            try BuildCachePolicy(bounds: bounds),
        ]
    }
}
