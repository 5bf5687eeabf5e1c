internal import CLinux
internal import Glibc

/// How much a directory tree holds.
public enum DirectorySize {
    private struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
    }

    /// Bytes of regular files, hard links counted once. Never follows symbolic links.
    public static func bytes(of path: String) throws(SystemError) -> Int64 {
        var seen: Set<Identity> = []
        return try sum(try OwnedFD.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW), &seen)
    }

    private static func sum(_ directory: borrowing OwnedFD, _ seen: inout Set<Identity>) throws(SystemError) -> Int64 {
        var total: Int64 = 0
        let listing = try directory.openAt(".", O_RDONLY | O_DIRECTORY)
        for name in try Files.list(consume listing) {
            var status = stat()
            // Gone meanwhile, or a name that is not UTF-8: doesn't count.
            guard fstatat(directory.raw, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR:
                if let child = try? directory.openAt(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) { total += try sum(child, &seen) }
            case S_IFREG:
                // A tree may hold mounts, whose inodes have numbers of their own.
                let identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
                if status.st_nlink == 1 || seen.insert(identity).inserted { total += Int64(status.st_size) }
            default: break
            }
        }
        return total
    }
}
