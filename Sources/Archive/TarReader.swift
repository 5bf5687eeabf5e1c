/// Reads a tar stream, entry by entry.
public final class TarReader {
    /// What a stream may ask of us.
    public struct Limits: Sendable {
        /// Bytes of one pax header or GNU long name.
        public var headerBytes = 1 << 20
        /// Entries in the stream.
        public var entries = Int.max
        /// Bytes of all files together, holes included.
        public var totalBytes = Int64.max

        public init() {}
    }

    public init(_ source: any ByteSource, limits: Limits = Limits()) {}

    /// The next entry; nil at the end of the archive. Skips what was not read of the entry before.
    public func next() throws -> TarEntry? { throw ArchiveError(.unsupported, "not implemented") }

    /// The next piece of the current entry's stored data (for a sparse file: its extents, one after another); nil after the last.
    /// The bytes are valid only inside `body`.
    public func withData<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result? { throw ArchiveError(.unsupported, "not implemented") }

    /// All data of the current entry, holes filled with zeros. Throws when it is longer than `limit`.
    public func readAll(limit: Int) throws -> [UInt8] { throw ArchiveError(.unsupported, "not implemented") }

    /// Reads the source to its end, past the archive's: what a hash of the whole stream needs.
    public func drain() throws {}
}
