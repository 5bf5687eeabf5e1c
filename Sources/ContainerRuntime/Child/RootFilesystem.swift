internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The container's root filesystem while it is furnished: its root mount, open. Every path inside is resolved from
/// this descriptor and cannot leave it; before the pivot the host's procfs serves /proc/self/fd.
struct RootFilesystem: ~Copyable {
    let root: OwnedFD

    /// Attaches the root filesystem in the new mount namespace.
    static func attach(_ plan: ContainerPlan) throws -> RootFilesystem {
        let propagation = plan.spec.linux.rootfsPropagation.flatMap { MountOptions(parsing: [$0]).propagation.first }
        // Nothing that is mounted here may reach the host unless the spec wants it: before the first mount.
        if plan.namespaces.hasMount { try Mounts.setPropagation("/", Self.firstPropagation(propagation)) }
        let place = try OwnedFD.open(plan.rootPath, O_PATH | O_DIRECTORY)
        if let propagation { try keepParentFromSharing(of: plan.rootPath, propagation) }
        if let given = plan.options.rootfsDescriptor {
            let tree = OwnedFD(owning: try retrying("duplicate root filesystem") { clp_fcntl(given, F_DUPFD_CLOEXEC, 3) })
            try Mounts.attach(tree, to: place, name: plan.rootPath)
            return RootFilesystem(root: tree)
        }
        // A mount of its own, which pivot_root asks for.
        let tree = try Mounts.clone(place, name: plan.rootPath, recursive: true)
        try Mounts.attach(tree, to: place, name: plan.rootPath)
        if !plan.namespaces.hasMount {
            // The host's "/" stays as it is: what is mounted below shows on the host in this one place.
            try Mounts.setAttributes(tree, name: plan.rootPath, set: 0, propagation: UInt64(CLinux.MS_PRIVATE), recursive: true)
        }
        return RootFilesystem(root: tree)
    }

    /// How the copies of the host's mounts behave while the container's are made. What is unbindable could not become the
    /// root filesystem: it becomes so at the end.
    private static func firstPropagation(_ wanted: UInt?) -> UInt {
        guard let wanted else { return UInt(CLinux.MS_SLAVE | CLinux.MS_REC) }
        if wanted & UInt(CLinux.MS_UNBINDABLE) == 0 { return wanted }
        return wanted & ~UInt(CLinux.MS_UNBINDABLE) | UInt(CLinux.MS_PRIVATE)
    }

    /// pivot_root refuses a shared parent mount, which only a rootfsPropagation of the spec leaves behind. That of a root
    /// filesystem that is to be a slave becomes one itself, for what is bound from it is what it is.
    private static func keepParentFromSharing(of path: String, _ wanted: UInt) throws {
        var best = "/"
        for line in try Files.readText("/proc/self/mountinfo").split(separator: "\n") {
            let fields = line.split(separator: " ", maxSplits: 5)
            guard fields.count > 4 else { continue }
            let point = String(fields[4])
            if (path == point || path.hasPrefix(point == "/" ? "/" : point + "/")) && point.utf8.count >= best.utf8.count { best = point }
        }
        try Mounts.setPropagation(best, UInt(wanted & UInt(CLinux.MS_SLAVE) != 0 ? CLinux.MS_SLAVE : CLinux.MS_PRIVATE))
    }

    /// Mounts everything in the spec's order; `trees` are those that the runtime has made.
    func mountAll(_ plan: ContainerPlan, _ trees: [Int: Int32], _ sync: borrowing SyncChannel) throws {
        for (index, mount) in plan.mounts.enumerated() {
            switch mount.kind {
            case .bind(let source):
                let name = "\(source) on \(mount.destination)"
                if let number = trees[index] {
                    try bind(OwnedFD(owning: number), name, mount)
                } else {
                    try bind(try MountSource.open(source, index, plan, sync), name, mount)
                }
            case .filesystem(let type, let source): try mountFilesystem(type, source, mount, label: plan.spec.linux.mountLabel)
            case .cgroup: try mountCgroups(mount, plan)
            case .remount:
                let target = try root.openInRoot(mount.destination, O_PATH)
                try Mounts.remount(target, name: mount.destination, flags: mount.options.flags, data: mount.options.data)
            }
        }
    }

    /// A new mount over part of procfs hides the kernel's files from those who rely on them; runc's list of exceptions.
    private static let allowedInProcfs: Set<String> = [
        "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg",
        "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
    ]

    private func checkTarget(_ target: borrowing OwnedFD, _ destination: String) throws {
        if Mounts.isProcfs(target) && !Self.allowedInProcfs.contains(destination) {
            throw RuntimeError(kind: .invalidSpec("mounts"), message: "mount on \(destination): it is inside procfs")
        }
    }

    private func bind(_ tree: borrowing OwnedFD, _ name: String, _ mount: PlannedMount) throws {
        let isDirectory = try tree.status().st_mode & S_IFMT == S_IFDIR
        let target = isDirectory ? try makeDirectories(name, mount.destination) : try root.makeFileInRoot(mount.destination)
        // The kernel's word for it is "invalid argument".
        if !isDirectory, try target.status().st_mode & S_IFMT == S_IFDIR {
            throw Self.isNoDirectory(name, "a file cannot be mounted on a directory")
        }
        try checkTarget(target, mount.destination)
        try Mounts.setAttributes(tree, name: name, of: mount.options)
        try attach(tree, to: target, name, mount.options)
    }

    private func makeDirectories(_ name: String, _ destination: String) throws -> OwnedFD {
        do throws(SystemError) { return try root.makeDirectoriesInRoot(destination) } catch {
            if error.code == ENOTDIR { throw Self.isNoDirectory(name, "a directory cannot be mounted on a file") }
            throw error
        }
    }

    private static func isNoDirectory(_ name: String, _ why: String) -> RuntimeError {
        RuntimeError(kind: .system(ENOTDIR), message: "mount \(name): not a directory: \(why)")
    }

    /// Recursive attributes before the mount can be reached; propagation after, for attaching below a shared mount sets it.
    private func attach(_ tree: borrowing OwnedFD, to target: borrowing OwnedFD, _ name: String, _ options: MountOptions) throws {
        if options.recursiveSet != 0 || options.recursiveClear != 0 {
            try Mounts.setAttributes(tree, name: name, set: options.recursiveSet, clear: options.recursiveClear, recursive: true)
        }
        try Mounts.attach(tree, to: target, name: name)
        for flag in options.propagation {
            try Mounts.setAttributes(
                tree, name: name, set: 0, propagation: UInt64(flag & ~UInt(CLinux.MS_REC)), recursive: flag & UInt(CLinux.MS_REC) != 0)
        }
    }

    /// Where the runtime itself works later: the kernel's filesystems there go where the spec says, not where a symbolic
    /// link of the image does (CVE-2019-19921, CVE-2026-41579).
    private static func isFixed(_ type: String, _ destination: String) -> Bool {
        type == "proc" || type == "sysfs" || destination == "/dev" || destination == "/dev/pts"
    }

    private func mountFilesystem(_ type: String, _ source: String, _ mount: PlannedMount, label: String?) throws {
        var options = mount.options
        let name = mount.destination
        // The mode of what is there becomes the tmpfs's; a new place has none to pass on, and the kernel's default holds.
        let needsMode = type == "tmpfs" && !options.data.split(separator: ",").contains { $0.hasPrefix("mode=") }
        let takesMode = needsMode && (try? root.openInRoot(name, O_PATH)) != nil
        let target = try openMountPoint(type, name)
        if takesMode {
            let mode = String(try target.status().st_mode & 0o7777, radix: 8)
            options.data += (options.data.isEmpty ? "mode=" : ",mode=") + mode
        }
        // The kernel labels these itself; mqueue's root is labelled when it is there.
        if !["proc", "sysfs", "mqueue"].contains(type) { options.data = SecurityLabels.withContext(options.data, label) }
        // /dev becomes read-only when its devices are there.
        if name == "/dev" || options.copyUp { options.flags &= ~UInt(CLinux.MS_RDONLY) }
        if !options.propagation.isEmpty || options.recursiveSet != 0 || options.recursiveClear != 0 || options.copyUp {
            let tree = try Mounts.make(type: type, source: source, name: name, flags: options.flags, data: options.data)
            if options.copyUp { try CopyUp.copy(from: target, to: tree, name: name) }
            if options.copyUp && mount.options.isReadOnly {
                try Mounts.setAttributes(tree, name: name, set: UInt64(MOUNT_ATTR_RDONLY))
            }
            if type == "mqueue", let label { try SecurityLabels.setLabel(label, of: tree, name: name) }
            return try attach(tree, to: target, name, options)
        }
        try Mounts.mount(type: type, source: source, on: target, name: name, flags: options.flags, data: options.data)
        if type == "mqueue", let label { try SecurityLabels.setLabel(label, of: try root.openInRoot(name, O_PATH), name: name) }
    }

    private func openMountPoint(_ type: String, _ destination: String) throws -> OwnedFD {
        if Self.isFixed(type, destination) {
            // A link to nothing must not have its target made either: look first.
            do throws(SystemError) { return try root.openInRootWithoutLinks(destination, O_PATH | O_DIRECTORY) } catch {
                if [ELOOP, ENOTDIR].contains(error.code) {
                    // The words by which callers know this refusal (CVE-2019-19921).
                    throw RuntimeError(
                        kind: .system(error.code), message: "mount \(type) on \(destination): must be mounted on ordinary directory")
                }
                if error.code != ENOENT { throw SystemError("mount \(type) on", destination, code: error.code) }
            }
            _ = try root.makeDirectoriesInRoot(destination)
            return try root.openInRootWithoutLinks(destination, O_PATH | O_DIRECTORY)
        }
        let target = try root.makeDirectoriesInRoot(destination)
        try checkTarget(target, destination)
        return target
    }

    /// What `ro` on /dev asked for, once the devices are made.
    func sealDev(_ plan: ContainerPlan) throws {
        for mount in plan.mounts where mount.destination == "/dev" && mount.options.isReadOnly && !mount.options.isBind {
            let dev = try root.openInRootWithoutLinks("/dev", O_PATH | O_DIRECTORY)
            try Mounts.setAttributes(dev, name: "/dev", set: UInt64(MOUNT_ATTR_RDONLY))
        }
    }
}
