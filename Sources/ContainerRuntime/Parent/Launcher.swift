internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

/// The runtime's side of a container's start; SyncChannel.swift draws the conversation.
struct Launcher {
    let plan: ContainerPlan
    let gate: Gate

    /// Who lets the program start.
    enum Gate {
        case open
        case parent
        /// `start` of another process, through a socket in the state directory.
        case stateDirectory
    }

    func launch() throws -> CreatedContainer {
        let store = plan.options.stateDirectory.map { StateStore(root: $0) }
        try PreservedDescriptors.check(plan.options.preserveFDs)
        try store?.reserve(plan.options.id)
        do {
            // Before there is anything to clean up, what to clean up is on record: kill -9 from here on is answered by
            // `delete --force`, which finds the processes through the control group.
            try store?.save(ContainerState(plan: plan, pid: 0, startTime: 0))
            guard let unit = plan.systemdUnit else { return try launch(store, expecting: nil) }
            let scope = try SystemdScope.start(plan, unit)
            defer { withExtendedLifetime(scope) {} }
            do { return try launch(store, expecting: scope.pid) } catch {
                try? SystemdScope.stop(unit.name)
                throw error
            }
        } catch {
            store?.remove(plan.options.id)
            throw error
        }
    }

    /// `expecting` is a process that is in the control group already.
    private func launch(_ store: StateStore?, expecting process: Int32?) throws -> CreatedContainer {
        let cgroup = try CgroupManager.create(
            path: plan.cgroupPath, resources: plan.cgroupResources, layout: plan.cgroupLayout, expecting: process)
        do {
            if let owner = plan.cgroupOwner { try cgroup.delegate(to: owner) }
            return try launch(in: cgroup, store)
        } catch {
            try? cgroup.kill()
            try? cgroup.remove()
            throw error
        }
    }

    private func launch(in cgroup: CgroupManager, _ store: StateStore?) throws -> CreatedContainer {
        // -1 for a gate that needs none; the child has its copy when this one is closed.
        let listener = gate == .stateDirectory ? try (store?.makeStartSocket(plan.options.id) ?? OwnedFD(owning: -1)) : OwnedFD(owning: -1)
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let channel = SyncChannel(pair.first)
        var process = try clone(into: cgroup, sync: SyncChannel(pair.second), parentEnd: channel.raw, listener: listener.raw)
        var master: OwnedFD?
        do {
            if plan.namespaces.userPath == nil { try record(process, store) }
            if plan.namespaces.isNewUser { try mapUsers(process.pid, channel) }
            try converse(channel, &process, &master, store)
        } catch {
            process.killAndReap()
            throw error
        }
        let pid = process.pid
        let state = ContainerState.document(plan: plan, pid: pid, status: .running)
        let container = CreatedContainer(
            pid: pid, pidfd: process.takePidfd(), terminalMaster: master, cgroup: cgroup, systemdUnit: plan.systemdUnit?.name,
            gate: gate == .parent ? channel.takeDescriptor() : nil, hooks: plan.spec.hooks, state: state)
        if gate == .open { try container.runPoststartHooks() }
        return container
    }

    private func clone(
        into cgroup: CgroupManager, sync: consuming SyncChannel, parentEnd: Int32, listener: Int32
    ) throws -> ClonedProcess {
        let unified = try cgroup.descriptorForClone()
        let unifiedNumber: Int32?
        switch unified {
        case .some(let descriptor): unifiedNumber = descriptor.raw
        case .none: unifiedNumber = nil
        }
        let childGate: ContainerInit.Gate =
            switch gate {
            case .open: .open
            case .parent: .parent
            case .stateDirectory: .listener(listener)
            }
        let child = ContainerInit(
            plan: plan, sync: sync, entrance: try cgroup.entrance(includingUnified: unifiedNumber == nil), gate: childGate,
            available: try CapabilitySet.permitted())
        var visit = NamespaceVisit()
        for (kind, path) in plan.namespaces.joined { try visit.enter(kind, try OwnedFD.open(path), name: path) }
        // A user namespace that is joined is the first thing the child does; what it owns is made after that.
        let flags = plan.namespaces.userPath == nil ? plan.namespaces.cloned : 0
        let process = try ClonedProcess.clone(namespaces: flags, cgroup: unifiedNumber) {
            // The parent's end must be the parent's alone, or its death would not be the end of file.
            _ = close(parentEnd)
            return child.run()
        }
        do { try visit.leave() } catch {
            process.killAndReap()
            throw error
        }
        return process
    }

    private func record(_ process: borrowing ClonedProcess, _ store: StateStore?) throws {
        guard let store else { return }
        let startTime = ProcessStatus.snapshot(process.pid)?.startTime ?? 0
        try store.save(ContainerState(plan: plan, pid: process.pid, startTime: startTime))
    }

    /// Gives the new user namespace its ids, and what only its creator may set.
    private func mapUsers(_ pid: Int32, _ channel: borrowing SyncChannel) throws {
        let linux = plan.spec.linux
        try writeMap("/proc/\(pid)/uid_map", linux.uidMappings)
        try writeMap("/proc/\(pid)/gid_map", linux.gidMappings)
        if let score = plan.process.spec.oomScoreAdj { try Files.write("/proc/\(pid)/oom_score_adj", "\(score)", flags: O_WRONLY) }
        try channel.send(.mapped)
    }

    private func writeMap(_ path: String, _ mappings: [Spec.IDMapping]) throws {
        let text = mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
        try Files.write(path, text, flags: O_WRONLY)
    }

    /// Answers the child until it waits at its gate or has become the program.
    private func converse(
        _ channel: borrowing SyncChannel, _ process: inout ClonedProcess, _ master: inout OwnedFD?, _ store: StateStore?
    ) throws {
        var isExecuting = false
        while var event = try channel.receive() {
            switch event.kind {
            case .ready: return
            case .executing: isExecuting = true
            case .failed: throw event.failure
            case .terminal: master = event.descriptor.take()
            case .hooks: try runCreationHooks(process.pid, channel)
            case .cloned:
                _ = try ProcessStatus.reap(process.pid)
                guard let pidfd = event.descriptor.take() else { throw SystemError("adopt container process", code: EPROTO) }
                process = try ClonedProcess.adopting(pidfd)
                try record(process, store)
            case .mapped, .resume, .start, .warning: throw SystemError("receive \(event.kind) from container process", code: EPROTO)
            }
        }
        if !isExecuting { throw Self.death(of: process.pid) }
    }

    private func runCreationHooks(_ pid: Int32, _ channel: borrowing SyncChannel) throws {
        let state = ContainerState.document(plan: plan, pid: pid, status: .creating)
        try HookRunner.run(plan.spec.hooks.prestart, .prestart, state: state)
        try HookRunner.run(plan.spec.hooks.createRuntime, .createRuntime, state: state)
        try channel.send(.resume, "\(pid)")
    }

    /// Why a process went away without a word.
    static func death(of pid: Int32) -> RuntimeError {
        let code = (try? ProcessStatus.reap(pid)) ?? -1
        let reason = code > 128 ? "killed by \(Signal.name(code - 128)); is the memory limit too low?" : "exit code \(code)"
        return RuntimeError(kind: .system(0), message: "container process ended during its set-up: \(reason)")
    }

    /// Follows a process from its gate to its program.
    static func waitForProgram(_ channel: borrowing SyncChannel) throws {
        var isExecuting = false
        while let event = try channel.receive() {
            switch event.kind {
            case .executing: isExecuting = true
            case .failed: throw event.failure
            default: throw SystemError("receive \(event.kind) from container process", code: EPROTO)
            }
        }
        if !isExecuting { throw RuntimeError(kind: .system(0), message: "container process ended before its program was started") }
    }
}
