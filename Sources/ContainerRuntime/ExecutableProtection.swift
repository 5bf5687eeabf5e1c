internal import CLinux
internal import Glibc
internal import Linux

/// Keeps containers from writing to this program's file (CVE-2019-5736).
///
/// A container's process is a copy of this program until it executes its own, and an image can make it execute this
/// program once more (`/proc/self/exe` as entrypoint, or as the interpreter of one, which no look at the program finds).
/// Whoever holds that file open in the container can wait until it is not busy and write to it: as the host's root, to
/// what the host will run next. The answers, the cheapest first:
///
/// - A caller that outlives the container (a supervisor, `run` in the foreground) keeps the file busy all the while:
///   the kernel answers ETXTBSY to every attempt to open it for writing. Kernels 6.11 and 6.12.0 did not, so it is
///   tried, not assumed. One system call.
/// - A file that nobody can write to needs nothing: on a read-only filesystem or mount, sealed with fs-verity, or made
///   immutable (`chattr +i`; who may undo that is an administrator of the host). Four system calls.
/// - Everybody else runs from a read-only mount of the program's own file that is attached nowhere: the write answers
///   EROFS, and nobody can remount what is in no mount namespace. Costs one more execve of a static program with its page
///   faults, about 1.4 ms; a sealed copy in memory costs the same execve, the copying of the file and memory of its own.
public enum ExecutableProtection {
    /// Call it first in `main`, before any descriptor is opened: it may execute the program again. Returns when the file
    /// is safe, or when the caller may not mount: then it is not the host's root, and its file is safe from it.
    public static func ensure(outlivesContainer: Bool) {
        if outlivesContainer {
            let writable = clp_open("/proc/self/exe", O_WRONLY | O_CLOEXEC, 0)
            if writable < 0 { return }
            _ = close(writable)
        }
        let file = clp_open("/proc/self/exe", O_PATH | O_CLOEXEC, 0)
        if file < 0 { return }
        if isUnwritable(file) {
            _ = close(file)
            return
        }
        let tree = clp_open_tree(file, "", UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_EMPTY_PATH))
        _ = close(file)
        if tree < 0 { return }
        if clp_mount_setattr(tree, "", UInt32(AT_EMPTY_PATH), UInt64(MOUNT_ATTR_RDONLY), 0, 0) == 0 {
            _ = clp_execveat(tree, CommandLine.unsafeArgv, Glibc.environ)
        }
        _ = close(tree)
    }
    private static func isUnwritable(_ file: Int32) -> Bool {
        var type = 0
        var flags = 0
        if clp_fstatfs(file, &type, &flags) == 0 && flags & Int(ST_RDONLY) != 0 { return true }
        return clp_file_attributes(file) & UInt64(STATX_ATTR_IMMUTABLE | STATX_ATTR_VERITY) != 0
    }
}
