internal import Archive
internal import CLinux
internal import Glibc
internal import Linux

/// Copies files and trees between directories, as COPY does: types, contents, times, extended attributes and permissions as they
/// are, the owner as told. What is in the way is replaced; directories are merged.
struct FileTransfer {
    /// Nil keeps each file's own.
    var owner: Owner?
    /// Permissions for everything that is copied; nil keeps each file's own.
    var permissions: mode_t?
    /// Of paths relative to the copied directory.
    var excludes = IgnorePatterns([])
    let cancellation: BuildCancellation

    /// Copies `name` of `source` as `newName` into `target`; a directory with everything in it.
    func copy(_ name: String, from source: Int32, to target: Int32, as newName: String, path: String) throws {
        try cancellation.check()
        var status = stat()
        _ = try retrying("stat", path) { fstatat(source, name, &status, AT_SYMLINK_NOFOLLOW) }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: try copyDirectory(name, source, target, newName, status, path)
        case S_IFREG: try copyFile(name, source, target, newName, status, path)
        case S_IFLNK:
            let link = try Self.readLink(name, in: source)
            try clear(newName, in: target, path)
            _ = try retrying("symlink", path) { symlinkat(link, target, newName) }
            try setOwner(newName, in: target, status, path)
            try setTimes(newName, in: target, status, path)
        case S_IFSOCK: break
        default:
            try clear(newName, in: target, path)
            _ = try retrying("mknod", path) { mknodat(target, newName, status.st_mode, status.st_rdev) }
            try setOwner(newName, in: target, status, path)
            _ = try retrying("chmod", path) { fchmodat(target, newName, mode(status), 0) }
            try setTimes(newName, in: target, status, path)
        }
    }

    /// Copies everything in a directory into another one, which itself stays as it is.
    func copyContents(of source: borrowing OwnedFD, to target: borrowing OwnedFD, path: String) throws {
        for name in try Files.list(try source.openAt(".", O_RDONLY | O_DIRECTORY)).sorted() {
            let inner = path.isEmpty ? name : path + "/" + name
            // A directory that is left out may hold something that an exception takes back in.
            if !excludes.isEmpty && excludes.excludes(inner) { continue }
            try copy(name, from: source.raw, to: target.raw, as: name, path: inner)
        }
    }

    private func copyDirectory(_ name: String, _ source: Int32, _ target: Int32, _ newName: String, _ status: stat, _ path: String) throws {
        if mkdirat(target, newName, 0o700) != 0 {
            guard errno == EEXIST else { throw SystemError("mkdir", path) }
            var existing = stat()
            _ = try retrying("stat", path) { fstatat(target, newName, &existing, AT_SYMLINK_NOFOLLOW) }
            if existing.st_mode & S_IFMT != S_IFDIR {
                try clear(newName, in: target, path)
                _ = try retrying("mkdir", path) { mkdirat(target, newName, 0o700) }
            }
        }
        let from = try Self.openDirectory(name, in: source, path)
        let to = try Self.openDirectory(newName, in: target, path)
        try copyContents(of: from, to: to, path: path)
        let number = to.raw
        let (uid, gid) = (owner?.uid ?? status.st_uid, owner?.gid ?? status.st_gid)
        _ = try retrying("chown", path) { fchown(number, uid, gid) }
        _ = try retrying("chmod", path) { fchmod(number, mode(status)) }
        try copyAttributes(from: from.raw, to: number, path)
        try setTimes(newName, in: target, status, path)
    }

    private func copyFile(_ name: String, _ source: Int32, _ target: Int32, _ newName: String, _ status: stat, _ path: String) throws {
        let from = OwnedFD(owning: try retrying("open", path) { clp_openat(source, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0) })
        try copyFile(from, to: target, as: newName, path: path)
    }

    /// Copies an open regular file.
    func copyFile(_ from: borrowing OwnedFD, to target: Int32, as newName: String, path: String) throws {
        let status = try from.status()
        try clear(newName, in: target, path)
        let to = OwnedFD(
            owning: try retrying("create", path) { clp_openat(target, newName, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) })
        try copyData(from: from, to: to, path)
        let number = to.raw
        let (uid, gid) = (owner?.uid ?? status.st_uid, owner?.gid ?? status.st_gid)
        _ = try retrying("chown", path) { fchown(number, uid, gid) }
        // After chown, which clears set-id bits and capabilities.
        _ = try retrying("chmod", path) { fchmod(number, mode(status)) }
        try copyAttributes(from: from.raw, to: number, path)
        try setTimes(newName, in: target, status, path)
    }

    private func copyData(from: borrowing OwnedFD, to: borrowing OwnedFD, _ path: String) throws {
        let (source, target) = (from.raw, to.raw)
        var isInKernel = true
        while isInKernel {
            try cancellation.check()
            let count = copy_file_range(source, nil, target, nil, 1 << 26, 0)
            if count == 0 { return }
            if count < 0 {
                if errno == EINTR { continue }
                // Other file systems than the kernel can copy between: by hand, from where it got to.
                guard [EXDEV, EINVAL, EOPNOTSUPP, ENOSYS].contains(errno) else { throw SystemError("copy", path) }
                isInKernel = false
            }
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            try cancellation.check()
            let count = try from.read(into: &buffer)
            if count == 0 { return }
            try to.writeAll(Array(buffer[..<count]))
        }
    }

    /// `user.*` and file capabilities: the others belong to this machine, not to the image.
    private func copyAttributes(from source: Int32, to target: Int32, _ path: String) throws {
        for (name, value) in try Self.attributes(of: source, path) {
            if fsetxattr(target, name, value, value.count, 0) != 0 && errno != EOPNOTSUPP {
                throw SystemError("set attribute \(name) of", path)
            }
        }
    }

    static func attributes(of file: Int32, _ path: String) throws(SystemError) -> [(name: String, value: [UInt8])] {
        let length = flistxattr(file, nil, 0)
        if length <= 0 { return [] }
        var names = [CChar](repeating: 0, count: length)
        let listed = flistxattr(file, &names, length)
        if listed < 0 { throw SystemError("list attributes of", path) }
        var result: [(String, [UInt8])] = []
        for bytes in names.prefix(listed).split(separator: 0) {
            let name = String(decoding: bytes.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard name.hasPrefix("user.") || name == "security.capability" else { continue }
            let size = fgetxattr(file, name, nil, 0)
            if size < 0 { continue }
            var value = [UInt8](repeating: 0, count: size)
            let count = fgetxattr(file, name, &value, size)
            if count < 0 { throw SystemError("read attribute \(name) of", path) }
            result.append((name, Array(value.prefix(count))))
        }
        return result.sorted { $0.0 < $1.0 }
    }

    private func mode(_ status: stat) -> mode_t { permissions ?? status.st_mode & 0o7777 }

    /// Takes away whatever has the name.
    private func clear(_ name: String, in directory: Int32, _ path: String) throws {
        if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw SystemError("replace", path) }
        try Files.removeTree("/proc/self/fd/\(directory)/\(name)")
    }

    private func setOwner(_ name: String, in directory: Int32, _ status: stat, _ path: String) throws(SystemError) {
        let (uid, gid) = (owner?.uid ?? status.st_uid, owner?.gid ?? status.st_gid)
        _ = try retrying("chown", path) { fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW) }
    }

    private func setTimes(_ name: String, in directory: Int32, _ status: stat, _ path: String) throws(SystemError) {
        var times = [status.st_mtim, status.st_mtim]
        _ = try retrying("set time of", path) { utimensat(directory, name, &times, AT_SYMLINK_NOFOLLOW) }
    }

    static func openDirectory(_ name: String, in directory: Int32, _ path: String) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try retrying("open", path) { clp_openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0) })
    }

    static func readLink(_ name: String, in directory: Int32) throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try retrying("readlink", name) { readlinkat(directory, name, &buffer, buffer.count) }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
