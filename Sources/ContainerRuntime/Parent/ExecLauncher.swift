internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// Starts a further process in a running container.
struct ExecLauncher {
    let target: ExecTarget
    let plan: ProcessPlan
    let options: ExecOptions
    private let listener: SeccompListener?
    private let cacheAllocation: CacheAllocation?

    init(target: ExecTarget, process: Spec.Process, options: ExecOptions) throws {
        try PreservedDescriptors.check(options.preserveFDs)
        try SpecValidation.process(process)
        self.target = target
        self.options = options
        plan = try ProcessPlan(
            process, target.spec.linux, preserveFDs: options.preserveFDs, cacheDirectory: options.seccompCacheDirectory)
        listener = SeccompListener(spec: target.spec, id: target.id, bundle: target.bundle)
        cacheAllocation = try CacheAllocation(target.spec.linux.intelRdt, id: target.id)
    }

    /// In the container's control group. In that of its first process when the container has divided its own, and the kernel
    /// wants no processes in the outer part (cgroups(7), "no internal processes"), or when its own is gone.
    func launch() throws -> ExecutedProcess {
        let container = try openTarget()
        do { return try launch(container, in: target.cgroup) } catch let refusal as RefusedCgroup {
            guard target.followsProcess, let cgroup = try target.cgroup?.following(process: target.pid) else { throw refusal.cause }
            do { return try launch(container, in: cgroup) } catch let again as RefusedCgroup { throw again.cause }
        }
    }

    /// The container's cgroup2 directory is not there or takes no processes.
    private struct RefusedCgroup: Error {
        let cause: SystemError
    }

    private func launch(_ container: borrowing OwnedFD, in cgroup: CgroupManager?) throws -> ExecutedProcess {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let channel = SyncChannel(pair.first)
        var process = try clone(container, into: cgroup, sync: SyncChannel(pair.second), parentEnd: channel.raw)
        var master: OwnedFD?
        do {
            try cacheAllocation?.enter(process.pid)
            try follow(channel, &process, &master)
        } catch {
            process.killAndReap()
            throw error
        }
        return ExecutedProcess(pid: process.pid, pidfd: process.takePidfd(), terminalMaster: master)
    }

    private func openTarget() throws -> OwnedFD {
        if let given = target.pidfd {
            return OwnedFD(owning: try retrying("duplicate descriptor", "\(given)") { clp_fcntl(given, F_DUPFD_CLOEXEC, 3) })
        }
        return OwnedFD(owning: try retrying("open container process", "\(target.pid)") { clp_pidfd_open(target.pid, 0) })
    }

    private func clone(
        _ container: borrowing OwnedFD, into cgroup: CgroupManager?, sync: consuming SyncChannel, parentEnd: Int32
    ) throws -> ClonedProcess {
        let unified = try Self.noticingRefusal(ENOENT) { () throws(SystemError) in try cgroup?.descriptorForClone() }
        let unifiedNumber: Int32?
        switch unified {
        case .some(let descriptor): unifiedNumber = descriptor.raw
        case .none: unifiedNumber = nil
        }
        var joins = ExecInit.Joins()
        joins.user = try hasOwn(.user)
        // Also one that the configuration does not name: criu restores a container into a time namespace.
        joins.time = try hasOwn(.time)
        joins.pid = joins.user && geteuid() != 0
        if target.spec.linux.namespace(.mount) == nil {
            joins.root = try OwnedFD.open("/proc/\(target.pid)/root", O_PATH | O_DIRECTORY).take()
        }
        defer { if let root = joins.root { _ = close(root) } }
        let child = ExecInit(
            plan: plan, container: container.raw, joins: joins, stdio: options.stdio, sync: sync,
            entrance: try cgroup?.entrance(includingUnified: unifiedNumber == nil), available: try CapabilitySet.permitted())
        var visit = NamespaceVisit()
        // A process enters a pid namespace by being born there.
        if !joins.pid { try visit.enter(.pid, container, name: "of process \(target.pid)") }
        let home = try leaveCPUs()
        defer { if let home { try? ProcessPlacement.setAffinity(home, of: 0) } }
        // On a hybrid host nothing but cgroup2 can refuse a process so; v1 takes it anywhere.
        let process = try Self.noticingRefusal(unifiedNumber == nil ? nil : EBUSY) { () throws(SystemError) in
            try ClonedProcess.clone(namespaces: 0, cgroup: unifiedNumber) {
                _ = close(parentEnd)
                return child.run()
            }
        }
        do { try visit.leave() } catch {
            process.killAndReap()
            throw error
        }
        if let warn = options.warn { plan.warnings(available: joins.user ? .all : child.available).forEach(warn) }
        return process
    }

    private static func noticingRefusal<T: ~Copyable>(_ code: Int32?, _ act: () throws(SystemError) -> T) throws -> T {
        do throws(SystemError) { return try act() } catch {
            if error.code == code { throw RefusedCgroup(cause: error) }
            throw error
        }
    }

    /// Goes to the CPUs on which the process starts (config.md, "execCPUAffinity"); answers those to go back to.
    private func leaveCPUs() throws -> NumberList? {
        guard let cpus = plan.spec.execCPUAffinity?.initial.flatMap({ NumberList(strictly: $0) }) else { return nil }
        let home = try ProcessPlacement.affinity(of: 0)
        try ProcessPlacement.setAffinity(cpus, of: 0)
        return home
    }

    /// Whether the container's namespace is another than the caller's: the kernel refuses to join the user namespace that one
    /// is in. A kernel without namespaces of this kind has one for all.
    private func hasOwn(_ kind: NamespaceKind) throws(SystemError) -> Bool {
        if access(kind.ownPath, F_OK) != 0 { return false }
        return try !NamespaceKind.areSame(kind.path(of: target.pid), kind.ownPath)
    }

    private func follow(_ channel: borrowing SyncChannel, _ process: inout ClonedProcess, _ master: inout OwnedFD?) throws {
        var isExecuting = false
        while var event = try channel.receive() {
            switch event.kind {
            case .executing: isExecuting = true
            case .failed: throw event.failure
            case .terminal: master = event.descriptor.take()
            case .cloned:
                _ = try ProcessStatus.reap(process.pid)
                guard let pidfd = event.descriptor.take() else { throw SystemError("adopt process", code: EPROTO) }
                process = try ClonedProcess.adopting(pidfd)
                try channel.send(.resume)
            case .place:
                try plan.place(process.pid)
                try channel.send(.resume)
            case .listener where listener != nil:
                try listener?.serve(
                    event, channel, process: process.pid, pidfd: process.pidfd.raw, container: target.pid, status: .running)
            default: throw SystemError("receive \(event.kind) from process", code: EPROTO)
            }
        }
        if !isExecuting { throw Launcher.death(of: process.pid) }
    }
}
