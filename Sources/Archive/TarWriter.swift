/// Writes a tar stream: the same bytes for the same entries, whoever runs it and when.
public final class TarWriter {
    public init(_ sink: any ByteSink) {}

    /// Begins an entry; exactly `entry.size` bytes must follow when it is a file.
    public func add(_ entry: TarEntry) throws { throw ArchiveError(.unsupported, "not implemented") }

    /// Data of the current entry.
    public func write(_ bytes: UnsafeRawBufferPointer) throws { throw ArchiveError(.unsupported, "not implemented") }

    /// A whole regular file.
    public func add(_ entry: TarEntry, content: [UInt8]) throws { throw ArchiveError(.unsupported, "not implemented") }

    /// Ends the archive with two empty blocks and finishes the sink.
    public func finish() throws { throw ArchiveError(.unsupported, "not implemented") }
}
