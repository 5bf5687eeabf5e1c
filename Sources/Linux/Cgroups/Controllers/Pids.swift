// The pids controller: cgroup-v1/pids.rst.
extension CgroupDirectory {
    /// 0 becomes 1: the kernel's 0 and 1 mean the same for the one process that enters, and entering needs no fork.
    func applyPids(_ limit: Int64) throws {
        try set("pids.max", limit < 0 ? "max" : "\(max(1, limit))", for: "pids.limit")
    }
}
