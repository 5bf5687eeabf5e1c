internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

/// The runtime's side of a container's start; SyncChannel.swift draws the conversation.
struct Launcher {
    private(set) var plan: ContainerPlan
    let gate: Gate

    init(plan: ContainerPlan, gate: Gate) {
        self.plan = plan
        self.gate = gate
    }

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
            return try SystemdScope.around(plan) { try launch(store, expecting: $0) }
        } catch {
            store?.remove(plan.options.id)
            throw error
        }
    }

    /// `expecting` is a process that is in the control group already.
    private func launch(_ store: StateStore?, expecting process: Int32?) throws -> CreatedContainer {
        let cgroup = try makeCgroup(expecting: process)
        do {
            if let owner = plan.cgroupOwner, !plan.namespaces.isRootless { try cgroup?.delegate(to: owner) }
            try plan.cacheAllocation?.prepare()
            do { return try withoutMissing(cgroup).launch(in: cgroup, store) } catch {
                plan.cacheAllocation?.remove()
                throw error
            }
        } catch {
            try? cgroup?.kill()
            try? cgroup?.remove()
            throw error
        }
    }

    /// The same without the path of a control group that could not be made.
    private func withoutMissing(_ cgroup: CgroupManager?) -> Launcher {
        var result = self
        if cgroup == nil { result.plan.cgroupPath = "" }
        return result
    }

    private func launch(in cgroup: CgroupManager?, _ store: StateStore?) throws -> CreatedContainer {
        // -1 for a gate that needs none; the child has its copy when this one is closed.
        let listener = gate == .stateDirectory ? try (store?.makeStartSocket(plan.options.id) ?? OwnedFD(owning: -1)) : OwnedFD(owning: -1)
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let channel = SyncChannel(pair.first)
        let hostMounts = try HostMounts(plan)
        var process = try clone(into: cgroup, sync: SyncChannel(pair.second), parentEnd: channel.raw, listener: listener.raw)
        var master: OwnedFD?
        do {
            if !plan.namespaces.clonesTwice { try adopt(process, store) }
            if plan.namespaces.isNewUser { try mapUsers(process, channel) }
            try converse(channel, &process, &master, store)
        } catch {
            process.killAndReap()
            hostMounts?.detach()
            throw error
        }
        let pid = process.pid
        let state = ContainerState.document(plan: plan, pid: pid, status: .running)
        let container = CreatedContainer(
            pid: pid, pidfd: process.takePidfd(), terminalMaster: master, cgroup: cgroup, systemdUnit: plan.systemdUnit?.name,
            gate: gate == .parent ? channel.takeDescriptor() : nil, hooks: plan.spec.hooks, state: state, bundle: plan.options.bundle)
        if gate == .open { try container.runPoststartHooks() }
        return container
    }

    private func clone(
        into cgroup: CgroupManager?, sync: consuming SyncChannel, parentEnd: Int32, listener: Int32
    ) throws -> ClonedProcess {
        let unified = try cgroup?.descriptorForClone()
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
        let prepared = try PreparedMounts(plan)
        defer { prepared.closeAll() }
        let child = ContainerInit(
            plan: plan, sync: sync, entrance: try cgroup?.entrance(includingUnified: unifiedNumber == nil), gate: childGate,
            available: try CapabilitySet.permitted(), trees: prepared.trees)
        var visit = NamespaceVisit()
        let namespaces = plan.namespaces
        // An ordinary user has no right to what belongs to the user namespace before the child is in that.
        let joined = namespaces.isRootless && namespaces.userPath != nil ? [] : namespaces.joined
        for (kind, path) in joined { try visit.enter(kind, try OwnedFD.open(path), name: path) }
        if namespaces.isNewTime && !namespaces.hasUser { try visit.enterNewTime(offsets: namespaces.timeOffsets) }
        let process = try Self.explainingRights(namespaces) { () throws(SystemError) in
            // A user namespace that is joined is the first thing the child does; what it owns is made after that.
            try ClonedProcess.clone(namespaces: namespaces.firstClone, cgroup: unifiedNumber) {
                // The parent's end must be the parent's alone, or its death would not be the end of file.
                _ = close(parentEnd)
                return child.run()
            }
        }
        do { try visit.leave() } catch {
            process.killAndReap()
            throw error
        }
        // While the child works; in a user namespace of its own it lacks nothing.
        if let warn = plan.options.warn { plan.process.warnings(available: namespaces.hasUser ? .all : child.available).forEach(warn) }
        return process
    }

    /// Puts the container's first process on record, and where the specification wants it, before it has children.
    private func adopt(_ process: borrowing ClonedProcess, _ store: StateStore?) throws {
        try record(process, store)
        try plan.cacheAllocation?.enter(process.pid)
    }

    private func record(_ process: borrowing ClonedProcess, _ store: StateStore?) throws {
        guard let store else { return }
        let startTime = ProcessStatus.snapshot(process.pid)?.startTime ?? 0
        try store.save(ContainerState(plan: plan, pid: process.pid, startTime: startTime))
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
                try adopt(process, store)
                try channel.send(.resume)
            case .timed, .network, .place: try help(event.kind, process.pid, channel)
            case .source: try openSource(&event, channel)
            case .listener:
                try serve(event, channel, process)
            case .mapped, .resume, .start, .warning: throw SystemError("receive \(event.kind) from container process", code: EPROTO)
            }
        }
        if !isExecuting { throw Self.death(of: process.pid) }
    }

    private func runCreationHooks(_ pid: Int32, _ channel: borrowing SyncChannel) throws {
        let state = ContainerState.document(plan: plan, pid: pid, status: .creating)
        try HookRunner.run(plan.spec.hooks.prestart, .prestart, state: state, in: plan.options.bundle)
        try HookRunner.run(plan.spec.hooks.createRuntime, .createRuntime, state: state, in: plan.options.bundle)
        try channel.send(.resume, "\(pid)")
    }

    /// Why a process went away without a word.
    static func death(of pid: Int32) -> RuntimeError {
        let code = (try? ProcessStatus.reap(pid)) ?? -1
        let reason = code > 128 ? "killed by \(Signal.name(code - 128)); is the memory limit too low?" : "exit code \(code)"
        return RuntimeError(kind: .system(0), message: "container process ended during its set-up: \(reason)")
    }

    /// Follows a container's first process from its gate to its program.
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
