internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// Detached mounts that only the runtime can make, with the host's rights and before the container has its namespaces:
/// the id-mapped ones (mount_setattr(2) wants CAP_SYS_ADMIN over the filesystem). The container's first process inherits
/// the descriptors and attaches them. A source below the root filesystem waits until what is mounted there is mounted
/// (MountSource, `Launcher.openSource`).
struct PreparedMounts {
    /// By the place in the plan's list of mounts.
    private(set) var trees: [Int: Int32] = [:]

    /// Makes what the plan needs; nothing, mostly. The caller closes them after the clone.
    init(_ plan: ContainerPlan) throws {
        var namespaces: [PlannedMount.IDMap: Int32] = [:]
        defer { for number in namespaces.values { _ = close(number) } }
        do {
            for (index, mount) in plan.mounts.enumerated() {
                guard let map = mount.idMap, case .bind(let source) = mount.kind, !source.hasPrefix("\(plan.rootPath)/") else { continue }
                let namespace = try namespaces[map] ?? Self.namespace(map, plan).take()
                namespaces[map] = namespace
                let tree = try Mounts.clone(source, recursive: mount.options.isRecursive)
                try Mounts.mapIDs(
                    tree, by: namespace, name: "\(source) on \(mount.destination)", recursive: mount.options.idMap == .tree)
                trees[index] = tree.take()
            }
        } catch {
            closeAll()
            throw error
        }
    }

    func closeAll() { for number in trees.values { _ = close(number) } }

    /// A user namespace with those mappings.
    static func namespace(_ map: PlannedMount.IDMap, _ plan: ContainerPlan) throws -> OwnedFD {
        switch map {
        case .own(let users, let groups): return try UserNamespace.make(users: users, groups: groups)
        case .container:
            if let path = plan.namespaces.userPath { return try OwnedFD.open(path) }
            return try UserNamespace.make(users: plan.spec.linux.uidMappings.mapText, groups: plan.spec.linux.gidMappings.mapText)
        }
    }
}
