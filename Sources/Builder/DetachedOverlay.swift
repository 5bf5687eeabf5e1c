internal import CLinux
public import Linux

/// An overlay file system that no mount table shows: made with fsopen(2) and fsmount(2), reached through a
/// descriptor, gone when the descriptor is closed, even when the process is killed. The file steps of a build (COPY, ADD,
/// WORKDIR) work in one, so that symbolic links across layers resolve as a container would see them.
public enum DetachedOverlay {
    /// Mounts `layers` (directories, top first; none for an empty root) read-only below `upper` and returns the root directory.
    ///
    /// `work` must be an empty directory on the file system of `upper`. Needs CAP_SYS_ADMIN and Linux 6.7 (`lowerdir+`).
    /// The mount is volatile: nothing is flushed when it goes away. Whoever keeps `upper` makes it durable.
    /// Needs `redirect_dir` and `metacopy` off, so that `upper` by itself is a layer in OCI's sense.
    public static func open(layers: [String], upper: String, work: String) throws(SystemError) -> OwnedFD {
        let context = OwnedFD(owning: try retrying("open file system context", "overlay") { clp_overlay_fsopen("overlay") })
        // overlayfs wants one lower directory at least; an empty one does for FROM scratch.
        var lower = layers
        if lower.isEmpty {
            let empty = work + ".empty"
            try Files.makeDirectories(empty)
            lower = [empty]
        }
        // A string value of fsconfig(2) is limited to 255 bytes; the kernel's path of an open directory never is longer.
        for layer in lower { try set(context, "lowerdir+", directory: layer) }
        try set(context, "upperdir", directory: upper)
        try set(context, "workdir", directory: work)
        for (key, value) in [("redirect_dir", "off"), ("metacopy", "off"), ("index", "off"), ("xino", "off")] {
            try set(context, key, value)
        }
        _ = try retrying("set overlay option", "volatile") { clp_overlay_set_flag(context.raw, "volatile") }
        _ = try retrying("create overlay on", upper) { clp_overlay_create(context.raw) }
        return OwnedFD(owning: try retrying("mount overlay on", upper) { clp_overlay_fsmount(context.raw) })
    }

    /// Calls `body` with the root directory of the merged file system and takes the overlay away again.
    public static func withRootfs<Result>(
        layers: [String], upper: String, work: String, _ body: (borrowing OwnedFD) throws -> Result
    ) throws -> Result {
        let mount = try open(layers: layers, upper: upper, work: work)
        // fsmount's descriptor is O_PATH: open the root itself for reading, as callers list it.
        let root = try mount.openAt(".", O_RDONLY | O_DIRECTORY)
        return try body(root)
    }

    private static func set(_ context: borrowing OwnedFD, _ key: String, directory: String) throws(SystemError) {
        let opened = try OwnedFD.open(directory, O_PATH | O_DIRECTORY)
        try set(context, key, opened.procPath)
    }

    private static func set(_ context: borrowing OwnedFD, _ key: String, _ value: String) throws(SystemError) {
        let number = context.raw
        _ = try retrying("set overlay option \(key)", value) { clp_overlay_set_string(number, key, value) }
    }
}
