internal import CLinux
internal import Glibc
internal import Linux

/// Names in a directory as bytes, and removal by them.
enum DirectoryListing {
    /// Sorted by bytes, without `.` and `..`. The descriptor stays open.
    static func names(of directory: Int32, _ path: @autoclosure () -> String) throws -> [[UInt8]] {
        // A descriptor of its own: reading moves an open directory's position.
        let copy = try retrying("open", path()) { clp_openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0) }
        guard let stream = fdopendir(copy) else {
            let code = errno
            _ = close(copy)
            throw SystemError("read directory", path(), code: code)
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else { break }
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [46] && name != [46, 46] { names.append(name) }
        }
        if errno != 0 { throw SystemError("read directory", path()) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    /// rm -rf of a directory, by descriptors.
    static func removeTree(_ name: [UInt8], in parent: Int32) throws {
        let directory = OwnedFD(
            owning: try retrying("open", PathBytes.text(name)) {
                PathBytes.withCString(name) { clp_openat(parent, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0) }
            })
        for child in try names(of: directory.raw, PathBytes.text(name)) {
            if PathBytes.withCString(child, { unlinkat(directory.raw, $0, 0) }) == 0 { continue }
            guard errno == EISDIR || errno == EPERM else { throw SystemError("remove", PathBytes.text(child)) }
            try removeTree(child, in: directory.raw)
        }
        _ = try retrying("remove", PathBytes.text(name)) { PathBytes.withCString(name) { unlinkat(parent, $0, AT_REMOVEDIR) } }
    }
}
