internal import Archive
internal import Images

/// Tar streams as they come: plain, or compressed by one of the usual programs.
enum ContextStream {
    /// The tar stream of a descriptor, which stays the caller's.
    static func open(_ descriptor: Int32) throws -> any ByteSource { try DecompressingSource(FileSource(descriptor)) }
}
