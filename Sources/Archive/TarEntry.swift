/// What a tar header says about one file. Paths and names are bytes: Linux doesn't promise UTF-8.
public struct TarEntry: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        case file, directory, symbolicLink, hardLink, characterDevice, blockDevice, fifo
        /// A type that POSIX doesn't know: its letter.
        case other(UInt8)
    }

    public var kind: Kind
    /// As it stands in the archive.
    public var path: [UInt8]
    /// Target of a symbolic or hard link.
    public var linkTarget: [UInt8]
    /// Permissions, set-id and sticky bits, without the file type.
    public var mode: UInt32
    public var uid: UInt32
    public var gid: UInt32
    public var userName: String
    public var groupName: String
    /// Length of the file in bytes; for a sparse file, of the file with its holes.
    public var size: Int64
    /// Modification time: seconds since 1970 and 0 ..< 10⁹ nanoseconds.
    public var modified: FileTime
    public var deviceMajor: UInt32
    public var deviceMinor: UInt32
    /// SCHILY.xattr.* records.
    public var attributes: [ExtendedAttribute]
    /// The parts of a sparse file that have data; nil for a file without holes.
    public var sparseMap: [SparseExtent]?

    public init(
        kind: Kind, path: [UInt8], linkTarget: [UInt8] = [], mode: UInt32 = 0o644, uid: UInt32 = 0, gid: UInt32 = 0, size: Int64 = 0,
        modified: FileTime = FileTime(seconds: 0), deviceMajor: UInt32 = 0, deviceMinor: UInt32 = 0, attributes: [ExtendedAttribute] = []
    ) {
        self.kind = kind
        self.path = path
        self.linkTarget = linkTarget
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.userName = ""
        self.groupName = ""
        self.size = size
        self.modified = modified
        self.deviceMajor = deviceMajor
        self.deviceMinor = deviceMinor
        self.attributes = attributes
    }

    /// The path as text; bytes that are not UTF-8 become U+FFFD. For messages and for names that must be text.
    public var pathText: String { String(decoding: path, as: UTF8.self) }
    public var linkTargetText: String { String(decoding: linkTarget, as: UTF8.self) }
}

/// A moment as file systems keep it.
public struct FileTime: Sendable, Hashable {
    public var seconds: Int64
    /// 0 ..< 10⁹
    public var nanoseconds: Int64

    public init(seconds: Int64, nanoseconds: Int64 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }
}

/// An extended attribute (xattr(7)).
public struct ExtendedAttribute: Sendable, Hashable {
    /// With its namespace: `security.capability`.
    public var name: [UInt8]
    public var value: [UInt8]

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }

    public init(_ name: String, _ value: [UInt8]) { self.init(name: Array(name.utf8), value: value) }
}

/// A part of a sparse file that has data, in bytes.
public struct SparseExtent: Sendable, Hashable {
    public var offset: Int64
    public var length: Int64

    public init(offset: Int64, length: Int64) {
        self.offset = offset
        self.length = length
    }
}
