internal import CLinux
internal import Glibc

/// User namespaces, made and joined by single-threaded programs (user_namespaces(7)).
public enum UserNamespace {
    /// A new user namespace with these lines of uid_map and gid_map. Nobody is in it: it lives by its descriptor.
    public static func make(users: String, groups: String) throws(SystemError) -> OwnedFD {
        try hold(NamespaceKind.user.flag) { (pid) throws(SystemError) in
            try map(pid, users, groups)
            return try OwnedFD.open(NamespaceKind.user.path(of: pid))
        }
    }

    /// The same with a namespace of another kind that it owns; `body` gets their descriptors, which are closed after it.
    public static func make<T>(
        users: String, groups: String, owning kind: NamespaceKind, _ body: (_ user: Int32, _ owned: Int32) throws(SystemError) -> T
    ) throws(SystemError) -> T {
        try hold(NamespaceKind.user.flag | kind.flag) { (pid) throws(SystemError) in
            try map(pid, users, groups)
            let user = try OwnedFD.open(NamespaceKind.user.path(of: pid))
            let owned = try OwnedFD.open(kind.path(of: pid))
            return try body(user.raw, owned.raw)
        }
    }

    private static func map(_ pid: Int32, _ users: String, _ groups: String) throws(SystemError) {
        try Files.write("/proc/\(pid)/uid_map", users, flags: O_WRONLY)
        try Files.write("/proc/\(pid)/gid_map", groups, flags: O_WRONLY)
    }

    /// A new namespace of a kind, owned by the user namespace that the caller is in. The caller is in it then.
    public static func makeOwned(_ kind: NamespaceKind) throws(SystemError) -> OwnedFD {
        try retrying("create \(kind.rawValue) namespace") { clp_unshare(kind.flag) }
        return try OwnedFD.open(kind.ownPath)
    }

    /// A namespace lives in a process or a descriptor: a child holds it while `body` opens the descriptors.
    private static func hold<T: ~Copyable>(_ flags: Int32, _ body: (Int32) throws(SystemError) -> T) throws(SystemError) -> T {
        let life = try OwnedFD.pipe()
        let (reading, writing) = (life.reading.raw, life.writing.raw)
        let holder = try ClonedProcess.clone(namespaces: flags) {
            // Ends with its maker, if that is killed.
            _ = close(writing)
            var byte: UInt8 = 0
            return read(reading, &byte, 1) == 0 ? 0 : 1
        }
        defer { holder.killAndReap() }
        return try body(holder.pid)
    }

    /// Enters the user namespace of a process as its root, unless the caller is in it. There is no way back.
    public static func join(of pid: Int32) throws(SystemError) {
        let path = NamespaceKind.user.path(of: pid)
        if try NamespaceKind.areSame(path, NamespaceKind.user.ownPath) { return }
        try join(try OwnedFD.open(path), name: path)
    }

    /// Enters the user namespace that the PID namespace of a process belongs to as its root, unless the caller is in it: that of its
    /// container, whichever the process may have made for itself since. Files then have the owners that the container sees.
    /// There is no way back.
    public static func joinOwner(ofProcessesOf pid: Int32) throws(SystemError) {
        let path = NamespaceKind.pid.path(of: pid)
        let processes = try OwnedFD.open(path)
        let owner = OwnedFD(owning: try retrying("find owner of", path) { clp_namespace_owner(processes.raw) })
        let own = try OwnedFD.open(NamespaceKind.user.ownPath)
        let (theirs, ours) = (try owner.status(), try own.status())
        if theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev { return }
        try join(owner, name: "that owns \(path)")
    }

    /// Enters the user namespace of an open descriptor as its root, for good. `name` is for the failure.
    public static func join(_ namespace: consuming OwnedFD, name: String) throws(SystemError) {
        let number = namespace.raw
        try retrying("join user namespace", name) { clp_setns(number, NamespaceKind.user.flag) }
        try retrying("leave groups") { clp_setgroups(0, nil) }
        try retrying("become group 0") { clp_setresgid(0) }
        try retrying("become user 0") { clp_setresuid(0) }
    }
}
