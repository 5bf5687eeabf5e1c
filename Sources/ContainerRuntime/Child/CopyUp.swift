internal import CLinux
internal import Glibc
internal import Linux

/// Fills a new tmpfs with what its mount point holds (mount option `tmpcopyup`).
enum CopyUp {
    /// Copies directories, files, symbolic links and their owners and modes; device nodes, sockets and pipes are left out.
    static func copy(from source: borrowing OwnedFD, to target: borrowing OwnedFD, name: String) throws {
        let listing = try source.openAt(".", O_RDONLY | O_DIRECTORY)
        for entry in try Files.list(consume listing) {
            let path = "\(name)/\(entry)"
            let item = try source.openAt(entry, O_PATH | O_NOFOLLOW)
            let status = try item.status()
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                try retrying("create directory", path) { mkdirat(target.raw, entry, 0o700) }
                try copy(from: item, to: try target.openAt(entry, O_PATH | O_DIRECTORY | O_NOFOLLOW), name: path)
            case S_IFREG: try copyFile(from: source, to: target, entry, path)
            case S_IFLNK: try copyLink(item, to: target, entry, path)
            default: continue
            }
            try retrying("change owner of", path) { fchownat(target.raw, entry, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) }
            if status.st_mode & S_IFMT != S_IFLNK {
                try retrying("change mode of", path) { fchmodat(target.raw, entry, status.st_mode & 0o7777, 0) }
            }
        }
    }

    private static func copyFile(from source: borrowing OwnedFD, to target: borrowing OwnedFD, _ entry: String, _ path: String) throws {
        let input = try source.openAt(entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        let output = try target.openAt(entry, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        while try retrying("copy", path, { sendfile(output.raw, input.raw, nil, 1 << 30) }) > 0 {}
    }

    private static func copyLink(_ link: borrowing OwnedFD, to target: borrowing OwnedFD, _ entry: String, _ path: String) throws {
        let text = try link.linkTarget(name: path) ?? ""
        try retrying("create link", path) { symlinkat(text, target.raw, entry) }
    }
}
