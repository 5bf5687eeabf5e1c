internal import CLinux
internal import Glibc

/// Mounting by descriptor: a path is resolved once, inside the root filesystem, and the mount lands on what was found.
public enum Mounts {
    /// mount(2) of a filesystem on an open target. Goes through /proc/self/fd, so the caller's own procfs must be there.
    public static func mount(
        type: String, source: String, on target: borrowing OwnedFD, name: String, flags: UInt = 0, data: String = ""
    ) throws(SystemError) {
        try retrying("mount \(type) on", name) { clp_mount(source, target.procPath, type, flags, data.isEmpty ? nil : data) }
    }

    /// Changes the flags of the mount that an open file stands on (MS_REMOUNT).
    public static func remount(_ target: borrowing OwnedFD, name: String, flags: UInt, data: String = "") throws(SystemError) {
        try retrying("remount", name) { clp_mount(nil, target.procPath, nil, flags | UInt(CLinux.MS_REMOUNT), data.isEmpty ? nil : data) }
    }

    /// Sets the propagation of the mount at a path: MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, with MS_REC for all below.
    public static func setPropagation(_ path: String, _ flags: UInt) throws(SystemError) {
        try retrying("set mount propagation of", path) { clp_mount(nil, path, nil, flags, nil) }
    }

    /// A detached copy of the mount at a path (open_tree(2), Linux 5.2).
    public static func clone(_ path: String, recursive: Bool = false) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try retrying("open mount source", path) { clp_open_tree(AT_FDCWD, path, treeFlags(recursive, empty: false)) })
    }

    /// A detached copy of the mount that an open file stands on, rooted at that file.
    public static func clone(_ file: borrowing OwnedFD, name: String, recursive: Bool = false) throws(SystemError) -> OwnedFD {
        OwnedFD(owning: try retrying("open mount source", name) { clp_open_tree(file.raw, "", treeFlags(recursive, empty: true)) })
    }

    private static func treeFlags(_ recursive: Bool, empty: Bool) -> UInt32 {
        UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | (recursive ? UInt32(AT_RECURSIVE) : 0) | (empty ? UInt32(AT_EMPTY_PATH) : 0)
    }

    /// Attaches a detached mount on an open target (move_mount(2)); the descriptor then stands for the attached mount.
    public static func attach(_ tree: borrowing OwnedFD, to target: borrowing OwnedFD, name: String) throws(SystemError) {
        try retrying("mount on", name) { clp_move_mount(tree.raw, target.raw) }
    }

    /// Sets and clears MOUNT_ATTR_… of the mount that a descriptor is the root of (mount_setattr(2), Linux 5.12).
    public static func setAttributes(
        _ tree: borrowing OwnedFD, name: String, set: UInt64, clear: UInt64 = 0, propagation: UInt64 = 0, recursive: Bool = false
    ) throws(SystemError) {
        let flags = UInt32(AT_EMPTY_PATH) | (recursive ? UInt32(AT_RECURSIVE) : 0)
        try retrying("set mount attributes of", name) { clp_mount_setattr(tree.raw, "", flags, set, clear, propagation) }
    }

    /// Gives a bind mount, by its root, the flags that its options name.
    public static func setAttributes(_ tree: borrowing OwnedFD, name: String, of options: MountOptions) throws(SystemError) {
        let (set, clear) = options.attributes
        if set == 0 && clear == 0 { return }
        do throws(SystemError) { try setAttributes(tree, name: name, set: set, clear: clear) } catch {
            var status = statfs()
            guard error.code == EPERM, fstatfs(tree.raw, &status) == 0, let locked = options.attributes(keeping: Int(status.f_flags)) else {
                throw error
            }
            try setAttributes(tree, name: name, set: locked.set, clear: locked.clear)
        }
    }

    /// Maps the owners of a detached mount by a user namespace (MOUNT_ATTR_IDMAP, Linux 5.12): what belongs to an id inside
    /// the namespace belongs to the id outside then.
    public static func mapIDs(_ tree: borrowing OwnedFD, by namespace: Int32, name: String, recursive: Bool) throws(SystemError) {
        let flags = UInt32(AT_EMPTY_PATH) | (recursive ? UInt32(AT_RECURSIVE) : 0)
        try retrying("map owners of", name) { clp_mount_map_ids(tree.raw, flags, namespace) }
    }

    /// A new filesystem that hangs nowhere yet, with what mount(2) would take. Unlike there, the mount is known by its
    /// descriptor from the beginning: what is done to it is done to it, wherever names lead meanwhile.
    public static func make(
        type: String, source: String, name: String, flags: UInt = 0, data: String = ""
    ) throws(SystemError) -> OwnedFD {
        let operation = "mount \(type) on"
        let context = OwnedFD(owning: try retrying(operation, name) { clp_overlay_fsopen(type) })
        try retrying(operation, name) { clp_overlay_set_string(context.raw, "source", source) }
        let words: [(Int32, String)] = [
            (CLinux.MS_RDONLY, "ro"), (CLinux.MS_SYNCHRONOUS, "sync"), (CLinux.MS_DIRSYNC, "dirsync"), (CLinux.MS_MANDLOCK, "mand"),
            (CLinux.MS_LAZYTIME, "lazytime"),
        ].map { (Int32($0.0), $0.1) }
        for (flag, word) in words where flags & UInt(flag) != 0 {
            try retrying("\(operation) \(name) with", word) { clp_overlay_set_flag(context.raw, word) }
        }
        for option in MountOptions.split(data) {
            let parts = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            try retrying("\(operation) \(name) with", option) {
                parts.count > 1
                    ? clp_overlay_set_string(context.raw, parts[0], parts[1]) : clp_overlay_set_flag(context.raw, parts[0])
            }
        }
        try retrying(operation, name) { clp_overlay_create(context.raw) }
        var options = MountOptions()
        options.flags = flags
        let attributes = UInt32(truncatingIfNeeded: options.attributes.set)
        return OwnedFD(owning: try retrying(operation, name) { clp_fsmount(context.raw, attributes) })
    }

    /// A new, empty, read-only tmpfs that hangs nowhere yet.
    ///
    /// `context` is its SELinux label.
    public static func emptyTmpfs(context label: String? = nil) throws(SystemError) -> OwnedFD {
        let context = OwnedFD(owning: try retrying("create tmpfs") { clp_overlay_fsopen("tmpfs") })
        try retrying("create tmpfs") { clp_overlay_set_string(context.raw, "source", "tmpfs") }
        try retrying("create tmpfs") { clp_overlay_set_string(context.raw, "nr_inodes", "1") }
        if let label { try retrying("create tmpfs with", "context=\(label)") { clp_overlay_set_string(context.raw, "context", label) } }
        try retrying("create tmpfs") { clp_overlay_create(context.raw) }
        let attributes = UInt32(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
        return OwnedFD(owning: try retrying("create tmpfs") { clp_fsmount(context.raw, attributes) })
    }

    /// The filesystem's magic number (statfs(2)).
    public static func filesystemType(_ file: borrowing OwnedFD) throws(SystemError) -> Int {
        var type = 0
        var flags = 0
        try retrying("stat filesystem") { clp_fstatfs(file.raw, &type, &flags) }
        return type
    }

    /// Whether an open file is on a real procfs; everything written below /proc asks this first, because a fake one
    /// would take the write for itself (CVE-2019-16884, CVE-2025-52881).
    public static func isProcfs(_ file: borrowing OwnedFD) -> Bool { (try? filesystemType(file)) == Int(PROC_SUPER_MAGIC) }

    /// Makes the open directory the root of the mount namespace and takes the old root away (pivot_root(2)).
    /// `isShared` says that mounts of the old root may still be shared with another mount namespace.
    public static func pivot(to root: borrowing OwnedFD, isShared: Bool = false) throws(SystemError) {
        let old = isShared ? try OwnedFD.open("/", O_PATH | O_DIRECTORY) : nil
        try retrying("change directory to", "new root") { fchdir(root.raw) }
        // Both on one place: no directory for the old root is needed; it lies on top of the new one until unmounted.
        try retrying("pivot_root") { clp_pivot_root(".", ".") }
        if let old {
            // For mount(2) "." is the new root still, whose own mounts are to stay shared.
            try retrying("change directory to", "old root") { fchdir(old.raw) }
            // The unmounting would be the other namespace's too: of everything the host has mounted.
            try setPropagation(".", UInt(CLinux.MS_SLAVE | CLinux.MS_REC))
        }
        try retrying("unmount", "old root") { clp_umount(".", Int32(MNT_DETACH)) }
        try retrying("change directory to", "/") { chdir("/") }
    }

    /// The way without pivot_root, for a root on the initial ramdisk: the new root is moved over `/`, then chroot(2).
    public static func moveRoot(to root: borrowing OwnedFD) throws(SystemError) {
        try retrying("change directory to", "new root") { fchdir(root.raw) }
        try hideWholeKernelFilesystems()
        try retrying("move root mount") { clp_mount(".", "/", nil, UInt(CLinux.MS_MOVE), nil) }
        try changeRoot(to: root)
    }

    /// chroot(2): the mount namespace stays as it is. No wall against a process with CAP_SYS_CHROOT.
    public static func changeRoot(to root: borrowing OwnedFD) throws(SystemError) {
        try retrying("change directory to", "new root") { fchdir(root.raw) }
        try retrying("chroot") { chroot(".") }
        try retrying("change directory to", "/") { chdir("/") }
    }
}
