internal import CLinux
internal import Glibc
internal import JSON
internal import Linux

/// Files, devices and open descriptors.
enum FilesReport {
    /// Where a symbolic link points; null for everything else.
    static func link(_ path: String) -> JSONValue {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(path, &buffer, buffer.count - 1)
        if count < 0 { return .null }
        return .string(String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    /// The text of a file without its last newline; the error number below zero when it cannot be read.
    static func content(_ path: String) -> JSONValue {
        do throws(SystemError) {
            let file = try OwnedFD.open(path, O_RDONLY | O_NONBLOCK)
            let text = String(decoding: try file.readAll(limit: 1 << 16), as: UTF8.self)
            return .string(text.hasSuffix("\n") ? String(text.dropLast()) : text)
        } catch { return .integer(Int64(-error.code)) }
    }

    /// What a path is, without following a link in its last place, and whether it can be read, written and listed.
    static func path(_ path: String) -> JSONValue {
        guard var object = describe(path).objectValue else { return .null }
        object.append("read", attempt(path, O_RDONLY, reads: true))
        object.append("write", attempt(path, O_WRONLY, reads: false))
        if let names = try? Files.list(path) { object.append("names", .array(names.sorted().map { .string($0) })) }
        return .object(object)
    }

    /// 0, or the error number below zero.
    private static func attempt(_ path: String, _ flags: Int32, reads: Bool) -> JSONValue {
        do throws(SystemError) {
            let file = try OwnedFD.open(path, flags | O_NONBLOCK | O_NOCTTY)
            if reads, try file.status().st_mode & S_IFMT == S_IFREG { _ = try file.readAll(limit: 1) }
            return 0
        } catch { return .integer(Int64(-error.code)) }
    }

    private static let kinds: [mode_t: String] = [
        S_IFREG: "file", S_IFDIR: "directory", S_IFLNK: "link", S_IFCHR: "character", S_IFBLK: "block", S_IFIFO: "fifo", S_IFSOCK: "socket",
    ]

    private static func describe(_ path: String) -> JSONValue {
        var status = stat()
        if lstat(path, &status) != 0 { return .null }
        var object = JSONObject()
        object.append("kind", .string(kinds[status.st_mode & S_IFMT] ?? "?"))
        object.append("mode", .integer(Int64(status.st_mode & 0o7777)))
        object.append("uid", .integer(Int64(status.st_uid)))
        object.append("gid", .integer(Int64(status.st_gid)))
        object.append("size", .integer(Int64(status.st_size)))
        object.append("major", .integer(Int64(clp_major(status.st_rdev))))
        object.append("minor", .integer(Int64(clp_minor(status.st_rdev))))
        if status.st_mode & S_IFMT == S_IFLNK { object.append("target", link(path)) }
        return .object(object)
    }

    /// Everything in /dev, by name, without what lies in its directories.
    static var devices: JSONValue {
        var object = JSONObject()
        for name in ((try? Files.list("/dev")) ?? []).sorted() { object.append(name, describe("/dev/\(name)")) }
        return .object(object)
    }

    /// Open descriptors by number and what they are of; the one that lists them is left out.
    static var descriptors: JSONValue {
        var object = JSONObject()
        let numbers = ((try? Files.list("/proc/self/fd")) ?? []).compactMap { Int32($0) }.sorted()
        for number in numbers where fcntl(number, F_GETFD) >= 0 { object.append("\(number)", link("/proc/self/fd/\(number)")) }
        return .object(object)
    }
}
