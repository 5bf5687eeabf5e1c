internal import CLinux
internal import Glibc
public import Linux

/// Packs a directory as a tar stream, sorted, always the same bytes for the same tree.
public struct TreeArchiver {
    public enum Mode: Sendable {
        /// An image layer from an overlayfs upper directory: whiteouts and opaque directories in OCI's form, times in
        /// whole seconds (as Docker's layers have them).
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
        /// False to give every directory the time 0: those that an archive does not mention are made when it is unpacked.
        public var hasDirectoryTimes = true
        /// Leaves out what is in filesystems that hold no files but the kernel's answers (procfs, sysfs and the like): reading there
        /// fails, blocks, or has no end. Their directories are packed, empty.
        public var leavesOutKernelFiles = false

        public init(mode: Mode = .plain) { self.mode = mode }
    }

    public struct Summary: Sendable {
        public var entries = 0
        /// Bytes of regular files, each hard link counted once.
        public var fileBytes: Int64 = 0
    }

    public var options: Options

    public init(options: Options = Options()) { self.options = options }

    /// Packs what is in `directory`. Doesn't end the archive: more may follow (`writer.finish()`). Sockets are left out:
    /// tar has no entry for them. A file that shrinks meanwhile is filled with zeros in `plain` mode and an error in `layer` mode.
    public func archive(_ directory: borrowing OwnedFD, to writer: TarWriter) throws -> Summary {
        let walk = ArchiveWalk(options: options, writer: writer)
        if !options.prefix.isEmpty { try walk.addRoot(directory.raw, path: options.prefix) }
        try walk.addContents(of: directory.raw, path: options.prefix, relative: [], depth: 0)
        return walk.summary
    }

    /// Packs one file or directory of `parent`, which is called `name` there, as `entryName` in the archive (docker cp).
    /// A symbolic link is packed as such.
    public func archive(_ name: String, in parent: borrowing OwnedFD, as entryName: String, to writer: TarWriter) throws -> Summary {
        let walk = ArchiveWalk(options: options, writer: writer)
        try walk.add(Array(name.utf8), in: parent.raw, path: Array(entryName.utf8), relative: [], depth: 0)
        return walk.summary
    }
}

/// One run of a `TreeArchiver`.
final class ArchiveWalk {
    private struct FileIdentity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    private let options: TreeArchiver.Options
    private let writer: TarWriter
    private var firstPaths: [FileIdentity: [UInt8]] = [:]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    private(set) var summary = TreeArchiver.Summary()

    init(options: TreeArchiver.Options, writer: TarWriter) {
        self.options = options
        self.writer = writer
    }

    deinit { buffer.deallocate() }

    func addRoot(_ directory: Int32, path: [UInt8]) throws {
        var status = stat()
        _ = try retrying("stat", PathBytes.text(path)) { fstat(directory, &status) }
        try emit(makeEntry(.directory, path, status, try attributes(of: directory, path)))
    }

    func addContents(of directory: Int32, path: [UInt8], relative: [UInt8], depth: Int) throws {
        if try options.leavesOutKernelFiles && Self.hasKernelFiles(directory, path) { return }
        if depth > DirectoryStack.maximumDepth {
            throw ArchiveError(.refused, "\(PathBytes.text(path)): directories nested deeper than \(DirectoryStack.maximumDepth)")
        }
        for name in try DirectoryListing.names(of: directory, PathBytes.text(path)) {
            let child = path.isEmpty || path.last == PathBytes.slash ? path + name : path + [PathBytes.slash] + name
            try add(name, in: directory, path: child, relative: relative.isEmpty ? name : relative + [PathBytes.slash] + name, depth: depth)
        }
    }

    func add(_ name: [UInt8], in directory: Int32, path: [UInt8], relative: [UInt8], depth: Int) throws {
        var status = stat()
        let found = try PathBytes.withCString(name) { name in
            while true {
                if fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 { return true }
                // Gone since the directory was read: a running container may do that, a layer may not.
                if errno == ENOENT && options.mode == .plain && depth > 0 { return false }
                if errno != EINTR { throw SystemError("stat", PathBytes.text(path)) }
            }
        }
        let type = status.st_mode & S_IFMT
        guard found, type != S_IFSOCK else { return }
        if let excludes = options.excludes, !relative.isEmpty, excludes(relative, type == S_IFDIR) { return }
        if options.mode == .layer {
            if TreeExtractor.isWhiteout(status) { return try addWhiteout(path) }
            guard !name.starts(with: TreeExtractor.whiteoutPrefix) else {
                throw ArchiveError(.refused, "\(PathBytes.text(path)): names that begin with .wh. cannot be in a layer")
            }
        }
        do { try add(type, status, name, in: directory, path, relative, depth) } catch let error as SystemError
            where error.code == ENOENT && options.mode == .plain && depth > 0
        {
            // Gone since it was looked at, and not yet in the archive.
        }
    }

    private func add(
        _ type: mode_t, _ status: stat, _ name: [UInt8], in directory: Int32, _ path: [UInt8], _ relative: [UInt8], _ depth: Int
    ) throws {
        if type == S_IFDIR { return try addDirectory(name, in: directory, path, relative, depth) }
        let identity = FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
        if status.st_nlink > 1 {
            if let first = firstPaths[identity] { return try emit(makeEntry(.hardLink, path, status, [], link: first)) }
            firstPaths[identity] = path
        }
        switch type {
        case S_IFREG: try addFile(name, in: directory, path)
        case S_IFLNK: try addSymbolicLink(name, in: directory, path, status)
        case S_IFCHR: try emit(makeEntry(.characterDevice, path, status, try attributes(of: name, in: directory, path)))
        case S_IFBLK: try emit(makeEntry(.blockDevice, path, status, try attributes(of: name, in: directory, path)))
        case S_IFIFO: try emit(makeEntry(.fifo, path, status, try attributes(of: name, in: directory, path)))
        default: throw ArchiveError(.unsupported, "\(PathBytes.text(path)): file type \(String(type, radix: 8)) cannot be archived")
        }
    }

    // MARK: Kinds

    private func addDirectory(_ name: [UInt8], in parent: Int32, _ path: [UInt8], _ relative: [UInt8], _ depth: Int) throws {
        let directory = try open(name, in: parent, O_RDONLY | O_DIRECTORY, path)
        let status = try directory.status()
        let attributes = try attributes(of: directory.raw, path)
        try emit(makeEntry(.directory, path, status, attributes))
        if options.mode == .layer, isOpaque(directory.raw) {
            try addMarker((path.last == PathBytes.slash ? path : path + [PathBytes.slash]) + Array(".wh..wh..opq".utf8))
        }
        try addContents(of: directory.raw, path: path, relative: relative, depth: depth + 1)
    }

    private func addFile(_ name: [UInt8], in directory: Int32, _ path: [UInt8]) throws {
        // O_NONBLOCK: should it have become a fifo meanwhile, opening must not wait for a writer.
        let file = try open(name, in: directory, O_RDONLY | O_NONBLOCK, path)
        let status = try file.status()
        guard status.st_mode & S_IFMT == S_IFREG else { return }
        let size = Int64(status.st_size)
        try emit(makeEntry(.file, path, status, try attributes(of: file.raw, path), size: size))
        var left = size
        while left > 0 {
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(left, Int64(buffer.count)))])
            var count = try retrying("read", PathBytes.text(path)) { read(file.raw, part.baseAddress, part.count) }
            if count == 0 {
                if options.mode == .layer { throw ArchiveError(.truncated, "\(PathBytes.text(path)) became shorter while it was read") }
                part.initializeMemory(as: UInt8.self, repeating: 0)
                count = part.count
            }
            try writer.write(UnsafeRawBufferPointer(rebasing: part[..<count]))
            left -= Int64(count)
        }
        summary.fileBytes += size
    }

    private func addSymbolicLink(_ name: [UInt8], in directory: Int32, _ path: [UInt8], _ status: stat) throws {
        let count = try retrying("read link", PathBytes.text(path)) {
            PathBytes.withCString(name) { name in
                buffer.assumingMemoryBound(to: CChar.self).baseAddress.map { readlinkat(directory, name, $0, 8192) } ?? -1
            }
        }
        let target = Array(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        try emit(makeEntry(.symbolicLink, path, status, try attributes(of: name, in: directory, path), link: target))
    }

    /// `x`, gone in this layer, as `.wh.x`. Overlayfs links whiteouts to one inode, whose owner and time say nothing.
    private func addWhiteout(_ path: [UInt8]) throws {
        let start = path.lastIndex(of: PathBytes.slash).map { $0 + 1 } ?? 0
        try addMarker(Array(path[..<start]) + TreeExtractor.whiteoutPrefix + Array(path[start...]))
    }

    private func addMarker(_ path: [UInt8]) throws { try emit(TarEntry(kind: .file, path: path, mode: 0o600)) }

    // MARK: Parts

    private func emit(_ entry: TarEntry) throws {
        try writer.add(entry)
        summary.entries += 1
    }

    private func makeEntry(
        _ kind: TarEntry.Kind, _ path: [UInt8], _ status: stat, _ attributes: [ExtendedAttribute], size: Int64 = 0, link: [UInt8] = []
    ) -> TarEntry {
        let nanoseconds = options.mode == .layer ? 0 : Int64(status.st_mtim.tv_nsec)
        var entry = TarEntry(
            kind: kind, path: path, linkTarget: link, mode: status.st_mode & 0o7777, uid: status.st_uid, gid: status.st_gid, size: size,
            modified: FileTime(seconds: Int64(status.st_mtim.tv_sec), nanoseconds: nanoseconds), attributes: attributes)
        if kind == .characterDevice || kind == .blockDevice {
            entry.deviceMajor = UInt32(clp_major(status.st_rdev))
            entry.deviceMinor = UInt32(clp_minor(status.st_rdev))
        }
        if kind == .directory && !options.hasDirectoryTimes { entry.modified = FileTime(seconds: 0) }
        if let owner = options.owner { (entry.uid, entry.gid) = (owner.uid, owner.gid) }
        return entry
    }

    private func open(_ name: [UInt8], in directory: Int32, _ flags: Int32, _ path: [UInt8]) throws -> OwnedFD {
        OwnedFD(
            owning: try retrying("open", PathBytes.text(path)) {
                PathBytes.withCString(name) { clp_openat(directory, $0, flags | O_NOFOLLOW | O_CLOEXEC, 0) }
            })
    }

    /// Magic numbers (statfs(2), linux/magic.h).
    private static let kernelFilesystems: Set<Int> = [
        Int(PROC_SUPER_MAGIC), Int(SYSFS_MAGIC), Int(CGROUP_SUPER_MAGIC), Int(CGROUP2_SUPER_MAGIC), Int(DEVPTS_SUPER_MAGIC),
        Int(DEBUGFS_MAGIC), Int(TRACEFS_MAGIC), Int(SECURITYFS_MAGIC), Int(BPF_FS_MAGIC), Int(PSTOREFS_MAGIC), Int(BINFMTFS_MAGIC),
        Int(EFIVARFS_MAGIC), Int(SELINUX_MAGIC),
        // mqueue, configfs and fusectl are in no header.
        0x1980_0202, 0x6265_6570, 0x6573_5543,
    ]

    private static func hasKernelFiles(_ directory: Int32, _ path: [UInt8]) throws -> Bool {
        var (type, flags) = (0, 0)
        try retrying("stat filesystem of", PathBytes.text(path)) { clp_fstatfs(directory, &type, &flags) }
        return kernelFilesystems.contains(type)
    }

    private func isOpaque(_ directory: Int32) -> Bool {
        var value: UInt8 = 0
        return fgetxattr(directory, "trusted.overlay.opaque", &value, 1) == 1 && value == UInt8(ascii: "y")
    }

    // MARK: Attributes

    private func attributes(of file: Int32, _ path: [UInt8]) throws -> [ExtendedAttribute] {
        try attributes(path, { flistxattr(file, $0, $1) }, { fgetxattr(file, $0, $1, $2) })
    }

    /// Of what must not be opened: by the directory's descriptor, without following the last component.
    private func attributes(of name: [UInt8], in directory: Int32, _ path: [UInt8]) throws -> [ExtendedAttribute] {
        try PathBytes.withCString(Array("/proc/self/fd/\(directory)/".utf8) + name) { file in
            try attributes(path, { llistxattr(file, $0, $1) }, { lgetxattr(file, $0, $1, $2) })
        }
    }

    private func attributes(
        _ path: [UInt8], _ list: (UnsafeMutablePointer<CChar>?, Int) -> Int,
        _ get: (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
    ) throws -> [ExtendedAttribute] {
        // The kernel's limits (xattr(7)): 64 KiB for the list and for a value. The buffer serves both.
        let count = list(buffer.assumingMemoryBound(to: CChar.self).baseAddress, 65536)
        if count == 0 { return [] }
        if count < 0 {
            if errno == ENOTSUP { return [] }
            throw SystemError("list attributes of", PathBytes.text(path))
        }
        let names = buffer[..<count].split(separator: 0).map { Array($0) }.sorted { $0.lexicographicallyPrecedes($1) }
        var result: [ExtendedAttribute] = []
        for name in names {
            if options.mode == .layer { try refuseRedirect(name, path) }
            guard ExtendedAttribute.isPortable(name) else { continue }
            let length = PathBytes.withCString(name) { get($0, buffer.baseAddress, 65536) }
            if length < 0 {
                if errno == ENODATA { continue }
                throw SystemError("read attribute \(PathBytes.text(name)) of", PathBytes.text(path))
            }
            result.append(ExtendedAttribute(name: name, value: Array(buffer[..<length])))
        }
        return result
    }

    /// An upper directory with these depends on the layers below in a way that tar can't say.
    private func refuseRedirect(_ name: [UInt8], _ path: [UInt8]) throws {
        for refused in ["trusted.overlay.redirect", "trusted.overlay.metacopy"] where name.elementsEqual(refused.utf8) {
            throw ArchiveError(.unsupported, "\(PathBytes.text(path)) has \(refused): mount the overlay with redirect_dir=off,metacopy=off")
        }
    }
}
