internal import CLinux
internal import Glibc

extension CgroupDirectory {
    /// mkdir -p. True when the cgroup itself is new. One that exists must have no processes: limits would hit strangers.
    func make(expecting: Int32? = nil) throws -> Bool {
        if try makeNew() {
            try inheritCpuset()
            return true
        }
        let processes = try processIDs().filter { $0 != expecting }
        if !processes.isEmpty { throw CgroupError.occupied(path: path, processes: processes.count) }
        if isFrozen { throw CgroupError.frozen(path: path) }
        try inheritCpuset()
        return false
    }

    /// By whichever freezer this directory has.
    private var isFrozen: Bool {
        if isUnified { return (try? read("cgroup.freeze")) == "1\n" }
        guard controllers.contains("freezer"), let state = try? read("freezer.state") else { return false }
        return state != "THAWED\n"
    }

    private func makeNew() throws -> Bool {
        // Twice: a parent may be removed, as empty, between its creation and ours.
        for _ in 0..<2 {
            if mkdir(path, 0o755) == 0 { return true }
            if errno == EEXIST && Files.isDirectory(path) { return false }
            if errno != ENOENT { throw SystemError("create cgroup", path) }
            try makeParents()
        }
        if mkdir(path, 0o755) == 0 { return true }
        throw SystemError("create cgroup", path)
    }

    /// Makes the ancestors below the mount point that are missing.
    private func makeParents() throws {
        for ancestor in ancestors {
            if mkdir(ancestor.path, 0o755) != 0 {
                if errno == EEXIST { continue }
                throw SystemError("create cgroup", ancestor.path)
            }
            try ancestor.inheritCpuset()
            // Children made below get the parent's CPUs and nodes from the kernel (cgroup-v1/cgroups.rst, clone_children).
            if carriesCpusetV1 { try? ancestor.write("cgroup.clone_children", "1") }
        }
    }

    /// The cgroups between the mount point and this one, outermost first, both ends excluded.
    var ancestors: [CgroupDirectory] {
        let components = relative.split(separator: "/")
        return (1..<max(1, components.count)).map {
            CgroupDirectory(
                mountPoint: mountPoint, relative: "/" + components[..<$0].joined(separator: "/"), controllers: controllers,
                isUnified: isUnified)
        }
    }

    var parent: CgroupDirectory {
        CgroupDirectory(
            mountPoint: mountPoint, relative: relative.lastIndex(of: "/") == relative.startIndex ? "" : Files.parent(of: relative),
            controllers: controllers, isUnified: isUnified)
    }

    private var carriesCpusetV1: Bool { !isUnified && controllers.contains("cpuset") }

    /// On v1 a new cpuset is empty and takes no task until it has CPUs and nodes: the parent's, when the kernel has
    /// not copied them. A parent that somebody else made may be empty itself.
    private func inheritCpuset() throws {
        guard carriesCpusetV1 else { return }
        for name in ["cpuset.cpus", "cpuset.mems"] where isEmpty(name) {
            let above = parent
            if !above.relative.isEmpty && above.isEmpty(name) { try above.inheritCpuset() }
            try write(name, try above.read(name))
        }
    }

    private func isEmpty(_ name: String) -> Bool { (try? read(name)).map { $0.isEmpty || $0 == "\n" } ?? false }
}

extension CgroupManager {
    /// Switches controllers on for the children of every ancestor in the cgroup2 hierarchy (cgroups(7),
    /// cgroup.subtree_control): all that there are on pure v2; on a hybrid host only those that the limits need.
    func enableUnifiedControllers(for resources: CgroupResources) throws {
        guard let unified else { return }
        let wanted = layout.version == .v2 ? unified.controllers : unified.controllers.filter { resources.needed.contains($0) }
        if wanted.isEmpty { return }
        let root = CgroupDirectory(mountPoint: unified.mountPoint, relative: "", controllers: unified.controllers, isUnified: true)
        for ancestor in [root] + unified.ancestors {
            let enabled = Set(try ancestor.read("cgroup.subtree_control").split { $0 == " " || $0 == "\n" }.map(String.init))
            let missing = wanted.filter { !enabled.contains($0) }
            if missing.isEmpty { continue }
            do { try ancestor.write("cgroup.subtree_control", missing.map { "+\($0)" }.joined(separator: " ")) } catch {
                // All or nothing is the kernel's rule for one write: one by one, only what a limit needs may fail.
                for controller in missing {
                    do { try ancestor.write("cgroup.subtree_control", "+\(controller)") } catch {
                        if resources.needed.contains(controller) { throw error }
                    }
                }
            }
        }
    }
}

extension CgroupResources {
    /// The controllers that the limits set here need, by their v2 names.
    public var needed: Set<String> {
        var names: Set<String> = []
        if memory != Memory() { names.insert("memory") }
        if cpu.cpus != nil || cpu.mems != nil { names.insert("cpuset") }
        var time = cpu
        time.cpus = nil
        time.mems = nil
        if time != CPU() { names.insert("cpu") }
        if pidsLimit != nil { names.insert("pids") }
        if blockIO != BlockIO() { names.insert("io") }
        if !hugepages.isEmpty { names.insert("hugetlb") }
        if !rdma.isEmpty { names.insert("rdma") }
        for file in unified.keys { if let dot = file.firstIndex(of: ".") { names.insert(String(file[..<dot])) } }
        names.remove("cgroup")
        return names
    }
}
