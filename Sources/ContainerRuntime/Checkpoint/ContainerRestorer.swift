internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

/// Makes a container from the images of a checkpoint: the control group and the mount points as for a new container,
/// everything else by criu.
struct ContainerRestorer {
    let plan: ContainerPlan
    let criu: String
    let log: RuntimeLog
    var lsmProfile: String?
    var lsmMountContext: String?

    private var id: String { plan.options.id }

    /// The restored container; its first process is this process's child. On failure nothing is left.
    func restore(_ options: CriuOptions, _ directories: borrowing CheckpointImages) throws -> CreatedContainer {
        let store = plan.options.stateDirectory.map { StateStore(root: $0) }
        try store?.reserve(id)
        do {
            try store?.save(ContainerState(plan: plan, pid: 0, startTime: 0))
            return try SystemdScope.around(plan) { try restore(options, directories, store, expecting: $0) }
        } catch {
            store?.remove(id)
            throw error
        }
    }

    /// `expecting` is a process that is in the control group already.
    private func restore(
        _ options: CriuOptions, _ directories: borrowing CheckpointImages, _ store: StateStore?, expecting process: Int32?
    ) throws -> CreatedContainer {
        let cgroup = try CgroupManager.create(
            path: plan.cgroupPath, resources: plan.cgroupResources, layout: plan.cgroupLayout, expecting: process)
        do { return try restore(options, directories, cgroup, store) } catch {
            try? cgroup.kill()
            try? cgroup.remove()
            throw error
        }
    }

    private func restore(
        _ given: CriuOptions, _ directories: borrowing CheckpointImages, _ cgroup: CgroupManager, _ store: StateStore?
    ) throws -> CreatedContainer {
        try makeMountPoints()
        let mounts = try PrivateMounts(root: plan.rootPath)
        let directories = try CheckpointImages(reopening: directories)
        var options = given
        options.images = directories.images.raw
        options.work = directories.work.raw
        options.isRestore = true
        options.lsmProfile = lsmProfile
        options.lsmMountContext = lsmMountContext
        options.externalMounts = CheckpointTies.mountSources(plan.mounts)
        let null = try OwnedFD.open("/dev/null", O_RDWR)
        options.inherited = try directories.streams(null: null.raw)
        if options.cgroupMode != .ignore { options.cgroupRoots = cgroupRoots() }
        let network = try plan.spec.linux.namespace(.network)?.path.map { (path) throws in try OwnedFD.open(path).take() }
        defer { if let network { _ = close(network) } }
        if let network { options.inherited.append((CheckpointTies.networkKey, network)) }
        var session = CriuSession(program: criu, options: options)
        session.inherited = [null.raw] + (network.map { [$0] } ?? [])
        session.entrance = try cgroup.entrance(includingUnified: true)
        var master: OwnedFD?
        let pid: Int32
        do {
            pid = try session.perform(.restore) { (stage, pid, descriptor) in
                log.debug("criu: \(stage)")
                switch stage {
                case "setup-namespaces": try mounts.outside { try runCreationHooks(pid) }
                case "orphan-pts-master": master = descriptor
                default: break
                }
            }
        } catch {
            try? mounts.leave()
            throw error
        }
        try mounts.leave()
        return try finish(pid, consume master, cgroup, store)
    }

    private func finish(
        _ pid: Int32, _ master: consuming OwnedFD?, _ cgroup: CgroupManager, _ store: StateStore?
    ) throws -> CreatedContainer {
        let pidfd = OwnedFD(owning: try retrying("open restored process", "\(pid)") { clp_pidfd_open(pid, 0) })
        let state = ContainerState.document(plan: plan, pid: pid, status: .running)
        let container = CreatedContainer(
            pid: pid, pidfd: pidfd, terminalMaster: master, cgroup: cgroup, systemdUnit: plan.systemdUnit?.name, gate: nil,
            hooks: plan.spec.hooks, state: state, bundle: plan.options.bundle)
        do {
            try store?.save(ContainerState(plan: plan, pid: pid, startTime: ProcessStatus.snapshot(pid)?.startTime ?? 0))
            try container.runPoststartHooks()
        } catch {
            _ = clp_pidfd_send_signal(container.pidfd.raw, SIGKILL)
            _ = try? ProcessStatus.reap(pid)
            throw error
        }
        return container
    }

    /// Each hierarchy of v1 has its own; cgroup2 is one for all.
    private func cgroupRoots() -> [(controllers: String?, path: String)] {
        let old = plan.cgroupLayout.hierarchies.filter { !$0.isUnified }
        if old.isEmpty { return [(nil, plan.cgroupPath)] }
        return old.map { ($0.controllers.joined(separator: ","), plan.cgroupPath) }
    }

    private func runCreationHooks(_ pid: Int32) throws {
        let hooks = plan.spec.hooks
        if hooks.prestart.isEmpty && hooks.createRuntime.isEmpty { return }
        let state = ContainerState.document(plan: plan, pid: pid, status: .creating)
        try HookRunner.run(hooks.prestart, .prestart, state: state)
        try HookRunner.run(hooks.createRuntime, .createRuntime, state: state)
    }

    /// criu mounts on what is there: a root filesystem that no container ran in lacks the mount points, and so may the source of
    /// a bind mount those inside it. The bind mounts are made for that in a namespace that goes again.
    private func makeMountPoints() throws {
        let mounts = try PrivateMounts(root: plan.rootPath)
        do { try makeMountPointsInside() } catch {
            try? mounts.leave()
            throw error
        }
        try mounts.leave()
    }

    private func makeMountPointsInside() throws {
        let root = try OwnedFD.open(plan.rootPath, O_PATH | O_DIRECTORY)
        for (index, mount) in plan.mounts.enumerated() {
            // What is inside a filesystem of the container's own comes with it.
            let isInside = plan.mounts[..<index].contains { !$0.options.isBind && mount.destination.hasPrefix($0.destination + "/") }
            if isInside { continue }
            switch mount.kind {
            case .bind(let source):
                let isDirectory = Files.isDirectory(source)
                let point = try isDirectory ? root.makeDirectoriesInRoot(mount.destination) : root.makeFileInRoot(mount.destination)
                try Mounts.attach(try Mounts.clone(source, recursive: true), to: point, name: mount.destination)
            case .remount: break
            case .filesystem, .cgroup: _ = try root.makeDirectoriesInRoot(mount.destination)
            }
        }
    }
}
