internal import CLinux
internal import Glibc

extension CgroupManager {
    /// Gives the container's cgroup to a user of the host: the directory and the files that the kernel calls safe to
    /// give away (cgroup-v2.rst, "Delegation"; runtime-spec, config-linux.md, "Cgroup ownership"). On v1 nothing is
    /// given away, for delegation is not safe there.
    public func delegate(to user: UInt32) throws {
        guard layout.version == .v2, let unified else { return }
        try unified.delegate(to: user)
    }
}

extension CgroupDirectory {
    /// `names` is what /sys/kernel/cgroup/delegate lists; without that file, what Linux 4.15 had.
    func delegate(to user: UInt32, names: [String]? = nil) throws {
        let listed = names ?? (try? Files.readText("/sys/kernel/cgroup/delegate"))?.split(separator: "\n").map(String.init)
        let files = listed ?? ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
        for target in [path] + files.map(file) {
            // A file that is listed belongs to a controller that may be off here. The group stays as it is.
            if chown(target, user, gid_t.max) != 0 && errno != ENOENT { throw SystemError("give cgroup to user \(user):", target) }
        }
    }
}
