public import Linux

/// Packs a directory as a tar stream, sorted, always the same bytes for the same tree.
public struct TreeArchiver {
    public enum Mode: Sendable {
        /// An image layer from an overlayfs upper directory: whiteouts and opaque directories in OCI's form, times in whole seconds.
        case layer
        /// Everything as it stands, times in nanoseconds.
        case plain
    }

    public struct Options: Sendable {
        public var mode = Mode.plain
        /// Leaves out a path (relative, `a/b`) and, of a directory, everything in it.
        public var excludes: (@Sendable (_ path: [UInt8], _ isDirectory: Bool) -> Bool)?
        /// Put before each path, `a/` for example; the directory itself is then an entry, `a/`.
        public var prefix: [UInt8] = []
        /// Owner of everything, instead of the files' own.
        public var owner: Owner?

        public init(mode: Mode = .plain) { self.mode = mode }
    }

    public struct Summary: Sendable {
        public var entries = 0
        /// Bytes of regular files, each hard link counted once.
        public var fileBytes: Int64 = 0
    }

    public var options: Options

    public init(options: Options = Options()) { self.options = options }

    /// Packs what is in `directory`. Doesn't end the archive: more may follow (`writer.finish()`).
    public func archive(_ directory: borrowing OwnedFD, to writer: TarWriter) throws -> Summary { throw ArchiveError(.unsupported, "not implemented") }

    /// Packs one file or directory of `parent`, which is called `name` there, as `entryName` in the archive (docker cp).
    public func archive(_ name: String, in parent: borrowing OwnedFD, as entryName: String, to writer: TarWriter) throws -> Summary {
        throw ArchiveError(.unsupported, "not implemented")
    }
}
