internal import Linux
internal import OCIRuntimeSpec

/// One mount of the spec with its options understood.
struct PlannedMount: Equatable {
    enum Kind: Equatable {
        /// The absolute path of the source.
        case bind(String)
        /// Any filesystem: type and source.
        case filesystem(String, source: String)
        /// The control groups as the container may see them.
        case cgroup
        /// Changes flags of what is mounted there already.
        case remount
    }

    var kind: Kind
    /// Without a trailing slash.
    var destination: String
    var options: MountOptions
    /// The owners' mapping of an id-mapped mount; nil for none.
    var idMap: IDMap?

    /// By what the owners of a mount are mapped.
    enum IDMap: Hashable {
        /// As in the container's user namespace.
        case container
        /// The lines of uid_map and gid_map of a user namespace made for it.
        case own(users: String, groups: String)
    }

    /// `root` is the absolute path of the root filesystem: engines that write destinations with it in front mean what is
    /// below it (as runc).
    init(_ mount: Spec.Mount, bundle: String, root: String = "/") {
        var options = MountOptions(parsing: mount.options)
        // Engines write the type `bind` and leave the option out.
        if mount.type == "bind" && !options.isBind { options = MountOptions(parsing: mount.options + ["bind"]) }
        if !mount.uidMappings.isEmpty {
            idMap = .own(users: mount.uidMappings.mapText, groups: mount.gidMappings.mapText)
            // Mappings alone ask for it as well, for the mount itself (engines older than the options).
            if options.idMap == .none { options.idMap = .mount }
        } else if options.idMap != .none {
            idMap = .container
        }
        self.options = options
        let given = "/" + mount.destination.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
        destination = root != "/" && given.hasPrefix(root + "/") ? String(given.dropFirst(root.count)) : given
        if options.isRemount {
            kind = .remount
        } else if options.isBind {
            kind = .bind(mount.source.hasPrefix("/") ? mount.source : "\(bundle)/\(mount.source)")
        } else if mount.type == "cgroup" || mount.type == "cgroup2" {
            kind = .cgroup
        } else {
            kind = .filesystem(mount.type, source: mount.source.isEmpty ? mount.type : mount.source)
        }
    }
}
