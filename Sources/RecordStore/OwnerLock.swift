internal import CLinux
internal import Glibc
internal import Linux

/// Makes its owner the only user of a database, across processes, for as long as it lives (flock(2)): the kernel
/// drops the lock when the process ends, however it ends.
struct OwnerLock: ~Copyable, Sendable {
    private let file: OwnedFD

    init(path: String) throws {
        file = try Self.lock(path)
    }

    private static func lock(_ path: String) throws -> OwnedFD {
        let file = try OwnedFD.open(path, O_RDWR | O_CREAT, mode: 0o600)
        do {
            _ = try retrying("lock", path) { flock(file.raw, LOCK_EX | LOCK_NB) }
        } catch {
            guard error.code == EWOULDBLOCK else { throw error }
            let text = String(decoding: (try? file.readAll(limit: 32)) ?? [], as: UTF8.self)
            throw RecordError.inUse(path: String(path.dropLast(5)), pid: Int32(text.prefix { $0 != "\n" }))
        }
        _ = ftruncate(file.raw, 0)
        try file.writeAll(Array("\(getpid())\n".utf8))
        return file
    }
}
