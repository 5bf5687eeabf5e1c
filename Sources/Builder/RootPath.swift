internal import Archive
internal import CLinux
internal import Glibc
internal import Linux

/// Paths inside a root file system, resolved as a process in it would, with missing directories made on the way.
struct RootPath {
    /// Where a path leads: its last directory, free of links, and its name there; empty for the root itself.
    struct Location: Equatable {
        var directory: String
        var name: String
        var kind: Kind

        enum Kind { case missing, directory, other }
    }

    private let root: Int32
    /// Owner of directories that are made.
    private let owner: Owner

    /// `root` must stay open as long as this lives.
    init(root: borrowing OwnedFD, owner: Owner = Owner(uid: 0, gid: 0)) {
        self.root = root.raw
        self.owner = owner
    }

    /// Follows every link of `path` and makes directories that are missing above its last component.
    func locate(_ path: String) throws -> Location {
        var pending = Array(RelativePath.clean("/" + path).reversed())
        var current: [String] = []
        var links = 0
        while let component = pending.popLast() {
            if component == "." || component.isEmpty { continue }
            if component == ".." {
                _ = current.popLast()
                continue
            }
            let directory = "/" + current.joined(separator: "/")
            let parent = try open(directory)
            var status = stat()
            guard fstatat(parent.raw, component, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                if errno != ENOENT { throw SystemError("lstat", path) }
                if pending.isEmpty { return Location(directory: directory, name: component, kind: .missing) }
                try make(component, in: parent, path)
                current.append(component)
                continue
            }
            switch status.st_mode & S_IFMT {
            case S_IFLNK:
                links += 1
                if links > 40 { throw SystemError("lstat", path, code: ELOOP) }
                let target = try FileTransfer.readLink(component, in: parent.raw)
                if target.hasPrefix("/") { current = [] }
                pending += target.split(separator: "/").map(String.init).reversed()
            case S_IFDIR: current.append(component)
            default:
                if !pending.isEmpty { throw SystemError("mkdir", path, code: ENOTDIR) }
                return Location(directory: directory, name: component, kind: .other)
            }
        }
        let name = current.popLast() ?? ""
        return Location(directory: "/" + current.joined(separator: "/"), name: name, kind: .directory)
    }

    /// mkdir -p, through links. Existing directories stay as they are; new ones get mode 0755 and the owner.
    func makeDirectories(_ path: String) throws -> OwnedFD {
        let location = try locate(path)
        let parent = try open(location.directory)
        switch location.kind {
        case .other: throw SystemError("mkdir", path, code: ENOTDIR)
        case .missing: try make(location.name, in: parent, path)
        case .directory: break
        }
        return try open(location.directory + "/" + location.name)
    }

    /// A directory by a path without links.
    func open(_ path: String) throws(SystemError) -> OwnedFD {
        // The descriptor is borrowed: the root's owner closes it.
        let fd = clp_openat2(
            root, path, UInt64(UInt32(bitPattern: O_RDONLY | O_DIRECTORY | O_CLOEXEC)), 0,
            UInt64(RESOLVE_IN_ROOT) | UInt64(RESOLVE_NO_MAGICLINKS))
        if fd < 0 { throw SystemError("open in root", path) }
        return OwnedFD(owning: fd)
    }

    private func make(_ name: String, in parent: borrowing OwnedFD, _ path: String) throws(SystemError) {
        let directory = parent.raw
        _ = try retrying("mkdir", path) { mkdirat(directory, name, 0o755) }
        _ = try retrying("chown", path) { fchownat(directory, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) }
        // The process's umask must not show in an image.
        _ = try retrying("chmod", path) { fchmodat(directory, name, 0o755, 0) }
    }
}
