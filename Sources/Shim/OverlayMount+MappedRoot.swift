internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

extension OverlayMount {
    /// An overlay for a container in a user namespace. On the disk all files have the container's own ids, so that layers are shared
    /// and nothing is ever changed for a mapping; each layer is mounted with its owners mapped (MOUNT_ATTR_IDMAP; overlayfs takes
    /// such layers since Linux 5.19), the writable one too.
    ///
    /// Afterwards the calling process has a mount namespace of its own.
    static func makeMapped(_ overlay: Overlay, _ root: MappedRoot) throws -> OwnedFD {
        let namespace = try OwnedFD.open(root.userNamespace)
        if overlay.upper == nil && overlay.layers.count == 1 {
            let tree = try Mounts.clone(overlay.layers[0])
            try Mounts.mapIDs(tree, by: namespace.raw, name: overlay.layers[0], recursive: false)
            try Mounts.setAttributes(tree, name: overlay.layers[0], set: UInt64(MOUNT_ATTR_RDONLY))
            return tree
        }
        try PrivateMounts.enter()
        var mapped = MappedDirectories(place: overlay.upper ?? overlay.layers[0], namespace: namespace)
        var plain = Overlay(layers: [], upper: nil, work: nil, isVolatile: overlay.isVolatile)
        for layer in overlay.layers { plain.layers.append(try mapped.add(layer)) }
        if let upper = overlay.upper, let work = overlay.work {
            // overlayfs wants the two on one mount.
            let parent = Files.parent(of: upper)
            guard parent == Files.parent(of: work) else {
                throw ShimFailure(.rootfs, "mount overlay: \(upper) and \(work) are not in one directory")
            }
            let directory = try mapped.add(parent)
            plain.upper = directory + upper.dropFirst(parent.utf8.count)
            plain.work = directory + work.dropFirst(parent.utf8.count)
        }
        let tree = try asRoot(root) { try makePlain(plain, isPrivate: true) }
        try mapped.unmount()
        return tree
    }

    /// Calls `body` as the container's root, in name only: with all capabilities. What is made has its owner; and overlayfs works in
    /// its layers with the ids of whoever mounted it, of which the host's root has none in a mapped layer, so that every removal
    /// would fail with EOVERFLOW.
    ///
    /// - Parameter root: nil for a container with the host's ids; then `body` is simply called.
    static func asRoot<T: ~Copyable>(_ root: MappedRoot?, _ body: () throws -> T) throws -> T {
        guard let root else { return try body() }
        var (effective, permitted, inheritable): (UInt64, UInt64, UInt64) = (0, 0, 0)
        try retrying("read capabilities") { clp_capget(&effective, &permitted, &inheritable) }
        _ = clp_setfsgid(root.gid)
        _ = clp_setfsuid(root.uid)
        defer {
            _ = clp_setfsuid(geteuid())
            _ = clp_setfsgid(getegid())
        }
        // Leaving user 0 has taken those that overrule file permissions.
        try retrying("set capabilities") { clp_capset(effective, permitted, inheritable) }
        return try body()
    }
}

/// Directories mounted once more with their owners mapped, all on one place in the calling process's own mount namespace. overlayfs
/// takes layers only from there (detached mounts since Linux 6.15); they are reached by their descriptors.
private struct MappedDirectories: ~Copyable {
    private let place: String
    private let namespace: OwnedFD
    private var trees: [Int32] = []

    init(place: String, namespace: consuming OwnedFD) {
        self.place = place
        self.namespace = namespace
    }

    /// A path under which the directory is found with its owners mapped, until the end of this value.
    mutating func add(_ path: String) throws -> String {
        let tree = try Mounts.clone(path)
        try Mounts.mapIDs(tree, by: namespace.raw, name: path, recursive: false)
        let number = clp_fcntl(tree.raw, F_DUPFD_CLOEXEC, 3)
        if number < 0 { throw SystemError("duplicate descriptor") }
        trees.append(number)
        try Mounts.attach(tree, to: try OwnedFD.open(place, O_PATH | O_DIRECTORY), name: place)
        return "/proc/self/fd/\(number)"
    }

    /// What has been made of them keeps what it needs.
    mutating func unmount() throws(SystemError) {
        for _ in trees { try retrying("unmount", place) { clp_umount(place, Int32(MNT_DETACH)) } }
    }

    deinit { for tree in trees { _ = close(tree) } }
}
