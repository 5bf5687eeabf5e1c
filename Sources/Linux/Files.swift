public import CLinux
internal import Glibc

/// Whole-file and directory operations on host paths. Never for paths inside a root filesystem:
/// those go through descriptors (`OwnedFD.openInRoot`).
public enum Files {
    /// The whole content.
    public static func read(_ path: String, limit: Int = .max) throws(SystemError) -> [UInt8] {
        let file = try OwnedFD.open(path)
        do { return try file.readAll(limit: limit) } catch { throw SystemError("read", path, code: error.code) }
    }

    /// The whole content as text; bytes that are not UTF-8 become U+FFFD.
    public static func readText(_ path: String) throws(SystemError) -> String {
        String(decoding: try read(path), as: UTF8.self)
    }

    /// Writes in place, without durability: for kernel interfaces and scratch files.
    public static func write(_ path: String, _ text: String, flags: Int32? = nil) throws(SystemError) {
        let file = try OwnedFD.open(path, flags ?? (O_WRONLY | O_CREAT | O_TRUNC))
        do { try file.writeAll(Array(text.utf8)) } catch { throw SystemError("write \(text.prefix(80)) to", path, code: error.code) }
    }

    /// Replaces a file whole: a temporary name beside it, rename(2). With `durable` the data and the name are on
    /// the disk when this returns (fsync of file and directory).
    public static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600, durable: Bool = true) throws(SystemError) {
        // The thread's number: two threads of the daemon may replace the same file at once.
        let temporary = "\(path).tmp.\(gettid())"
        do {
            let file = try OwnedFD.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
            try file.writeAll(bytes)
            if durable { try file.sync() }
            _ = try retrying("rename", path) { rename(temporary, path) }
        } catch {
            _ = unlink(temporary)
            throw SystemError("write", path, code: error.code)
        }
        if durable { try syncDirectory(parent(of: path)) }
    }

    /// Makes renames and creations in a directory durable.
    public static func syncDirectory(_ path: String) throws(SystemError) {
        try OwnedFD.open(path, O_RDONLY | O_DIRECTORY).sync()
    }

    /// mkdir -p.
    public static func makeDirectories(_ path: String, mode: mode_t = 0o755) throws(SystemError) {
        if mkdir(path, mode) == 0 { return }
        let code = errno
        if code == EEXIST && isDirectory(path) { return }
        if code == ENOENT && path != "/" && !path.isEmpty {
            try makeDirectories(parent(of: path), mode: mode)
            if mkdir(path, mode) == 0 || (errno == EEXIST && isDirectory(path)) { return }
        }
        throw SystemError("create directory", path, code: code)
    }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    public static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// The names in a directory without `.` and `..`, in no order.
    public static func list(_ path: String) throws(SystemError) -> [String] {
        let directory = try OwnedFD.open(path, O_RDONLY | O_DIRECTORY)
        return try list(consume directory)
    }

    /// The names in an open directory without `.` and `..`; the descriptor is used up.
    public static func list(_ directory: consuming OwnedFD) throws(SystemError) -> [String] {
        try rawNames(consume directory).map { String(decoding: $0.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self) }
    }

    /// The same as C strings, closing zero included: a name need not be UTF-8, and only its own bytes name the file.
    public static func rawNames(_ directory: consuming OwnedFD) throws(SystemError) -> [[CChar]] {
        let number = directory.take()
        guard let stream = fdopendir(number) else {
            let code = errno
            _ = close(number)
            throw SystemError("read directory", code: code)
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { $0.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } }
            if name != [46] && name != [46, 46] { names.append(name + [0]) }
        }
        return names
    }

    /// rm -rf, by descriptors: never follows a symbolic link, never crosses into what a link names.
    /// A path that does not exist is no error. Directories nested deeper than the descriptor limit fail with EMFILE.
    public static func removeTree(_ path: String) throws(SystemError) {
        if unlink(path) == 0 { return }
        if errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw SystemError("remove", path) }
        let directory: OwnedFD
        do { directory = try OwnedFD.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) } catch {
            if error.code == ENOENT { return }
            throw error
        }
        try removeContents(directory.raw, path)
        if rmdir(path) != 0 && errno != ENOENT { throw SystemError("remove", path) }
    }

    private static func removeContents(_ directory: Int32, _ path: String) throws(SystemError) {
        let listing = OwnedFD(owning: try retrying("open", path) { clp_openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) })
        for name in try rawNames(consume listing) {
            if unlinkat(directory, name, 0) == 0 || errno == ENOENT { continue }
            let code = errno
            let childPath = "\(path)/" + String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            guard code == EISDIR || code == EPERM else { throw SystemError("remove", childPath, code: code) }
            let child = OwnedFD(
                owning: try retrying("open", childPath) {
                    clp_openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
                })
            try removeContents(child.raw, childPath)
            if unlinkat(directory, name, AT_REMOVEDIR) != 0 && errno != ENOENT { throw SystemError("remove", childPath) }
        }
    }

    /// The directory part of a path: `/a` for `/a/b`, `/` for `/a`, `.` for `a`.
    public static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
