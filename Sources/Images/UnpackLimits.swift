public import Archive

/// What tells a large archive from a hostile one. Applied wherever a packed stream comes from outside: load, import, pull,
/// build contexts and ADD. A plain stream has as many bytes as were sent, and no limit but the disk.
public struct UnpackLimits: Sendable {
    /// A packed stream may grow to so many times its size. gzip can make 1,000 of 1, zstd far more; files that people keep
    /// in images reach some tens.
    public var ratio: Int64 = 250
    /// The first bytes, to which the ratio does not apply.
    public var freeBytes: Int64 = 1 << 30
    /// Entries of one archive. Each may cost an inode, and packs to next to nothing.
    public var entries = 4_000_000
    /// Bytes of an image archive's manifests and configs, which are kept in memory until its end.
    public var documentBytes: Int64 = 64 << 20

    public init() {}

    public static let standard = UnpackLimits()

    /// For data of our own.
    public static let none: UnpackLimits = {
        var limits = UnpackLimits()
        limits.ratio = .max
        limits.freeBytes = .max
        return limits
    }()

    /// The part that the reader of a tar stream keeps.
    public var archive: TarReader.Limits {
        var limits = TarReader.Limits()
        limits.entries = entries
        return limits
    }

    func check(packed: Int64, unpacked: Int64) throws {
        guard unpacked > freeBytes, unpacked / ratio > packed else { return }
        throw ArchiveError(
            .refused, "packed data grows to more than \(ratio) times its size, as only a bomb does; if it is none, send it unpacked")
    }
}
