internal import CLinux
internal import Glibc

/// The root of a procfs, open and proven to be one. What is written below it reaches the kernel's own file: a mount on
/// the way is refused, be it a file of the image or another file of procfs (CVE-2019-16884, CVE-2025-52881).
public struct Procfs: ~Copyable, Sendable {
    private let root: OwnedFD

    /// The inode number of procfs' root (PROC_ROOT_INO of the kernel's ABI, linux/proc_ns.h).
    private static let rootInode: UInt64 = 1

    /// Takes a directory that must be the root of a procfs; throws EINVAL when it is anything else.
    public init(proving directory: consuming OwnedFD) throws(SystemError) {
        let number = try directory.status().st_ino
        guard Mounts.isProcfs(directory), UInt64(number) == Self.rootInode else {
            throw SystemError("open /proc: it is not procfs", code: EINVAL)
        }
        root = directory
    }

    /// The calling process's own at /proc.
    public static func own() throws(SystemError) -> Procfs { try Procfs(proving: try OwnedFD.open("/proc", O_PATH | O_DIRECTORY)) }

    /// Opens a file of it; `path` has no leading slash.
    public func open(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedFD { try root.openInMount(path, flags) }

    /// Whether there is such a file.
    public func has(_ path: String) -> Bool { (try? open(path, O_PATH)) != nil }

    /// Writes to a file of it, with one write(2).
    public func write(_ text: String, to path: String) throws(SystemError) { try open(path, O_WRONLY).writeAll(Array(text.utf8)) }
}
