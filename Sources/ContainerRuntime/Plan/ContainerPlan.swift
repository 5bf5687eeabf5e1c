internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

/// What the child will do, worked out and checked by the parent before the first side effect.
struct ContainerPlan {
    let spec: Spec
    let options: CreateOptions
    /// Absolute and free of symbolic links.
    let rootPath: String
    let rootReadOnly: Bool
    let mounts: [PlannedMount]
    /// Whether /dev gets its devices and links: not when the host's own is bound there.
    let fillsDev: Bool
    let namespaces: NamespacePlan
    let process: ProcessPlan
    let listener: SeccompListener?
    let cacheAllocation: CacheAllocation?
    /// Empty for a container without a control group of its own.
    var cgroupPath: String
    /// The scope that the control group is, when systemd makes it.
    let systemdUnit: SystemdUnit?
    let cgroupResources: CgroupResources
    let cgroupLayout: CgroupLayout

    init(spec: Spec, options: CreateOptions) throws {
        try ContainerID.validate(options.id)
        try SpecValidation.validate(spec)
        self.spec = spec
        self.options = options
        let bundle = options.bundle
        let configured = spec.root?.path ?? ""
        // Also the place where a root filesystem given by descriptor is attached. Never the bundle itself: mounts may
        // have their sources there, which it would hide.
        rootPath = try Self.realPath(configured.hasPrefix("/") ? configured : "\(bundle)/\(configured)")
        rootReadOnly = spec.root?.readonly ?? false
        mounts = spec.mounts.map { [rootPath] in PlannedMount($0, bundle: bundle, root: rootPath) }
        fillsDev = !mounts.contains { $0.destination == "/dev" && $0.options.isBind }
        namespaces = NamespacePlan(spec.linux)
        guard let specProcess = spec.process else { throw SpecError.missing("process") }
        process = try ProcessPlan(
            specProcess, spec.linux, preserveFDs: options.preserveFDs, cacheDirectory: options.seccompCacheDirectory)
        listener = SeccompListener(spec: spec, id: options.id, bundle: bundle)
        cacheAllocation = try CacheAllocation(spec.linux.intelRdt, id: options.id)
        if options.systemdCgroup {
            let unit = try SystemdUnit(cgroupsPath: spec.linux.cgroupsPath, id: options.id, isUser: geteuid() != 0)
            cgroupPath = try SystemdManager.connect().cgroupPath(of: unit)
            systemdUnit = unit
        } else {
            cgroupPath = Self.cgroupPath(spec.linux.cgroupsPath, id: options.id)
            systemdUnit = nil
        }
        var resources = try CgroupResources(spec.linux.resources ?? Spec.Resources())
        // The container can always use what every container has, whatever the rules before say. Not so what linux.devices
        // makes: a node that its rules let the container only read stays that (`docker run --device /dev/x:/dev/x:r`).
        if !resources.devices.isEmpty { resources.devices += DeviceRule.containerDefaults }
        cgroupResources = resources
        cgroupLayout = try CgroupLayout.detect()
    }

    /// The host user that gets the container's control group as its own (config-linux.md, "Cgroup ownership"): the one
    /// that the process is, when it has a cgroup namespace of its own and the groups mounted writable; nil for nobody.
    var cgroupOwner: UInt32? {
        let isWritable = spec.mounts.contains {
            $0.destination == "/sys/fs/cgroup" && $0.source == "cgroup" && !$0.options.contains("ro")
        }
        guard namespaces.isNewCgroup, isWritable, let uid = spec.process?.user.uid else { return nil }
        let host = namespaces.isNewUser ? spec.linux.uidMappings.hostID(of: uid) : namespaces.userPath == nil ? uid : nil
        return host == 0 ? nil : host
    }

    /// Where the container's control group is: relative paths lie below Clipper's own (config-linux.md leaves it to us).
    static func cgroupPath(_ configured: String?, id: String) -> String {
        // No directory above it: none is left behind by the last container.
        guard let configured else { return "/clipper-runtime-\(id)" }
        if configured.hasPrefix("/") { return configured }
        // "." would be the group above all others.
        return configured.split(separator: "/").allSatisfy { $0 == "." } ? "/" : "/clipper-runtime/\(configured)"
    }

    private static func realPath(_ path: String) throws -> String {
        guard let resolved = realpath(path, nil) else { throw SystemError("open root filesystem", path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}

/// Which namespaces are made, which are joined, and by whom.
struct NamespacePlan {
    /// CLONE_NEW… for clone3: pid and user, which a process cannot give itself.
    private(set) var cloned: Int32 = 0
    /// CLONE_NEW… that the child unshares: in parallel with the parent's work, and, with a new user namespace, owned by it.
    private(set) var unshared: Int32 = 0
    /// Joined by the parent for the time of the clone, so that a child in a new user namespace needs no right to them.
    private(set) var joined: [(kind: NamespaceKind, path: String)] = []
    /// Joined by the child, before everything else and after it.
    private(set) var userPath: String?
    private(set) var mountPath: String?
    private(set) var isNewUser = false
    private(set) var isNewNetwork = false
    private(set) var isNewCgroup = false
    private(set) var isNewTime = false
    /// Whether the container has mounts of its own.
    private(set) var hasMount = false
    /// Whether the runtime's user is not root, and the kernel lets it do only what a user namespace allows.
    private(set) var isRootless = false
    /// What /proc/<pid>/timens_offsets takes.
    private(set) var timeOffsets = ""

    init(_ linux: Spec.LinuxConfig) {
        timeOffsets = linux.timeOffsets.sorted { $0.key < $1.key }
            .map { "\($0.key) \($0.value.seconds) \($0.value.nanoseconds)\n" }.joined()
        for namespace in linux.namespaces {
            let kind = namespace.type.kind
            hasMount = hasMount || namespace.type == .mount
            if let path = namespace.path {
                switch namespace.type {
                case .user: userPath = path
                case .mount: mountPath = path
                default: joined.append((kind, path))
                }
                continue
            }
            switch namespace.type {
            case .pid, .user: cloned |= kind.flag
            // The cgroup namespace comes last: its root is where the process is then.
            case .cgroup: isNewCgroup = true
            // No process can enter a new one itself, only its children.
            case .time: isNewTime = true
            default: unshared |= kind.flag
            }
            isNewUser = isNewUser || namespace.type == .user
            isNewNetwork = isNewNetwork || namespace.type == .network
        }
        isRootless = hasUser && geteuid() != 0
    }

    /// Whether the process is in a user namespace that is not the caller's.
    var hasUser: Bool { isNewUser || userPath != nil }

    /// Whether the container's first process is cloned by another one in the user namespace: it could not be the first of
    /// a pid namespace that the joined user namespace owns, nor be in a time namespace that the new one owns.
    var clonesTwice: Bool { userPath != nil || (isNewUser && isNewTime) }

    /// CLONE_NEW… for the runtime's own clone.
    var firstClone: Int32 { userPath != nil ? 0 : clonesTwice ? NamespaceKind.user.flag : cloned }

    /// CLONE_NEW… for the second one.
    var secondClone: Int32 { cloned & ~NamespaceKind.user.flag }
}

extension Spec.NamespaceType {
    /// The kernel's kind.
    var kind: NamespaceKind {
        switch self {
        case .pid: .pid
        case .network: .net
        case .mount: .mnt
        case .ipc: .ipc
        case .uts: .uts
        case .user: .user
        case .cgroup: .cgroup
        case .time: .time
        }
    }
}
