internal import CLinux
internal import Glibc
internal import Linux

/// Fills a new tmpfs with what its mount point holds (mount option `tmpcopyup`).
enum CopyUp {
    /// Copies directories, files, symbolic links and their owners, modes and extended attributes; device nodes, sockets and
    /// pipes are left out. Names and the texts of links are bytes here: they need not be UTF-8.
    static func copy(from source: borrowing OwnedFD, to target: borrowing OwnedFD, name: String) throws {
        let listing = try source.openAt(".", O_RDONLY | O_DIRECTORY)
        for entry in try Files.rawNames(consume listing) {
            let path = "\(name)/\(String(decoding: entry.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))"
            let item = try open(entry, in: source, O_PATH | O_NOFOLLOW, path)
            let status = try item.status()
            let kind = status.st_mode & S_IFMT
            switch kind {
            case S_IFDIR:
                try retrying("create directory", path) { mkdirat(target.raw, entry, 0o700) }
                try copy(from: item, to: try open(entry, in: target, O_PATH | O_DIRECTORY | O_NOFOLLOW, path), name: path)
            case S_IFREG: try copyFile(from: source, to: target, entry, path)
            case S_IFLNK: try copyLink(item, to: target, entry, path)
            default: continue
            }
            try retrying("change owner of", path) { fchownat(target.raw, entry, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) }
            if kind != S_IFLNK { try retrying("change mode of", path) { fchmodat(target.raw, entry, status.st_mode & 0o7777, 0) } }
            // After the owner, whose change takes file capabilities away.
            let made = try open(entry, in: target, O_PATH | O_NOFOLLOW, path)
            try Files.copyAttributes(from: item.procPath, to: made.procPath, name: path)
        }
    }

    private static func open(
        _ entry: [CChar], in directory: borrowing OwnedFD, _ flags: Int32, _ path: String
    ) throws(SystemError) -> OwnedFD {
        let number = directory.raw
        return OwnedFD(owning: try retrying("open", path) { clp_openat(number, entry, flags | O_CLOEXEC, 0o600) })
    }

    private static func copyFile(from source: borrowing OwnedFD, to target: borrowing OwnedFD, _ entry: [CChar], _ path: String) throws {
        let input = try open(entry, in: source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, path)
        let output = try open(entry, in: target, O_WRONLY | O_CREAT | O_EXCL, path)
        while try retrying("copy", path, { sendfile(output.raw, input.raw, nil, 1 << 30) }) > 0 {}
    }

    private static func copyLink(_ link: borrowing OwnedFD, to target: borrowing OwnedFD, _ entry: [CChar], _ path: String) throws {
        var text = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        // Its end is the zero that stays.
        _ = try retrying("read link", path) { readlinkat(link.raw, "", &text, Int(PATH_MAX)) }
        try retrying("create link", path) { symlinkat(text, target.raw, entry) }
    }
}
