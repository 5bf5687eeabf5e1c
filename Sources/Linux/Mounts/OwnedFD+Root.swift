public import CLinux
internal import Glibc

extension OwnedFD {
    /// Opens a directory inside this root filesystem and makes what is missing of its path, level by level, each level
    /// resolved inside the root.
    public func makeDirectoriesInRoot(_ path: String, mode: mode_t = 0o755) throws(SystemError) -> OwnedFD {
        do throws(SystemError) { return try openInRoot(path, O_PATH | O_DIRECTORY) } catch { if error.code != ENOENT { throw error } }
        var reached = "/"
        var directory = try openInRoot("/", O_PATH | O_DIRECTORY)
        for name in path.split(separator: "/") where name != "." {
            reached += reached == "/" ? "\(name)" : "/\(name)"
            do throws(SystemError) { directory = try openInRoot(reached, O_PATH | O_DIRECTORY) } catch {
                if error.code != ENOENT { throw error }
                if mkdirat(directory.raw, String(name), mode) != 0 && errno != EEXIST { throw SystemError("create directory", reached) }
                directory = try openInRoot(reached, O_PATH | O_DIRECTORY)
            }
        }
        return directory
    }

    /// Opens a file inside this root filesystem as a mount point, and makes an empty one where there is none.
    public func makeFileInRoot(_ path: String) throws(SystemError) -> OwnedFD {
        do throws(SystemError) { return try openInRoot(path, O_PATH) } catch { if error.code != ENOENT { throw error } }
        let parent = try makeDirectoriesInRoot(Files.parent(of: path))
        let name = String(path.split(separator: "/").last ?? "")
        // O_EXCL follows no symbolic link in the last place.
        let made = clp_openat(parent.raw, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if made >= 0 { _ = close(made) } else if errno != EEXIST { throw SystemError("create file", path) }
        return try openInRoot(path, O_PATH)
    }

    /// As `openInRoot`, and refuses symbolic links altogether: for places that an image must not redirect.
    public func openInRootWithoutLinks(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedFD {
        let resolve = UInt64(RESOLVE_IN_ROOT) | UInt64(RESOLVE_NO_SYMLINKS)
        while true {
            let fd = clp_openat2(raw, path, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), 0, resolve)
            if fd >= 0 { return OwnedFD(owning: fd) }
            if errno != EINTR && errno != EAGAIN { throw SystemError("open in root", path) }
        }
    }
}
