internal import Linux
internal import OCIRuntimeSpec

/// The rules that a spec keeps before the first side effect. One function per rule; each throws the field's name.
enum SpecValidation {
    static func validate(_ spec: Spec) throws(SpecError) {
        try version(spec)
        guard let process = spec.process else { throw SpecError.missing("process") }
        try Self.process(process)
        try root(spec)
        try namespaces(spec.linux)
        try userMappings(spec.linux)
        try mappedUsers(spec)
        try hostnames(spec)
        try mounts(spec)
        try devices(spec.linux)
        try paths(spec.linux)
        try propagation(spec.linux)
        try sysctls(spec)
        try securityLabels(spec)
        try netDevices(spec.linux)
        try timeOffsets(spec.linux)
        try memoryPolicy(spec.linux)
        try intelRdt(spec.linux)
        try seccompListener(spec.linux)
    }

    /// Any 1.x is understood: fields of newer versions are refused by name, unknown ones ignored.
    static func version(_ spec: Spec) throws(SpecError) {
        let number = spec.ociVersion.split(separator: "-").first.map(String.init) ?? ""
        let parts = number.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 3, parts.allSatisfy({ $0 != nil }) else {
            throw SpecError.invalid("ociVersion", "\"\(spec.ociVersion)\" is no version")
        }
        guard parts[0] == 1 else { throw SpecError.invalid("ociVersion", "version \(spec.ociVersion) is not supported, only 1.x") }
    }

    static func process(_ process: Spec.Process) throws(SpecError) {
        if process.args.isEmpty { throw SpecError.missing("process.args") }
        guard process.cwd.hasPrefix("/") else {
            throw SpecError.invalid("process.cwd", process.cwd.isEmpty ? "is required" : "must be absolute, is \"\(process.cwd)\"")
        }
        try rlimits(process)
        try oomScore(process)
        try placement(process)
        if let umask = process.user.umask, umask > 0o777 { throw SpecError.invalid("process.user.umask", "must be 0 to 511, is \(umask)") }
    }

    static func rlimits(_ process: Spec.Process) throws(SpecError) {
        var seen: Set<String> = []
        for (index, limit) in process.rlimits.enumerated() {
            let field = "process.rlimits[\(index)]"
            guard ResourceLimitKind(name: limit.type) != nil else {
                throw SpecError.invalid("\(field).type", "unknown limit \"\(limit.type)\"")
            }
            guard seen.insert(limit.type).inserted else { throw SpecError.invalid("\(field).type", "\(limit.type) is given twice") }
            if limit.soft > limit.hard { throw SpecError.invalid("\(field).soft", "\(limit.soft) is above the hard limit \(limit.hard)") }
        }
    }

    static func oomScore(_ process: Spec.Process) throws(SpecError) {
        if let score = process.oomScoreAdj, !(-1000...1000).contains(score) {
            throw SpecError.invalid("process.oomScoreAdj", "must be -1000 to 1000, is \(score)")
        }
    }

    static func root(_ spec: Spec) throws(SpecError) {
        if spec.root == nil { throw SpecError.missing("root") }
    }

    static func namespaces(_ linux: Spec.LinuxConfig) throws(SpecError) {
        var seen: Set<Spec.NamespaceType> = []
        for (index, namespace) in linux.namespaces.enumerated() where !seen.insert(namespace.type).inserted {
            throw SpecError.invalid("linux.namespaces[\(index)].type", "\(namespace.type.rawValue) is given twice")
        }
        if linux.namespace(.mount) == nil { try withoutMountNamespace(linux) }
    }

    /// Without one, the container's mounts are made on the host, below its root filesystem (as under runc). What would change
    /// the host elsewhere, or has to be kept from a process that could undo it, is refused.
    private static func withoutMountNamespace(_ linux: Spec.LinuxConfig) throws(SpecError) {
        if !linux.maskedPaths.isEmpty { throw SpecError.invalid("linux.maskedPaths", "needs a mount namespace") }
        if !linux.readonlyPaths.isEmpty { throw SpecError.invalid("linux.readonlyPaths", "needs a mount namespace") }
        if linux.rootfsPropagation != nil { throw SpecError.invalid("linux.rootfsPropagation", "needs a mount namespace") }
        if linux.namespace(.user) != nil {
            throw SpecError.invalid("linux.namespaces", "a user namespace needs a mount namespace: its root may not mount on the host")
        }
    }

    static func userMappings(_ linux: Spec.LinuxConfig) throws(SpecError) {
        let user = linux.namespace(.user)
        let hasMappings = !linux.uidMappings.isEmpty || !linux.gidMappings.isEmpty
        if hasMappings && user == nil { throw SpecError.invalid("linux.uidMappings", "needs a user namespace") }
        if let user, user.path == nil {
            if linux.uidMappings.isEmpty { throw SpecError.invalid("linux.uidMappings", "a new user namespace needs mappings") }
            if linux.gidMappings.isEmpty { throw SpecError.invalid("linux.gidMappings", "a new user namespace needs mappings") }
        }
        if let user, user.path != nil, hasMappings {
            throw SpecError.invalid("linux.uidMappings", "a user namespace that is joined has its mappings")
        }
        try mapping(linux.uidMappings, "linux.uidMappings")
        try mapping(linux.gidMappings, "linux.gidMappings")
    }

    private static func mapping(_ mappings: [Spec.IDMapping], _ field: String) throws(SpecError) {
        // The kernel's own limit (user_namespaces(7)).
        if mappings.count > 340 { throw SpecError.invalid(field, "at most 340 mappings are possible, found \(mappings.count)") }
        for (index, mapping) in mappings.enumerated() {
            if mapping.size == 0 { throw SpecError.invalid("\(field)[\(index)].size", "must be above zero") }
            let tooFar = mapping.containerID.addingReportingOverflow(mapping.size).overflow
            if tooFar || mapping.hostID.addingReportingOverflow(mapping.size).overflow {
                throw SpecError.invalid("\(field)[\(index)]", "reaches beyond the last id")
            }
            for (other, earlier) in mappings[..<index].enumerated() where overlap(mapping, earlier) {
                throw SpecError.invalid("\(field)[\(index)]", "overlaps \(field)[\(other)]")
            }
        }
    }

    private static func overlap(_ one: Spec.IDMapping, _ other: Spec.IDMapping) -> Bool {
        let inside = one.containerID < other.containerID + other.size && other.containerID < one.containerID + one.size
        let outside = one.hostID < other.hostID + other.size && other.hostID < one.hostID + one.size
        return inside || outside
    }

    static func hostnames(_ spec: Spec) throws(SpecError) {
        let hasNamespace = spec.linux.namespace(.uts) != nil
        for (field, name) in [("hostname", spec.hostname), ("domainname", spec.domainname)] {
            guard let name, !name.isEmpty else { continue }
            if !hasNamespace { throw SpecError.invalid(field, "needs a uts namespace") }
            if name.utf8.count > 64 { throw SpecError.invalid(field, "is longer than 64 bytes") }
        }
    }

    static func mounts(_ spec: Spec) throws(SpecError) {
        for (index, mount) in spec.mounts.enumerated() {
            let field = "mounts[\(index)]"
            // A relative one is deprecated and counts from the root (config.md, "Mounts"); Docker's `-v v:/v` makes such.
            if mount.destination.isEmpty { throw SpecError.missing("\(field).destination") }
            if mount.destination.split(separator: "/").contains("..") {
                throw SpecError.invalid("\(field).destination", "must not contain \"..\", is \"\(mount.destination)\"")
            }
            if mount.isBind && mount.source.isEmpty { throw SpecError.missing("\(field).source") }
            if !mount.isBind && mount.type.isEmpty && !mount.options.contains("remount") { throw SpecError.missing("\(field).type") }
            try idMapping(mount, field, spec.linux)
        }
    }

    /// An id-mapped mount needs both mappings, or neither and those of the container's user namespace.
    private static func idMapping(_ mount: Spec.Mount, _ field: String, _ linux: Spec.LinuxConfig) throws(SpecError) {
        let isEmpty = (mount.uidMappings.isEmpty, mount.gidMappings.isEmpty)
        let option = mount.options.first { $0 == "idmap" || $0 == "ridmap" }
        if isEmpty == (true, true) && option == nil { return }
        let name = isEmpty.0 ? isEmpty.1 ? "options" : "gidMappings" : "uidMappings"
        if !mount.isBind { throw SpecError.invalid("\(field).\(name)", "only bind mounts can be id-mapped") }
        if mount.options.contains("remount") { throw SpecError.invalid("\(field).\(name)", "a remount cannot be id-mapped") }
        if isEmpty.0 != isEmpty.1 {
            throw SpecError.invalid("\(field).\(isEmpty.0 ? "uidMappings" : "gidMappings")", "is needed with \(name)")
        }
        if isEmpty.0, let option, linux.namespace(.user) == nil {
            throw SpecError.invalid("\(field).options", "\"\(option)\" needs mappings or a user namespace")
        }
        try mapping(mount.uidMappings, "\(field).uidMappings")
        try mapping(mount.gidMappings, "\(field).gidMappings")
    }

    static func devices(_ linux: Spec.LinuxConfig) throws(SpecError) {
        for (index, device) in linux.devices.enumerated() {
            if device.path.split(separator: "/").contains("..") || device.path.hasSuffix("/") {
                throw SpecError.invalid("linux.devices[\(index)].path", "is no file's path: \"\(device.path)\"")
            }
        }
    }

    static func paths(_ linux: Spec.LinuxConfig) throws(SpecError) {
        for (field, paths) in [("linux.maskedPaths", linux.maskedPaths), ("linux.readonlyPaths", linux.readonlyPaths)] {
            for (index, path) in paths.enumerated() where !path.hasPrefix("/") {
                throw SpecError.invalid("\(field)[\(index)]", "must be absolute, is \"\(path)\"")
            }
        }
    }

    static func propagation(_ linux: Spec.LinuxConfig) throws(SpecError) {
        guard let word = linux.rootfsPropagation else { return }
        let parsed = MountOptions(parsing: [word])
        if parsed.propagation.count != 1 { throw SpecError.invalid("linux.rootfsPropagation", "unknown propagation \"\(word)\"") }
    }

    /// Only what belongs to a namespace of the container's own may be set: everything else would change the host.
    static func sysctls(_ spec: Spec) throws(SpecError) {
        for key in spec.linux.sysctl.keys {
            // The specification has a field of its own for it (as runc).
            if key == "kernel.hostname" {
                throw SpecError.invalid("linux.sysctl.\(key)", "is not allowed as it conflicts with the OCI field \(key.dropFirst(7))")
            }
            guard let needed = Sysctl.namespace(of: Sysctl.normalized(key)) else {
                throw SpecError.invalid("linux.sysctl.\(key)", "does not belong to a namespace")
            }
            guard let namespace = spec.linux.namespace(needed) else {
                throw SpecError.invalid("linux.sysctl.\(key)", "needs a \(needed.rawValue) namespace")
            }
            if needed == .network, let path = namespace.path,
                (try? NamespaceKind.areSame(path, NamespaceKind.net.ownPath)) == true
            {
                throw SpecError.invalid("linux.sysctl.\(key)", "would change the host's network")
            }
        }
    }

    /// A label that was asked for and cannot be given is an error: the container would run less confined than wanted.
    static func securityLabels(_ spec: Spec) throws(SpecError) {
        for module in SecurityModule.allCases {
            if let process = spec.process, module.label(of: process) != nil, !module.isAvailable {
                throw SpecError.invalid("process.\(module.field)", "this kernel has no \(module.name)")
            }
        }
        if spec.linux.mountLabel != nil && !SecurityModule.selinux.isAvailable {
            throw SpecError.invalid("linux.mountLabel", "this kernel has no \(SecurityModule.selinux.name)")
        }
        if spec.linux.mountLabel?.contains("\"") == true {
            throw SpecError.invalid("linux.mountLabel", "must not contain a quotation mark")
        }
    }
}

/// Kernel parameters by their sysctl(8) names.
enum Sysctl {
    /// `net/ipv4/ip_forward` as `net.ipv4.ip_forward`; a name that has slashes first keeps its dots as they are.
    static func normalized(_ key: String) -> String {
        guard let slash = key.firstIndex(of: "/") else { return key }
        if let dot = key.firstIndex(of: "."), dot < slash { return key }
        return String(key.map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
    }

    /// Below /proc/sys.
    static func path(_ key: String) -> String { String(normalized(key).map { $0 == "." ? "/" : $0 == "/" ? "." : $0 }) }

    /// The namespace that a parameter belongs to; nil for the host's own.
    static func namespace(of key: String) -> Spec.NamespaceType? {
        switch key {
        case "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
            "kernel.shm_rmid_forced":
            .ipc
        case "kernel.domainname", "kernel.hostname": .uts
        default: key.hasPrefix("fs.mqueue.") ? .ipc : key.hasPrefix("net.") ? .network : nil
        }
    }
}
