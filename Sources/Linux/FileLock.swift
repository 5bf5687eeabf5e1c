internal import CLinux
internal import Glibc

/// A lock on a file (flock(2)) for as long as the value lives. The kernel drops it when the process ends, however it ends.
///
/// Given back by name, not only by closing: a process cloned a moment ago has copies of all descriptors until it executes its
/// program, and a copy keeps the lock.
public struct FileLock: ~Copyable, Sendable {
    /// The locked file, open for reading and writing.
    public let file: OwnedFD

    public enum Kind: Sendable {
        case exclusive
        case shared
    }

    /// Opens (creates with mode 0600) and locks.
    /// - Parameter waits: whether to wait for other holders; else they are EWOULDBLOCK.
    public init(_ path: String, _ kind: Kind = .exclusive, waits: Bool) throws(SystemError) {
        let file = try OwnedFD.open(path, O_RDWR | O_CREAT, mode: 0o600)
        let operation = (kind == .exclusive ? LOCK_EX : LOCK_SH) | (waits ? 0 : LOCK_NB)
        _ = try retrying("lock", path) { flock(file.raw, operation) }
        self.file = file
    }

    deinit { _ = flock(file.raw, LOCK_UN) }
}
