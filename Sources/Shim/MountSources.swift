internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// Makes the sources of mounts that no path of the host has: images, and parts of volumes and images.
enum MountSources {
    /// Afterwards the calling process has a mount namespace of its own, when there are any. Out of sight of the host, they go with
    /// the last process of that namespace or of the container's.
    static func make(_ sources: [MountSource]) throws(ShimFailure) {
        guard !sources.isEmpty else { return }
        do throws(SystemError) { try PrivateMounts.enter() } catch { throw ShimFailure(.rootfs, "\(error)") }
        for source in sources {
            do { try make(source) } catch let failure as ShimFailure { throw failure } catch { throw ShimFailure(.rootfs, "\(error)") }
        }
    }

    /// Mounts sources inside the root filesystem of a container that does not run, itself mounted at `place`, in a mount namespace of
    /// the calling process's own. As Docker makes the places that are not there. Answers the root, open for reading; the process
    /// is in the user namespace of `root` then.
    static func mount(_ sources: [MountSource], in tree: consuming OwnedFD, at place: String, as root: MappedRoot?) throws -> OwnedFD {
        try PrivateMounts.enter()
        let namespace = try root.map { (root) throws(SystemError) in try OwnedFD.open(root.userNamespace).take() }
        try Mounts.attach(tree, to: try OwnedFD.open(place, O_PATH | O_DIRECTORY), name: place)
        let opened = try OwnedFD.open(place, O_RDONLY | O_DIRECTORY)
        for source in sources {
            let tree = try detached(source, beside: place)
            if source.isReadOnly {
                try Mounts.setAttributes(tree, name: source.place, set: UInt64(MOUNT_ATTR_RDONLY), recursive: source.isRecursive)
            }
            let isDirectory = try tree.status().st_mode & S_IFMT == S_IFDIR
            // Files of the root are the container's: the host's root has no id there.
            let target = try OverlayMount.asRoot(root) {
                isDirectory ? try opened.makeDirectoriesInRoot(source.place) : try opened.makeFileInRoot(source.place)
            }
            try Mounts.attach(tree, to: target, name: source.place)
        }
        if let namespace { try UserNamespace.join(OwnedFD(owning: namespace), name: "of the container") }
        return opened
    }

    /// A mount that is nowhere yet. `scratch` is a directory that may be covered for a moment.
    private static func detached(_ source: MountSource, beside scratch: String) throws -> OwnedFD {
        switch source.origin {
        case .directory(let path):
            // What is missing is no file of the container's.
            guard Files.exists(path) else { throw ShimFailure(.rootfs, "mount \(path) on \(source.place): no such file or directory") }
            let whole = try OwnedFD.open(path, O_PATH)
            let wanted = source.subpath.isEmpty ? whole : try whole.openInRoot(source.subpath, O_PATH)
            return try Mounts.clone(wanted, name: path, recursive: source.isRecursive)
        case .layers(let layers, let root):
            let tree = try OverlayMount.make(Overlay(layers: layers, upper: nil, work: nil, mappedRoot: root))
            if source.subpath.isEmpty { return tree }
            // A detached mount cannot be copied in part: it has to be somewhere first.
            try Mounts.attach(tree, to: try OwnedFD.open(scratch, O_PATH | O_DIRECTORY), name: scratch)
            defer { _ = clp_umount(scratch, Int32(MNT_DETACH)) }
            let whole = try OwnedFD.open(scratch, O_PATH | O_DIRECTORY)
            return try Mounts.clone(try whole.openInRoot(source.subpath, O_PATH), name: source.subpath)
        case .process: throw ShimFailure(.unsupported, "mount on \(source.place) of a container that does not run")
        }
    }

    private static func make(_ source: MountSource) throws {
        switch source.origin {
        case .directory(let path): try bind(path, source)
        case .process(let pid, let path):
            try Files.makeDirectories(source.place)
            let tree = try NamespaceMounts.copy(path, of: pid)
            try Mounts.attach(tree, to: try OwnedFD.open(source.place, O_PATH | O_DIRECTORY), name: source.place)
        case .layers(let layers, let mappedRoot):
            let tree = try OverlayMount.make(Overlay(layers: layers, upper: nil, work: nil, mappedRoot: mappedRoot))
            // A detached mount cannot be copied in part: it has to be somewhere first.
            let whole = source.subpath.isEmpty ? source.place : "\(source.place).whole"
            try Files.makeDirectories(whole)
            try Mounts.attach(tree, to: try OwnedFD.open(whole, O_PATH | O_DIRECTORY), name: whole)
            if !source.subpath.isEmpty { try bind(whole, source) }
        }
    }

    /// The subpath belongs to whoever writes into the volume: it is resolved inside, and used by its descriptor.
    private static func bind(_ path: String, _ source: MountSource) throws {
        let root = try OwnedFD.open(path, O_PATH | O_DIRECTORY)
        let wanted: OwnedFD
        do throws(SystemError) { wanted = try root.openInRoot(source.subpath, O_PATH) } catch {
            throw ShimFailure(.invalidRequest, "cannot access path \(source.subpath): \(SystemError.text(of: error.code))")
        }
        let tree = try Mounts.clone(wanted, name: source.subpath, recursive: true)
        if try wanted.status().st_mode & S_IFMT == S_IFDIR {
            try Files.makeDirectories(source.place)
        } else {
            try Files.makeDirectories(Files.parent(of: source.place))
            _ = try OwnedFD.open(source.place, O_WRONLY | O_CREAT | O_CLOEXEC)
        }
        try Mounts.attach(tree, to: try OwnedFD.open(source.place, O_PATH), name: source.place)
    }
}

/// Mounts of another process's mount namespace. Only from inside can they be copied; the way back is kept open.
enum NamespaceMounts {
    /// A detached copy of the mount at a path, as the process sees it.
    static func copy(_ path: String, of pid: Int32) throws -> OwnedFD {
        let own = try OwnedFD.open("/proc/self/ns/mnt")
        let theirs = try OwnedFD.open("/proc/\(pid)/ns/mnt")
        let root = try OwnedFD.open("/proc/\(pid)/root", O_PATH | O_DIRECTORY)
        // Its own links may lead it where they like: what is found is its own in any case.
        let place = try root.openInRoot(path, O_PATH | O_DIRECTORY)
        try retrying("enter mount namespace of", "\(pid)") { clp_setns(theirs.raw, CLONE_NEWNS) }
        let tree = clp_open_tree(place.raw, "", UInt32(OPEN_TREE_CLONE) | UInt32(O_CLOEXEC) | UInt32(AT_EMPTY_PATH))
        let code = errno
        try retrying("leave mount namespace of", "\(pid)") { clp_setns(own.raw, CLONE_NEWNS) }
        if tree < 0 { throw SystemError("copy mount \(path) of", "\(pid)", code: code) }
        return OwnedFD(owning: tree)
    }
}
