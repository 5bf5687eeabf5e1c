internal import CLinux
internal import Glibc
public import Linux

/// Unpacks a tar stream into a directory. No entry gets out of it, whatever the stream says: paths are walked by
/// descriptors without following links, and links in the way are resolved inside the root.
public final class TreeExtractor {
    public enum Mode: Sendable {
        /// An image layer: `.wh.x` becomes an overlayfs whiteout, `.wh..wh..opq` an opaque directory
        /// (OCI image spec, "Representing Changes"; kernel, overlayfs.rst).
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
        /// Permissions of everything but symbolic links, instead of the archive's.
        public var permissions: UInt32?
        /// Refuse to replace a directory by something else or something else by a directory (docker cp); otherwise replace.
        public var keepsDirectories = false
        /// The name that a path of the archive (cleaned, without leading `/`) gets, or nil to leave the entry out.
        /// Applies to targets of hard links as well. Nil: names as they are.
        public var rename: (@Sendable (_ path: [UInt8]) -> [UInt8]?)?

        public init(mode: Mode = .plain) { self.mode = mode }
    }

    /// What was unpacked.
    public struct Summary: Sendable {
        public var entries = 0
        /// Bytes of regular files, each hard link counted once.
        public var fileBytes: Int64 = 0
        /// Extended attributes that the file system doesn't take (ENOTSUP).
        public var attributesNotSupported = 0
    }

    private static let writebackSize: Int64 = 256 << 10

    let options: Options
    var directories: DirectoryStack
    var summary = Summary()
    /// Set last, because unpacking into a directory changes its time.
    var directoryTimes: [(components: [[UInt8]], time: FileTime)] = []
    /// False as soon as a directory hands its group or a default ACL on to what is made in it.
    var canTrustDefaults: Bool
    private let processMask: mode_t
    let processOwner: Owner

    /// Throws when the destination isn't a directory in the root.
    public init(root: borrowing OwnedFD, options: Options = Options()) throws {
        self.options = options
        directories = try DirectoryStack(root: try root.duplicate(), destination: options.destination)
        processMask = Self.readMask()
        processOwner = Owner(uid: geteuid(), gid: getegid())
        // Only a layer's directory is new and ours; elsewhere a parent may have set-group-id or a default ACL.
        canTrustDefaults = options.mode == .layer
    }

    /// umask(2) can't be read without changing it for all threads.
    private static func readMask() -> mode_t {
        guard let text = try? Files.readText("/proc/self/status") else { return 0o7777 }
        let line = text.split(separator: "\n").first { $0.hasPrefix("Umask:") }
        return line.flatMap { $0.split(separator: "\t").last }.flatMap { mode_t($0, radix: 8) } ?? 0o7777
    }

    /// Unpacks to the end of the archive.
    public func extract(_ reader: TarReader) throws -> Summary {
        while let entry = try reader.next() { try extract(entry, reader) }
        for (components, time) in directoryTimes.reversed() { try setDirectoryTime(components, time) }
        directoryTimes = []
        return summary
    }

    private func extract(_ original: TarEntry, _ reader: TarReader) throws {
        guard var components = PathBytes.components(original.path) else {
            throw ArchiveError(.refused, "\(original.pathText) in archive leads out of its root")
        }
        if let rename = options.rename {
            guard let name = rename(PathBytes.joined(components)) else { return }
            guard let renamed = PathBytes.components(name) else {
                throw ArchiveError(.refused, "\(PathBytes.text(name)) leads out of the root")
            }
            components = renamed
        }
        summary.entries += 1
        var entry = original
        if let owner = options.owner { (entry.uid, entry.gid) = (owner.uid, owner.gid) }
        if let permissions = options.permissions { entry.mode = permissions }
        guard let name = components.last else { return try extractRoot(entry) }
        let parent = try directories.descriptor(of: components.dropLast(), makingMissing: true)
        if options.mode == .layer, name.starts(with: Self.whiteoutPrefix) { return try makeWhiteout(name, in: parent, entry) }
        let place = Place(parent: parent, name: name, components: components)
        switch entry.kind {
        case .file: try makeFile(place, entry, reader)
        case .directory: try makeDirectory(place, entry)
        case .symbolicLink: try makeSymbolicLink(place, entry)
        case .hardLink: try makeHardLink(place, entry)
        case .characterDevice, .blockDevice, .fifo: try makeNode(place, entry)
        case .other(let letter):
            throw ArchiveError(
                .unsupported, "not implemented: tar entry \(entry.pathText) of type \"\(Character(Unicode.Scalar(letter)))\"")
        }
    }

    /// Where an entry goes. `parent` is valid until the directory stack moves.
    struct Place {
        let parent: Int32
        let name: [UInt8]
        let components: [[UInt8]]

        func failure(_ operation: String, code: Int32 = errno) -> SystemError {
            SystemError(operation, PathBytes.text(PathBytes.joined(components)), code: code)
        }

        /// One system call on the name; -1 becomes an error.
        @inline(__always) @discardableResult
        func call(_ operation: String, _ body: (Int32, UnsafePointer<CChar>) -> Int32) throws -> Int32 {
            while true {
                let result = PathBytes.withCString(name) { body(parent, $0) }
                if result != -1 { return result }
                if errno != EINTR { throw failure(operation) }
            }
        }
    }

    // MARK: Files and directories

    private func makeFile(_ place: Place, _ entry: TarEntry, _ reader: TarReader) throws {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC
        // Set-id bits come after the owner, which takes them away.
        let mode = entry.mode & 0o777
        let file = OwnedFD(
            owning: try makingRoom(place, entry) { try place.call("create") { clp_openat($0, $1, flags, mode) } })
        try writeContent(entry, reader, to: file.raw, place)
        if !canTrustDefaults || entry.uid != processOwner.uid || entry.gid != processOwner.gid {
            try check(place, "change owner of", fchown(file.raw, entry.uid, entry.gid))
        }
        if !canTrustDefaults || entry.mode & (0o7000 | processMask) != 0 {
            try check(place, "change mode of", fchmod(file.raw, entry.mode))
        }
        for attribute in entry.attributes { try setAttribute(attribute, on: file.raw, place) }
        var times = Self.times(entry.modified)
        try check(place, "set time of", futimens(file.raw, &times))
        summary.fileBytes += entry.size
    }

    private func writeContent(_ entry: TarEntry, _ reader: TarReader, to file: Int32, _ place: Place) throws {
        guard let map = entry.sparseMap else {
            while try reader.withData({ try Self.writeAll($0, to: file, place) }) != nil {}
            // A layer is flushed as a whole at its end: of its larger files the disk has most by then.
            if options.mode == .layer && entry.size >= Self.writebackSize { _ = clp_start_writeback(file, 0, 0) }
            return
        }
        var extents = map.makeIterator()
        var extent = SparseExtent(offset: 0, length: 0)
        while try reader.withData({ (piece: UnsafeRawBufferPointer) -> Void in
            var rest = piece[...]
            while !rest.isEmpty {
                while extent.length == 0 {
                    guard let next = extents.next() else {
                        throw ArchiveError(.malformed, "malformed archive: sparse map of \(entry.pathText)")
                    }
                    extent = next
                }
                try check(place, "seek in", lseek(file, off_t(extent.offset), SEEK_SET) < 0 ? -1 : 0)
                let part = rest.prefix(Int(min(extent.length, Int64(rest.count))))
                try Self.writeAll(UnsafeRawBufferPointer(rebasing: part), to: file, place)
                extent = SparseExtent(offset: extent.offset + Int64(part.count), length: extent.length - Int64(part.count))
                rest = rest[part.endIndex...]
            }
        }) != nil {}
        try check(place, "set size of", ftruncate(file, off_t(entry.size)))
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer, to file: Int32, _ place: Place) throws {
        var offset = 0
        while offset < bytes.count {
            let count = write(file, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
            if count < 0 {
                if errno == EINTR { continue }
                throw place.failure("write")
            }
            offset += count
        }
    }

    private func makeDirectory(_ place: Place, _ entry: TarEntry) throws {
        var replacesWhiteout = false
        while PathBytes.withCString(place.name, { mkdirat(place.parent, $0, 0o700) }) != 0 {
            if errno == EINTR { continue }
            guard errno == EEXIST else { throw place.failure("create directory") }
            let status = try self.status(place)
            if status.st_mode & S_IFMT == S_IFDIR { break }
            if options.keepsDirectories {
                throw ArchiveError(
                    .refused, "cannot overwrite non-directory \"\(PathBytes.text(place.name))\" with directory \"\(entry.pathText)\"")
            }
            replacesWhiteout = options.mode == .layer && Self.isWhiteout(status)
            try remove(place, status)
        }
        // The stack opens it without following links; what comes next is mostly in it.
        let directory = try directories.descriptor(of: place.components[...], makingMissing: false)
        try setMetadata(of: directory, entry, Place(parent: directory, name: [], components: place.components))
        // The layer below had it too, and the whiteout hid that: only an opaque directory still does.
        if replacesWhiteout { try setOpaque(directory, place.components) }
        directoryTimes.append((place.components, entry.modified))
    }

    /// The root itself, `./`: a layer says what the root directory is like; elsewhere it stays as it is.
    private func extractRoot(_ entry: TarEntry) throws {
        guard options.mode == .layer, entry.kind == .directory else { return }
        try setMetadata(of: directories.baseDescriptor, entry, Place(parent: directories.baseDescriptor, name: [], components: []))
        directoryTimes.append(([], entry.modified))
    }

    private func setMetadata(of directory: Int32, _ entry: TarEntry, _ place: Place) throws {
        try check(place, "change owner of", fchown(directory, entry.uid, entry.gid))
        try check(place, "change mode of", fchmod(directory, entry.mode))
        if entry.mode & S_ISGID != 0 { canTrustDefaults = false }
        for attribute in entry.attributes {
            try setAttribute(attribute, on: directory, place)
            if attribute.name.elementsEqual("system.posix_acl_default".utf8) { canTrustDefaults = false }
        }
    }

    private func setDirectoryTime(_ components: [[UInt8]], _ time: FileTime) throws {
        // One that was replaced by something else later in the archive has nothing to set.
        guard let directory = try? directories.descriptor(of: components[...], makingMissing: false) else { return }
        var times = Self.times(time)
        try check(Place(parent: directory, name: [], components: components), "set time of", futimens(directory, &times))
    }

    // MARK: Links and nodes

    private func makeSymbolicLink(_ place: Place, _ entry: TarEntry) throws {
        guard !entry.linkTarget.isEmpty else {
            throw ArchiveError(.malformed, "malformed archive: symbolic link \(entry.pathText) without target")
        }
        try PathBytes.withCString(entry.linkTarget) { target in
            try makingRoom(place, entry) { _ = try place.call("create symbolic link") { symlinkat(target, $0, $1) } }
        }
        if !canTrustDefaults || entry.uid != processOwner.uid || entry.gid != processOwner.gid {
            try place.call("change owner of") { fchownat($0, $1, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) }
        }
        let path = "/proc/self/fd/\(place.parent)/".utf8 + place.name
        for attribute in entry.attributes { try setAttribute(attribute, atPath: Array(path), place) }
        var times = Self.times(entry.modified)
        try place.call("set time of") { utimensat($0, $1, &times, AT_SYMLINK_NOFOLLOW) }
    }

    private func makeHardLink(_ place: Place, _ entry: TarEntry) throws {
        guard var target = PathBytes.components(entry.linkTarget) else {
            throw ArchiveError(.refused, "hard link \(entry.pathText) in archive leads out of its root: \(entry.linkTargetText)")
        }
        if let rename = options.rename {
            guard let renamed = rename(PathBytes.joined(target)).flatMap(PathBytes.components) else {
                throw ArchiveError(.refused, "hard link \(entry.pathText) in archive names \(entry.linkTargetText), which is left out")
            }
            target = renamed
        }
        guard let targetName = target.last else { throw ArchiveError(.malformed, "hard link \(entry.pathText) in archive without target") }
        // A link to itself must not be removed to make room for it.
        if target == place.components { return }
        // Two parents at once: the stack holds only one, so that the link's own is kept by a second descriptor.
        let parent = try retrying("duplicate descriptor") { clp_fcntl(place.parent, F_DUPFD_CLOEXEC, 3) }
        let owned = OwnedFD(owning: parent)
        let source = try directories.descriptor(of: target.dropLast(), makingMissing: false)
        let own = Place(parent: owned.raw, name: place.name, components: place.components)
        try PathBytes.withCString(targetName) { targetName in
            try makingRoom(own, entry) {
                _ = try own.call("link \(entry.linkTargetText) to") { linkat(source, targetName, $0, $1, 0) }
            }
        }
    }

    private func makeNode(_ place: Place, _ entry: TarEntry) throws {
        let type: mode_t =
            switch entry.kind {
            case .characterDevice: S_IFCHR
            case .blockDevice: S_IFBLK
            default: S_IFIFO
            }
        let device = clp_makedev(entry.deviceMajor, entry.deviceMinor)
        try makingRoom(place, entry) { _ = try place.call("create device") { mknodat($0, $1, type | (entry.mode & 0o777), device) } }
        // Never opened as such, which could block or act on a device: a path descriptor, and /proc's name for it.
        let node = OwnedFD(owning: try place.call("open") { clp_openat($0, $1, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0) })
        try check(place, "change owner of", fchownat(node.raw, "", entry.uid, entry.gid, AT_EMPTY_PATH))
        try check(place, "change mode of", chmod(node.procPath, entry.mode))
        for attribute in entry.attributes { try setAttribute(attribute, atPath: Array(node.procPath.utf8), place) }
        var times = Self.times(entry.modified)
        try place.call("set time of") { utimensat($0, $1, &times, AT_SYMLINK_NOFOLLOW) }
    }
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
