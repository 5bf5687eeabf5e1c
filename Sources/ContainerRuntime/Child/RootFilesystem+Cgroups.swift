internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

extension RootFilesystem {
    /// Mounts the control groups as the host has them: one cgroup2, or a tmpfs with each v1 hierarchy below it.
    /// With a cgroup namespace the kernel shows the container's own subtree. Without one v1 hierarchies show it as well, and
    /// cgroup2 the whole, as runc and crun have it: what /proc/self/cgroup says is found there.
    func mountCgroups(_ mount: PlannedMount, _ plan: ContainerPlan) throws {
        let target = try root.makeDirectoriesInRoot(mount.destination)
        if plan.cgroupLayout.version == .v2, let unified = plan.cgroupLayout.hierarchies.first {
            return try mountHierarchy(unified, on: target, mount, plan)
        }
        let flags = mount.options.flags & ~UInt(CLinux.MS_RDONLY)
        try Mounts.mount(
            type: "tmpfs", source: "tmpfs", on: target, name: mount.destination, flags: flags,
            data: SecurityLabels.withContext("mode=755", plan.spec.linux.mountLabel))
        let base = try root.openInRoot(mount.destination, O_PATH | O_DIRECTORY)
        // As runc and systemd have it: v1 hierarchies alone, a hybrid host's cgroup2 stays outside.
        for hierarchy in plan.cgroupLayout.hierarchies where !hierarchy.isUnified {
            let name = String(hierarchy.mountPoint.split(separator: "/").last ?? "")
            if mkdirat(base.raw, name, 0o755) != 0 && errno != EEXIST {
                throw SystemError("create directory", "\(mount.destination)/\(name)")
            }
            let place = try base.openAt(name, O_PATH | O_DIRECTORY | O_NOFOLLOW)
            try mountHierarchy(hierarchy, on: place, mount, plan)
            for controller in hierarchy.controllers where hierarchy.controllers.count > 1 && controller != name {
                if symlinkat(name, base.raw, controller) != 0 && errno != EEXIST { throw SystemError("create link", controller) }
            }
        }
        if mount.options.isReadOnly { try Mounts.setAttributes(base, name: mount.destination, set: UInt64(MOUNT_ATTR_RDONLY)) }
    }

    private func mountHierarchy(
        _ hierarchy: CgroupLayout.Hierarchy, on target: borrowing OwnedFD, _ mount: PlannedMount, _ plan: ContainerPlan
    ) throws {
        let name = "\(mount.destination) (\(hierarchy.controllers.joined(separator: ",")))"
        let isOwn = plan.namespaces.isNewCgroup || plan.namespaces.joined.contains(where: { $0.kind == .cgroup })
        if isOwn {
            let data = hierarchy.isUnified ? mount.options.data : hierarchy.controllers.joined(separator: ",")
            let type = hierarchy.isUnified ? "cgroup2" : "cgroup"
            do throws(SystemError) {
                return try Mounts.mount(type: type, source: "cgroup", on: target, name: name, flags: mount.options.flags, data: data)
            } catch {
                // Of a cgroup namespace that another user namespace owns, or over the host's own: bound there, as without one.
                if ![EPERM, EBUSY].contains(error.code) || !hierarchy.isUnified { throw error }
            }
        }
        // Bound also where it is the whole: a new mount of cgroup2 would set the options of the host's anew.
        let isWhole = !isOwn && plan.cgroupLayout.version == .v2
        let tree = try Mounts.clone(isWhole ? hierarchy.mountPoint : hierarchy.mountPoint + plan.cgroupPath)
        try Mounts.setAttributes(tree, name: name, of: mount.options)
        try Mounts.attach(tree, to: target, name: name)
    }
}
