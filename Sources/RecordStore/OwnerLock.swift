internal import CLinux
internal import Glibc
internal import Linux

/// Makes its owner the only user of a database, across processes, for as long as it lives (flock(2)): the kernel
/// drops the lock when the process ends, however it ends.
struct OwnerLock: ~Copyable, Sendable {
    private let lock: FileLock

    init(path: String) throws {
        lock = try Self.lock(path)
    }

    private static func lock(_ path: String) throws -> FileLock {
        let lock: FileLock
        do { lock = try FileLock(path, waits: false) } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            let text = String(decoding: (try? Files.read(path, limit: 32)) ?? [], as: UTF8.self)
            throw RecordError.inUse(path: String(path.dropLast(5)), pid: Int32(text.prefix { $0 != "\n" }))
        }
        _ = ftruncate(lock.file.raw, 0)
        try lock.file.writeAll(Array("\(getpid())\n".utf8))
        return lock
    }
}
