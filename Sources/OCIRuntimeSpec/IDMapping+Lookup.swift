extension [Spec.IDMapping] {
    /// As /proc/<pid>/uid_map takes it (user_namespaces(7)).
    public var mapText: String { map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined() }

    /// The host's number for one of the container's; nil when it has none.
    public func hostID(of id: UInt32) -> UInt32? {
        for mapping in self where id >= mapping.containerID && id - mapping.containerID < mapping.size {
            return mapping.hostID + (id - mapping.containerID)
        }
        return nil
    }
}
