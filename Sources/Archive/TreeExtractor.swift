public import CLinux
public import Linux

/// Unpacks a tar stream into a directory. No entry gets out of it, whatever the stream says.
public final class TreeExtractor {
    public enum Mode: Sendable {
        /// An image layer: `.wh.x` becomes an overlayfs whiteout, `.wh..wh..opq` an opaque directory.
        case layer
        /// Everything as it stands.
        case plain
    }

    public struct Options: Sendable {
        public var mode = Mode.plain
        /// Where in the root the archive's paths begin: `/` or a directory that exists; `..` and links in it stay in the root.
        public var destination = "/"
        /// Owner of everything, instead of the archive's.
        public var owner: Owner?
        /// Permissions of everything, instead of the archive's.
        public var permissions: mode_t?
        /// Refuse to replace a directory by something else or something else by a directory (docker cp); otherwise replace.
        public var keepsDirectories = false
        /// The name that an entry gets, relative to `destination`, or nil to leave it out. Nil: names as they are.
        public var rename: (@Sendable (TarEntry) -> [UInt8]?)?

        public init(mode: Mode = .plain) { self.mode = mode }
    }

    /// What was unpacked.
    public struct Summary: Sendable {
        public var entries = 0
        /// Bytes of regular files, each hard link counted once.
        public var fileBytes: Int64 = 0
    }

    /// `root` must stay open as long as the extractor lives.
    public init(root: borrowing OwnedFD, options: Options = Options()) throws {}

    /// Unpacks to the end of the archive.
    public func extract(_ reader: TarReader) throws -> Summary { throw ArchiveError(.unsupported, "not implemented") }
}

/// User and group numbers of a file.
public struct Owner: Sendable, Hashable {
    public var uid: UInt32
    public var gid: UInt32

    public init(uid: UInt32, gid: UInt32) {
        self.uid = uid
        self.gid = gid
    }
}
