internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// Makes the mount of a container's root filesystem from its layers.
enum OverlayMount {
    /// A detached mount: it is in no mount namespace, so nobody sees it and it goes with its last user.
    ///
    /// One layer without a writable one is that layer itself, read-only. Needs `lowerdir+` (Linux 6.7) for the detached
    /// way; on an older kernel the mount is made by mount(2) in a private namespace of the calling process.
    static func make(_ overlay: Overlay) throws(ShimFailure) -> OwnedFD {
        if let work = overlay.work { forgetVolatileMount(work) }
        do {
            if let root = overlay.mappedRoot { return try makeMapped(overlay, root) }
            return try makePlain(overlay)
        } catch let failure as ShimFailure {
            throw failure
        } catch {
            throw ShimFailure(.rootfs, "\(error)")
        }
    }

    /// From layers as they are.
    /// - Parameter isPrivate: the calling process has a mount namespace of its own already, and the layers are mounted there.
    static func makePlain(_ overlay: Overlay, isPrivate: Bool = false) throws -> OwnedFD {
        if overlay.upper == nil && overlay.layers.count == 1 { return try bind(overlay.layers[0]) }
        if let tree = try makeDetached(overlay) { return tree }
        if !isPrivate { try PrivateMounts.enter() }
        return try makeClassic(overlay)
    }

    /// overlayfs refuses a work directory that a volatile mount has left (overlayfs.rst, "Volatile mount"). The data that
    /// was not synced then is lost only after a crash of the machine, which a writable layer of that kind does not survive anyway.
    private static func forgetVolatileMount(_ work: String) {
        do { try Files.removeTree("\(work)/work/incompat/volatile") } catch { ShimLog.write("\(error)") }
    }

    private static func bind(_ layer: String) throws(SystemError) -> OwnedFD {
        let tree = try Mounts.clone(layer)
        try Mounts.setAttributes(tree, name: layer, set: UInt64(MOUNT_ATTR_RDONLY))
        return tree
    }

    /// Nil when the kernel does not know `lowerdir+`.
    private static func makeDetached(_ overlay: Overlay) throws -> OwnedFD? {
        let context = OwnedFD(owning: try retrying("create", "overlay") { clp_overlay_fsopen("overlay") })
        // What df and mount show in the container.
        try set(context, "source", "overlay")
        for (index, layer) in overlay.layers.enumerated() {
            if clp_overlay_set_string(context.raw, "lowerdir+", layer) == 0 { continue }
            let code = errno
            if code == EINVAL && index == 0 && Files.isDirectory(layer) { return nil }
            throw failure("mount layer \(layer)", code, context)
        }
        if let upper = overlay.upper, let work = overlay.work {
            try set(context, "upperdir", upper)
            try set(context, "workdir", work)
        }
        // As Docker does: no index directory, so that a copy of the writable layer stays usable. Unknown to kernels without it.
        _ = clp_overlay_set_string(context.raw, "index", "off")
        if overlay.isVolatile && clp_overlay_set_flag(context.raw, "volatile") != 0 {
            throw failure("mount overlay with volatile", errno, context)
        }
        if clp_overlay_create(context.raw) != 0 {
            let code = errno
            if code == EINVAL && takesAnyOption() { return nil }
            throw failure("mount overlay of \(overlay.layers.count) layers", code, context)
        }
        let tree = clp_overlay_fsmount(context.raw)
        if tree < 0 { throw failure("mount overlay", errno, context) }
        return OwnedFD(owning: tree)
    }

    /// Before Linux 6.5 overlayfs hears of its options only when it is made: until then every name is right.
    private static func takesAnyOption() -> Bool {
        guard let context = try? OwnedFD(owning: retrying("create", "overlay") { clp_overlay_fsopen("overlay") }) else { return false }
        return clp_overlay_set_string(context.raw, "no such option", "") == 0
    }

    private static func set(_ context: borrowing OwnedFD, _ key: String, _ path: String) throws(ShimFailure) {
        if clp_overlay_set_string(context.raw, key, path) != 0 { throw failure("mount overlay with \(key) \(path)", errno, context) }
    }

    /// With what the filesystem itself says about the failure: the context gives it to a reader (fsopen(2)).
    private static func failure(_ operation: String, _ code: Int32, _ context: borrowing OwnedFD) -> ShimFailure {
        var text = [UInt8](repeating: 0, count: 1024)
        let message: String
        if let count = try? context.read(into: &text), count > 2 {
            message = String(decoding: text[2..<count].prefix { $0 != 10 }, as: UTF8.self)
        } else {
            message = SystemError.text(of: code)
        }
        return ShimFailure(.rootfs, "\(operation): \(message)")
    }

    /// mount(2), in a mount namespace of the calling process. Its options are limited to a page, and know no commas or colons in
    /// paths: so each directory is named by its descriptor. They are opened here, as overlayfs takes none from another namespace.
    static func makeClassic(_ overlay: Overlay) throws -> OwnedFD {
        var opened: [Int32] = []
        defer { for number in opened { _ = close(number) } }
        func name(_ path: String) throws -> String {
            opened.append(try OwnedFD.open(path, O_PATH | O_DIRECTORY).take())
            return "/proc/self/fd/\(opened[opened.count - 1])"
        }
        var options = "lowerdir=" + (try overlay.layers.map(name).joined(separator: ":"))
        if let upper = overlay.upper, let work = overlay.work { options += ",upperdir=\(try name(upper)),workdir=\(try name(work))" }
        options += ",index=off" + (overlay.isVolatile ? ",volatile" : "")
        guard options.utf8.count < 4095 else {
            throw ShimFailure(.rootfs, "mount overlay: too many layers for this kernel (\(overlay.layers.count))")
        }
        // Any directory will do as the place: the mount is copied off it at once.
        let place = overlay.upper ?? overlay.layers[0]
        try retrying("mount overlay on", place) { clp_mount("overlay", place, "overlay", 0, options) }
        let tree = try Mounts.clone(place)
        try retrying("unmount", place) { clp_umount(place, Int32(MNT_DETACH)) }
        return tree
    }
}

/// A mount namespace of the shim's own.
enum PrivateMounts {
    /// Enters a new one, in which mounts of the host still arrive and from which none goes out.
    static func enter() throws(SystemError) {
        try retrying("create mount namespace") { clp_unshare(CLONE_NEWNS) }
        try Mounts.setPropagation("/", UInt(CLinux.MS_REC) | UInt(CLinux.MS_SLAVE))
    }
}
