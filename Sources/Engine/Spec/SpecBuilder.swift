internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// Makes the OCI runtime configuration of a container from its record.
struct SpecBuilder {
    let record: ContainerRecord
    let paths: EngineConfiguration.ContainerPaths
    let configuration: EngineConfiguration
    /// Layer directories, top first, without the writable one.
    let layers: [String]
    /// Path of the network namespace as the shim sees it; nil for the host's.
    let networkNamespace: NetworkNamespaceChoice
    /// The user namespace to join; nil for the host's.
    var userNamespace: String?
    /// First processes of containers whose namespaces are shared, by kind.
    var sharedPID: Int32?
    var sharedIPC: Int32?
    /// Variables that tell of linked containers; the container's own come before them.
    var linkedVariables: [String] = []
    /// Whether /etc/hosts, hostname and resolv.conf are the engine's.
    var managesNetworkFiles = true

    enum NetworkNamespaceChoice: Equatable {
        case host
        /// A new one, made by the runtime.
        case new
        case path(String)
    }

    private var host: HostConfig { record.hostConfig }
    private var config: ContainerConfig { record.config }
    private var isPrivileged: Bool { host.Privileged == true }
    private var usesInit: Bool { host.Init ?? configuration.containerDefaults.usesInit }

    func build() throws(EngineError) -> Spec {
        var spec = Spec()
        let security = try SecurityOptions(
            host.SecurityOpt ?? [], isPrivileged: isPrivileged, noNewPrivileges: configuration.containerDefaults.hasNoNewPrivileges,
            seccomp: configuration.seccompDefault)
        let account = try UserLookup(files: LayeredFiles(layers: [paths.upper] + layers)).resolve(
            config.User ?? "", extraGroups: host.GroupAdd ?? [])
        let capabilities = try CapabilitySet.resolve(add: host.CapAdd ?? [], drop: host.CapDrop ?? [], isPrivileged: isPrivileged)
        spec.process = try process(account, capabilities, security)
        spec.root = Spec.Root(path: "rootfs", readonly: host.ReadonlyRootfs == true)
        if host.UTSMode != "host" {
            spec.hostname = config.Hostname
            spec.domainname = config.Domainname.flatMap { $0.isEmpty ? nil : $0 }
        }
        spec.mounts = try mounts()
        spec.annotations = host.Annotations ?? [:]
        spec.linux = try linux(capabilities, security)
        try DeviceRequests(host.DeviceRequests ?? [], directories: configuration.deviceSpecDirectories).apply(to: &spec)
        return spec
    }

    // MARK: The process

    private func process(_ account: UserLookup.Account, _ capabilities: [String], _ security: SecurityOptions) throws(EngineError)
        -> Spec.Process
    {
        var process = Spec.Process()
        process.terminal = config.Tty == true
        if config.Tty == true, let size = host.ConsoleSize, size.count == 2, size[0] > 0, size[1] > 0 {
            process.consoleSize = Spec.ConsoleSize(height: UInt16(clamping: size[0]), width: UInt16(clamping: size[1]))
        }
        process.user = Spec.User(uid: account.uid, gid: account.gid, additionalGids: account.additionalGroups)
        process.args = (usesInit ? ["/sbin/docker-init", "init", "--"] : []) + [record.path] + record.arguments
        process.env = environment(home: account.home)
        process.cwd = config.WorkingDir.flatMap { $0.isEmpty ? nil : $0 } ?? "/"
        process.capabilities = Self.capabilities(capabilities, uid: account.uid)
        process.noNewPrivileges = security.noNewPrivileges
        process.apparmorProfile = configuration.appArmor?.profile(security.appArmorProfile, isPrivileged: isPrivileged)
        // Always: the daemon may have a score of its own.
        process.oomScoreAdj = Int32(host.OomScoreAdj ?? 0)
        process.rlimits = try rlimits()
        return process
    }

    /// As Docker: a process that is not root keeps the bounding set and has none of it in effect.
    static func capabilities(_ names: [String], uid: UInt32) -> Spec.Capabilities {
        var result = Spec.Capabilities()
        result.bounding = names
        if uid == 0 {
            result.effective = names
            result.permitted = names
        }
        return result
    }

    /// As in Docker: what every container has comes first, in its place what the container says of it; a name without "=" takes it away.
    private func environment(home: String) -> [String] {
        func name(_ variable: String) -> Substring { variable.prefix { $0 != "=" } }
        let terminal = config.Tty == true ? ["TERM=xterm"] : []
        var first: [String?] = [SpecDefaults.path, "HOSTNAME=\(config.Hostname ?? "")"] + terminal + linkedVariables
        let names = first.map { $0.map(name) }
        var own: [String] = []
        for variable in config.Env ?? [] {
            if let index = names.firstIndex(of: name(variable)) {
                first[index] = variable.contains("=") ? variable : nil
            } else if variable.contains("=") {
                own.append(variable)
            }
        }
        if !own.contains(where: { $0.hasPrefix("HOME=") }) { own.append("HOME=\(home)") }
        return first.compactMap(\.self) + own
    }

    private func rlimits() throws(EngineError) -> [Spec.ResourceLimit] {
        var limits = configuration.defaultUlimits
        for limit in host.Ulimits ?? [] { limits[limit.Name.lowercased()] = (limit.Soft, limit.Hard) }
        return limits.sorted { $0.key < $1.key }.map { name, value in
            Spec.ResourceLimit(
                type: "RLIMIT_\(name.uppercased())", soft: value.soft < 0 ? .max : UInt64(value.soft),
                hard: value.hard < 0 ? .max : UInt64(value.hard))
        }
    }

    // MARK: Mounts

    private func mounts() throws(EngineError) -> [Spec.Mount] {
        var mounts = SpecDefaults.mounts(isPrivileged: isPrivileged)
        mounts.append(contentsOf: ipcMounts())
        if managesNetworkFiles {
            for (source, destination) in [
                (paths.resolvConf, "/etc/resolv.conf"), (paths.hostname, "/etc/hostname"), (paths.hosts, "/etc/hosts"),
            ] {
                let access = host.ReadonlyRootfs == true ? "ro" : "rw"
                mounts.append(Spec.Mount(destination: destination, type: "bind", source: source, options: ["rbind", "rprivate", access]))
            }
        }
        if usesInit {
            mounts.append(
                Spec.Mount(
                    destination: "/sbin/docker-init", type: "bind", source: configuration.runtimeExecutable, options: ["bind", "ro"]))
        }
        for (index, mount) in record.mounts.enumerated() {
            // A mount of the user's on a default one's place takes its place.
            mounts.removeAll { $0.destination == mount.destination }
            mounts.append(self.mount(mount, source: mount.isMadeByShim ? paths.mountSource(index) : mount.source))
        }
        // Parents before children.
        return mounts.enumerated().sorted { left, right in
            let (a, b) = (left.element.destination.split(separator: "/").count, right.element.destination.split(separator: "/").count)
            return (a, left.offset) < (b, right.offset)
        }.map(\.element)
    }

    private func ipcMounts() -> [Spec.Mount] {
        switch host.IpcMode ?? "" {
        case "none": return []
        case "host":
            return [
                Spec.Mount(
                    destination: "/dev/shm", type: "bind", source: "/dev/shm", options: ["rbind", "rprivate", "nosuid", "noexec", "nodev"])
            ]
        case let mode where mode.hasPrefix("container:"):
            return [
                Spec.Mount(
                    destination: "/dev/shm", type: "bind", source: paths.sharedMemory, options: ["bind", "nosuid", "noexec", "nodev"])
            ]
        default:
            return [
                Spec.Mount(
                    destination: "/dev/shm", type: "tmpfs", source: "shm",
                    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=\(host.ShmSize ?? configuration.defaultShmSize)"])
            ]
        }
    }

    private func mount(_ mount: ResolvedMount, source: String) -> Spec.Mount {
        switch mount.kind {
        case .tmpfs:
            let defaults = ["noexec", "nosuid", "nodev"].filter { name in
                !mount.options.contains(String(name.dropFirst(2))) && !mount.options.contains(name)
            }
            return Spec.Mount(destination: mount.destination, type: "tmpfs", source: "tmpfs", options: defaults + mount.options)
        case .bind, .volume, .image:
            let kind = mount.isRecursive ? "rbind" : "bind"
            let propagation = mount.propagation.isEmpty ? "rprivate" : mount.propagation
            return Spec.Mount(
                destination: mount.destination, type: "bind", source: source,
                options: [kind, mount.isReadOnly ? "ro" : "rw", propagation] + (mount.isRecursivelyReadOnly ? ["rro"] : [])
                    + (mount.mapsOwners && userNamespace != nil ? ["idmap"] : []))
        }
    }

    // MARK: Linux

    private func linux(_ capabilities: [String], _ security: SecurityOptions) throws(EngineError) -> Spec.LinuxConfig {
        var linux = Spec.LinuxConfig()
        linux.cgroupsPath = configuration.cgroupsPath(of: record.id, parent: host.CgroupParent)
        linux.sysctl = ownNetworkSettings().merging(host.Sysctls ?? [:]) { $1 }
        linux.namespaces = namespaces()
        linux.rootfsPropagation = record.mounts.contains { ["rshared", "shared"].contains($0.propagation) } ? "shared" : nil
        if record.mounts.contains(where: { ["rslave", "slave"].contains($0.propagation) }) {
            linux.rootfsPropagation = linux.rootfsPropagation ?? "rslave"
        }
        // What a privileged container is to have closed it names itself.
        linux.maskedPaths = security.systemPathsUnconfined ? [] : host.MaskedPaths ?? (isPrivileged ? [] : SpecDefaults.maskedPaths)
        linux.readonlyPaths = security.systemPathsUnconfined ? [] : host.ReadonlyPaths ?? (isPrivileged ? [] : SpecDefaults.readonlyPaths)
        linux.seccomp = try security.seccomp(capabilities: capabilities)
        let devices = try DeviceResolver(host: host, isPrivileged: isPrivileged).resolve()
        linux.devices = devices.nodes
        var resources = try ResourceLimits(host).resolve()
        resources.devices = devices.rules
        linux.resources = resources
        return linux
    }

    /// Of a network namespace that is the container's alone: low ports and ping for everybody in it, as in Docker. What either is
    /// guarded from are others on the same network stack.
    private func ownNetworkSettings() -> [String: String] {
        if networkNamespace == .host || host.NetworkMode?.hasPrefix("container:") == true { return [:] }
        // The kernel takes only groups that the user namespace has (ip(7), ping_group_range).
        return userNamespace == nil ? Self.networkSettings : Self.networkSettings.filter { $0.key != Self.pingGroups }
    }

    private static let pingGroups = "net.ipv4.ping_group_range"

    /// As far as the kernel has them.
    private static let networkSettings = ["net.ipv4.ip_unprivileged_port_start": "0", pingGroups: "0 2147483647"].filter {
        Files.exists("/proc/sys/\($0.key.replacing(".", with: "/"))")
    }

    private func namespaces() -> [Spec.Namespace] {
        var result: [Spec.Namespace] = [Spec.Namespace(.mount)]
        switch networkNamespace {
        case .host: break
        case .new: result.append(Spec.Namespace(.network))
        case .path(let path): result.append(Spec.Namespace(.network, path: path))
        }
        if let userNamespace { result.append(Spec.Namespace(.user, path: userNamespace)) }
        if host.UTSMode != "host" { result.append(Spec.Namespace(.uts)) }
        switch host.PidMode ?? "" {
        case "host": break
        case "": result.append(Spec.Namespace(.pid))
        default: result.append(Spec.Namespace(.pid, path: sharedPID.map { "/proc/\($0)/ns/pid" }))
        }
        switch host.IpcMode ?? "" {
        case "host": break
        case let mode where mode.hasPrefix("container:"): result.append(Spec.Namespace(.ipc, path: sharedIPC.map { "/proc/\($0)/ns/ipc" }))
        default: result.append(Spec.Namespace(.ipc))
        }
        if host.CgroupnsMode == "private" { result.append(Spec.Namespace(.cgroup)) }
        return result
    }
}
