extension Spec.Namespace {
    /// The whole set for a container of its own, without a user namespace.
    public static let allButUser: [Spec.Namespace] = [
        .init(.pid), .init(.network), .init(.ipc), .init(.uts), .init(.mount), .init(.cgroup),
    ]
}

extension Spec.LinuxConfig {
    /// The entry of a kind, if the container has one.
    public func namespace(_ type: Spec.NamespaceType) -> Spec.Namespace? { namespaces.first { $0.type == type } }
}
