internal import CLinux
internal import Glibc

/// Notice of processes killed for lack of memory in one cgroup.
///
/// Poll `descriptor` for reading; when it is readable call `drain()` and compare `count()` with what it was. v1 announces
/// *before* it kills, and once more when the cgroup is removed: so ask for the count again when the process has ended.
public struct OOMWatch: ~Copyable, Sendable {
    /// An eventfd on v1, an inotify descriptor on v2; non-blocking.
    public let descriptor: OwnedFD
    private let directory: CgroupDirectory

    init(_ directory: CgroupDirectory) throws {
        self.directory = directory
        self.descriptor = try directory.isUnified ? Self.watchEvents(directory) : Self.registerEvent(directory)
    }

    /// Takes the notices in, so that the descriptor is quiet until the next.
    public func drain() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while let count = try? descriptor.read(into: &buffer), count > 0 {}
    }

    /// v2 counts first and tells then; v1 tells first.
    public var countsBeforeNotice: Bool { directory.isUnified }

    /// How many processes have been killed so far; nil when the cgroup is gone or the kernel does not count (before 4.13).
    public func count() -> UInt64? { directory.oomKills }

    /// v1: memory.oom_control's notices into an eventfd, through cgroup.event_control (cgroup-v1/memory.rst, 10).
    private static func registerEvent(_ directory: CgroupDirectory) throws -> OwnedFD {
        let notice = OwnedFD(owning: try retrying("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
        let control = try OwnedFD.open(directory.file("memory.oom_control"))
        try directory.write("cgroup.event_control", "\(notice.raw) \(control.raw)")
        return notice
    }

    /// v2: the kernel marks memory.events as modified when a count in it changes (cgroup-v2.rst).
    private static func watchEvents(_ directory: CgroupDirectory) throws -> OwnedFD {
        let path = directory.file("memory.events")
        let notice = OwnedFD(owning: try retrying("inotify") { inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)) })
        _ = try retrying("watch", path) { inotify_add_watch(notice.raw, path, UInt32(IN_MODIFY)) }
        return notice
    }
}

extension CgroupDirectory {
    var oomKills: UInt64? {
        guard let text = try? read(isUnified ? "memory.events" : "memory.oom_control") else { return nil }
        return KeyedNumbers(text)["oom_kill"]
    }
}

extension CgroupManager {
    /// Watches for kills for lack of memory. Throws `controllerMissing` without a memory controller.
    public func oomWatch() throws -> OOMWatch {
        guard let memory = directory(of: "memory") else {
            throw CgroupError.controllerMissing(controller: "memory", setting: "out-of-memory notice")
        }
        return try OOMWatch(memory)
    }

    /// How many processes the kernel has killed here for lack of memory; nil when it cannot be told.
    public var oomKills: UInt64? { directory(of: "memory")?.oomKills }
}
