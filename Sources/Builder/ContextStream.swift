internal import Archive
internal import Images

/// Tar streams as they come: plain, or compressed by one of the usual programs.
enum ContextStream {
    /// A reader of the tar stream of a descriptor, which stays the caller's.
    static func reader(_ descriptor: Int32) throws -> TarReader {
        TarReader(try DecompressingSource(FileSource(descriptor)), limits: UnpackLimits.standard.archive)
    }
}
