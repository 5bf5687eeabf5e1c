internal import OCIRuntimeSpec

extension SpecValidation {
    /// A process can only become an id that its new user namespace has, and the set-up is done as the namespace's root:
    /// the kernel would answer no more than "invalid argument".
    static func mappedUsers(_ spec: Spec) throws(SpecError) {
        guard let namespace = spec.linux.namespace(.user), namespace.path == nil, let user = spec.process?.user else { return }
        let (uids, gids) = (spec.linux.uidMappings, spec.linux.gidMappings)
        for (field, mappings) in [("linux.uidMappings", uids), ("linux.gidMappings", gids)] where !contains(mappings, 0) {
            throw SpecError.invalid(field, "id 0 of the container is not mapped, which sets the container up")
        }
        if !contains(uids, user.uid) { throw SpecError.invalid("process.user.uid", "\(user.uid) is not in linux.uidMappings") }
        if !contains(gids, user.gid) { throw SpecError.invalid("process.user.gid", "\(user.gid) is not in linux.gidMappings") }
        for (index, gid) in user.additionalGids.enumerated() where !contains(gids, gid) {
            throw SpecError.invalid("process.user.additionalGids[\(index)]", "\(gid) is not in linux.gidMappings")
        }
    }

    /// Whether an id of the container is in one of the ranges.
    private static func contains(_ mappings: [Spec.IDMapping], _ id: UInt32) -> Bool {
        mappings.contains { id >= $0.containerID && id - $0.containerID < $0.size }
    }
}
