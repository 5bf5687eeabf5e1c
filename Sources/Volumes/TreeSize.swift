internal import CLinux
internal import Glibc
internal import Linux

/// How much the files in a directory hold.
enum TreeSize {
    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    static func bytes(in path: String) throws -> Int64 {
        var seen: Set<Identity> = []
        return try bytes(in: try OwnedFD.open(path, O_RDONLY | O_DIRECTORY), &seen)
    }

    private static func bytes(in directory: borrowing OwnedFD, _ seen: inout Set<Identity>) throws -> Int64 {
        var total: Int64 = 0
        let listing = try directory.openAt(".", O_RDONLY | O_DIRECTORY)
        for name in try Files.list(consume listing) {
            var status = stat()
            // Gone meanwhile, or a name that is not UTF-8: doesn't count.
            guard fstatat(directory.raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFREG:
                if status.st_nlink > 1, !seen.insert(Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))).inserted {
                    continue
                }
                total += Int64(status.st_size)
            case S_IFDIR:
                guard let child = try? directory.openAt(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) else { continue }
                total += try bytes(in: child, &seen)
            default: continue
            }
        }
        return total
    }
}
