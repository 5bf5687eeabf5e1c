internal import CLinux
internal import Glibc
internal import Linux

/// What a container without a mount namespace leaves on the host when it cannot be made: its root filesystem, mounted on
/// its own place, with all its mounts below.
struct HostMounts {
    private let path: String
    /// The mount that was there before.
    private let before: String

    /// nil for a container that has mounts of its own.
    init?(_ plan: ContainerPlan) throws {
        if plan.namespaces.hasMount { return nil }
        path = plan.rootPath
        before = try Self.mount(at: path)
    }

    /// Takes it away again, if it is there.
    func detach() { if let now = try? Self.mount(at: path), now != before { _ = clp_umount(path, Int32(MNT_DETACH)) } }

    /// The number of the mount that a path leads to (proc_pid_fdinfo(5)).
    private static func mount(at path: String) throws(SystemError) -> String {
        let place = try OwnedFD.open(path, O_PATH | O_DIRECTORY)
        let line = try Files.readText("/proc/self/fdinfo/\(place.raw)").split(separator: "\n").first { $0.hasPrefix("mnt_id:") }
        return line.map(String.init) ?? ""
    }
}
