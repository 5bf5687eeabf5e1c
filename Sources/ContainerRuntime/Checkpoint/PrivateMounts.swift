internal import CLinux
internal import Glibc
internal import Linux

/// A mount namespace of the runtime's own for the time of a restore, with the container's root as a mount in it, which
/// criu asks for. Nothing of it shows on the host, and a killed runtime leaves nothing behind.
///
/// criu mounts in directories that it is given as descriptors of this process: those must be of the same namespace, so it
/// is not enough that criu alone has one.
struct PrivateMounts: ~Copyable {
    private let outside: OwnedFD
    private let inside: OwnedFD
    /// Joining a mount namespace moves the caller to its root.
    private let workingDirectory: OwnedFD

    /// Moves the calling process, which must be single-threaded, inside.
    init(root: String) throws {
        let outside = try OwnedFD.open(NamespaceKind.mnt.ownPath)
        let workingDirectory = try OwnedFD.open(".", O_PATH | O_DIRECTORY)
        try retrying("create mount namespace") { clp_unshare(NamespaceKind.mnt.flag) }
        do {
            // The mounts are ours alone, and would still go to those of the host that are shared.
            try Mounts.setPropagation("/", UInt(CLinux.MS_SLAVE | CLinux.MS_REC))
            let place = try OwnedFD.open(root, O_PATH | O_DIRECTORY)
            let tree = try Mounts.clone(place, name: root, recursive: true)
            try Mounts.attach(tree, to: place, name: root)
            inside = try OwnedFD.open(NamespaceKind.mnt.ownPath)
        } catch {
            _ = clp_setns(outside.raw, NamespaceKind.mnt.flag)
            _ = fchdir(workingDirectory.raw)
            throw error
        }
        self.outside = outside
        self.workingDirectory = workingDirectory
    }

    /// Back to where the caller came from.
    func leave() throws {
        try retrying("join mount namespace") { clp_setns(outside.raw, NamespaceKind.mnt.flag) }
        try retrying("change directory") { fchdir(workingDirectory.raw) }
    }

    /// Runs `body` as if the caller had never left.
    func outside(_ body: () throws -> Void) throws {
        try leave()
        defer { _ = clp_setns(inside.raw, NamespaceKind.mnt.flag) }
        try body()
    }
}
