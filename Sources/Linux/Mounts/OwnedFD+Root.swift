public import CLinux
internal import Glibc

extension OwnedFD {
    /// Opens a directory inside this root filesystem and makes what is missing of its path, level by level, each level
    /// resolved inside the root. A symbolic link to nothing has its target made, inside the root too.
    public func makeDirectoriesInRoot(_ path: String, mode: mode_t = 0o755) throws(SystemError) -> OwnedFD {
        try makeDirectories(path, mode, linksLeft: Self.mostLinks)
    }

    /// As many symbolic links as the kernel follows in one path (path_resolution(7)).
    private static let mostLinks = 40

    private func makeDirectories(_ path: String, _ mode: mode_t, linksLeft: Int) throws(SystemError) -> OwnedFD {
        do throws(SystemError) { return try openInRoot(path, O_PATH | O_DIRECTORY) } catch { if error.code != ENOENT { throw error } }
        var reached = "/"
        var directory = try openInRoot("/", O_PATH | O_DIRECTORY)
        for name in path.split(separator: "/") where name != "." {
            let parent = reached
            reached += reached == "/" ? "\(name)" : "/\(name)"
            do throws(SystemError) { directory = try openInRoot(reached, O_PATH | O_DIRECTORY) } catch {
                if error.code != ENOENT { throw error }
                if mkdirat(directory.raw, String(name), mode) == 0 {
                    directory = try openInRoot(reached, O_PATH | O_DIRECTORY)
                    continue
                }
                if errno != EEXIST { throw SystemError("create directory", reached) }
                guard let target = try directory.target(ofLink: String(name), in: parent) else {
                    // Somebody else has made it meanwhile.
                    directory = try openInRoot(reached, O_PATH | O_DIRECTORY)
                    continue
                }
                if linksLeft == 0 { throw SystemError("create directory", reached, code: ELOOP) }
                directory = try makeDirectories(target, mode, linksLeft: linksLeft - 1)
            }
        }
        return directory
    }

    /// Opens a file inside this root filesystem as a mount point, and makes an empty one where there is none. A symbolic
    /// link to nothing has its target made, inside the root too.
    public func makeFileInRoot(_ path: String) throws(SystemError) -> OwnedFD {
        try makeFile(path, linksLeft: Self.mostLinks)
    }

    private func makeFile(_ path: String, linksLeft: Int) throws(SystemError) -> OwnedFD {
        do throws(SystemError) { return try openInRoot(path, O_PATH) } catch { if error.code != ENOENT { throw error } }
        let place = Files.parent(of: path)
        let parent = try makeDirectories(place, 0o755, linksLeft: linksLeft)
        let name = String(path.split(separator: "/").last ?? "")
        // O_EXCL follows no symbolic link in the last place.
        let made = clp_openat(parent.raw, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if made >= 0 {
            _ = close(made)
            return try parent.openAt(name, O_PATH | O_NOFOLLOW)
        }
        if errno != EEXIST { throw SystemError("create file", path) }
        guard let target = try parent.target(ofLink: name, in: place) else { return try openInRoot(path, O_PATH) }
        if linksLeft == 0 { throw SystemError("create file", path, code: ELOOP) }
        return try makeFile(target, linksLeft: linksLeft - 1)
    }

    /// What a symbolic link in this directory, which has the path `place`, says: a path from the root. Nil for what is no link.
    private func target(ofLink name: String, in place: String) throws(SystemError) -> String? {
        let link = try openAt(name, O_PATH | O_NOFOLLOW)
        guard let text = try link.linkTarget(name: name) else { return nil }
        return text.hasPrefix("/") ? text : "\(place)/\(text)"
    }

    /// What the symbolic link says that this descriptor stands for (O_PATH | O_NOFOLLOW); nil when it is none.
    public func linkTarget(name: String) throws(SystemError) -> String? {
        if try status().st_mode & S_IFMT != S_IFLNK { return nil }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try retrying("read link", name) { readlinkat(raw, "", &buffer, buffer.count) }
        return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// As `openInRoot`, and refuses symbolic links altogether: for places that an image must not redirect.
    public func openInRootWithoutLinks(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedFD {
        try open(path, flags, UInt64(RESOLVE_IN_ROOT) | UInt64(RESOLVE_NO_SYMLINKS))
    }

    /// Opens a file of this very mount: no other mount on the way, no magic link, nothing above this directory.
    public func openInMount(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedFD {
        try open(path, flags, UInt64(RESOLVE_BENEATH) | UInt64(RESOLVE_NO_XDEV) | UInt64(RESOLVE_NO_MAGICLINKS))
    }

    private func open(_ path: String, _ flags: Int32, _ resolve: UInt64) throws(SystemError) -> OwnedFD {
        while true {
            let fd = clp_openat2(raw, path, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), 0, resolve)
            if fd >= 0 { return OwnedFD(owning: fd) }
            if errno != EINTR && errno != EAGAIN { throw SystemError("open in root", path) }
        }
    }
}
