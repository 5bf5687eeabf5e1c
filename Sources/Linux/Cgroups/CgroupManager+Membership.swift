internal import CLinux
internal import Glibc

/// Open doors into a cgroup: the calling process puts itself into all its hierarchies.
///
/// Opened by the parent, used by the cloned child before it gives anything up. On v1 a task that moves *itself*
/// (a `0` into `tasks`) does not take the lock that every fork and exit on the host holds for reading; moving a process
/// by its number does, and waits for an RCU grace period: measured here 70 µs against 7 ms for nine hierarchies.
public struct CgroupEntrance: ~Copyable, Sendable {
    private let doors: [Int32]

    fileprivate init(doors: [Int32]) { self.doors = doors }

    deinit { for door in doors { _ = close(door) } }

    /// Moves the caller, which must have one thread only. Allocates nothing: fit for the time between clone and exec.
    public func enter() throws(SystemError) {
        for index in 0..<doors.count {
            let door = doors[index]
            _ = try retrying("enter cgroup") { Glibc.write(door, "0", 1) }
        }
    }
}

extension CgroupManager {
    /// The descriptor for clone3's CLONE_INTO_CGROUP (Linux 5.7): the child is born in the cgroup2 directory. On a pure
    /// v2 host that is all; on a hybrid one the child also walks through `entrance()`. nil on a v1 host.
    ///
    /// A cgroup namespace must be unshared by the child afterwards: CLONE_NEWCGROUP in the same clone3 would take
    /// the *parent's* cgroup as its root.
    public func descriptorForClone() throws(SystemError) -> OwnedFD? {
        guard let unified else { return nil }
        return try OwnedFD.open(unified.path, O_RDONLY | O_DIRECTORY)
    }

    /// Doors into the hierarchies. With `includingUnified` also into cgroup2, for a caller that was not born there.
    public func entrance(includingUnified: Bool) throws -> CgroupEntrance {
        var doors: [Int32] = []
        do {
            for directory in directories where !directory.isUnified || includingUnified {
                doors.append(try OwnedFD.open(directory.file(directory.isUnified ? "cgroup.procs" : "tasks"), O_WRONLY).take())
            }
        } catch {
            for door in doors { _ = close(door) }
            throw SystemError("open cgroup", error.subject, code: error.code)
        }
        return CgroupEntrance(doors: doors)
    }

    /// Moves another process, with all its threads. Costs several milliseconds on v1 (see `CgroupEntrance`): for
    /// processes that cannot move themselves.
    public func attach(pid: Int32) throws {
        for directory in directories { try directory.write("cgroup.procs", "\(pid)") }
    }

    /// The cgroups in which a process of the container really is: itself, or others. For joining a container that has divided
    /// its cgroup (systemd, Docker in it), whose own directory then takes no processes on v2 (EBUSY), and one whose process
    /// has gone elsewhere in cgroup2, after which its own may be removed (ENOENT). On v1 only parts of the own are followed.
    public func following(process pid: Int32) throws -> CgroupManager {
        var places: [String: String] = [:]
        for line in try Files.readText("/proc/\(pid)/cgroup").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            if fields.count == 3 { places[String(fields[1])] = String(fields[2]) }
        }
        let moved = directories.map { directory in
            let name = directory.isUnified ? "" : directory.controllers.joined(separator: ",")
            // A place outside the caller's cgroup namespace, which it cannot name, begins with `/..`.
            guard let place = places[name], directory.isUnified ? !place.hasPrefix("/..") : place.hasPrefix(path + "/"),
                Files.isDirectory(directory.mountPoint + place)
            else { return directory }
            return CgroupDirectory(
                mountPoint: directory.mountPoint, relative: place, controllers: directory.controllers, isUnified: directory.isUnified)
        }
        return CgroupManager(layout: layout, path: path, directories: moved)
    }
}
