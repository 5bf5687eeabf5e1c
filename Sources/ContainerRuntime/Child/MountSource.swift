internal import CLinux
internal import Glibc
internal import Linux

/// Sources of bind mounts, each opened when its turn comes: it may lie in what was mounted before.
enum MountSource {
    /// A detached copy of the mount at `path`, which is that of the plan's mount with that number. What only the host's root
    /// can reach or map, the runtime opens, in this process's mount namespace.
    static func open(_ path: String, _ index: Int, _ plan: ContainerPlan, _ sync: borrowing SyncChannel) throws -> OwnedFD {
        let mount = plan.mounts[index]
        if mount.idMap != nil { return try ask(index, sync) }
        do throws(SystemError) { return try Mounts.clone(path, recursive: mount.options.isRecursive) } catch {
            // The container's root is nobody on the host, and an ordinary user's runtime can do no more than it.
            guard error.code == EACCES, plan.namespaces.hasUser, !plan.namespaces.isRootless else { throw error }
            return try ask(index, sync)
        }
    }

    private static func ask(_ index: Int, _ sync: borrowing SyncChannel) throws -> OwnedFD {
        let namespace = try OwnedFD.open(NamespaceKind.mnt.ownPath)
        try sync.send(.source, "\(index)", descriptor: namespace.raw)
        guard var event = try sync.receive() else { throw SystemError("wait for mount source: the runtime has gone", code: EPIPE) }
        if event.kind == .failed { throw event.failure }
        guard event.kind == .resume, let tree = event.descriptor.take() else { throw SystemError("wait for mount source", code: EPROTO) }
        return tree
    }
}
