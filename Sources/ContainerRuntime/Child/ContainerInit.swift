internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The container's first process from clone3 to execve.
struct ContainerInit: ~Copyable {
    let plan: ContainerPlan
    let sync: SyncChannel
    /// nil for a container without a control group of its own.
    let entrance: CgroupEntrance?
    let gate: Gate
    let available: CapabilitySet
    /// The mounts that the runtime has made already, by their place in the plan.
    var trees: [Int: Int32] = [:]

    /// Where the process waits before its program.
    enum Gate {
        /// Not at all.
        case open
        /// For a `start` message of the parent.
        case parent
        /// For whoever connects to the listening socket of that number.
        case listener(Int32)
    }

    /// Never returns with success: the program has taken the process then.
    func run() -> Int32 {
        do {
            try prepare()
            if !plan.namespaces.clonesTwice {
                try setUp()
                return 1
            }
            try goOnInUserNamespace()
            return 0
        } catch { return giveUp(error) }
    }

    private func giveUp(_ error: any Error) -> Int32 {
        let failure = RuntimeError(wrapping: error)
        sync.fail(failure)
        return failure.exitCode
    }

    /// Joins the user namespace (or makes the time namespace that the new one owns) and goes on in a process cloned from
    /// there: only that can be the first of a pid namespace which the joined user namespace owns, or be in a new time
    /// namespace. The runtime is its parent too, and hears of it by its pidfd.
    private func goOnInUserNamespace() throws {
        let namespaces = plan.namespaces
        if let path = namespaces.userPath {
            try Self.join(.user, path)
            try Self.becomeRootOfUserNamespace()
            // Without rights outside, the runtime could not enter what belongs to the user namespace.
            if namespaces.isRootless { for (kind, path) in namespaces.joined { try Self.join(kind, path) } }
            if namespaces.isNewTime { try makeTimeNamespace() }
        } else {
            try awaitMapping { try makeTimeNamespace() }
        }
        let process = try ClonedProcess.clone(namespaces: namespaces.secondClone, asSibling: true) {
            do {
                // What it asks for is done to the process that the runtime knows.
                try sync.await(.resume)
                try setUp()
            } catch { return giveUp(error) }
            return 1
        }
        try sync.send(.cloned, descriptor: process.pidfd.raw)
    }

    /// For the children; its offsets are the runtime's to write.
    private func makeTimeNamespace() throws {
        try retrying("create time namespace") { clp_unshare(NamespaceKind.time.flag) }
        if !plan.namespaces.timeOffsets.isEmpty { try sync.ask(.timed) }
    }

    /// Waits for the ids of the new user namespace, and does what else the runtime has a part in. The process of an ordinary
    /// user shows itself until then: its files in /proc would not be that user's.
    private func awaitMapping(_ more: () throws -> Void = {}) throws {
        try sync.await(.mapped)
        try more()
        if plan.namespaces.isRootless { try Self.hide() }
        try Self.becomeRootOfUserNamespace()
    }

    /// Nobody in the container may look into this process, which still is the host's program (CVE-2019-5736, -2022-29162).
    static func hide() throws { try retrying("make undumpable") { clp_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) } }

    private func setUp() throws {
        try enter()
        let root = try RootFilesystem.attach(plan)
        try root.mountAll(plan, trees, sync)
        if try plan.fillsDev && Self.hasDev(root.root) { try root.makeDevices(plan) }
        let pid = try runCreationHooks(root)
        if !plan.namespaces.hasMount {
            try Mounts.changeRoot(to: root.root)
        } else if plan.options.noPivot {
            try Mounts.moveRoot(to: root.root)
        } else {
            try Mounts.pivot(to: root.root, isShared: plan.spec.linux.rootfsPropagation != nil)
        }
        let setup = ProcessSetup(plan: plan.process, stdio: plan.options.stdio, available: try capabilities())
        try setup.placeStandardStreams()
        try furnish(root, setup)
        try setup.becomeUser(sync)
        let program = try Program.find(plan.process.spec, environment: setup.environment())
        try waitAtGate(program, setup, pid: pid)
    }

    /// In a user namespace of its own a process has them all, however few its creator has.
    private func capabilities() throws -> CapabilitySet { plan.namespaces.hasUser ? try CapabilitySet.permitted() : available }

    /// An image without /dev, to which the spec mounts none, stays without devices. One whose /dev is a symbolic link is
    /// refused: its devices would be made elsewhere.
    private static func hasDev(_ root: borrowing OwnedFD) throws(SystemError) -> Bool {
        do throws(SystemError) { _ = try root.openInRootWithoutLinks("/dev", O_PATH | O_DIRECTORY) } catch {
            if error.code == ENOENT { return false }
            throw SystemError("make devices in", "/dev", code: error.code)
        }
        return true
    }

    /// What is done while the process still has the host's rights.
    private func prepare() throws {
        if !(plan.namespaces.isNewUser && plan.namespaces.isRootless) { try Self.hide() }
        clp_reset_signals()
        switch entrance {
        case .some(let entrance): try entrance.enter()
        case .none: break
        }
        // In its cpuset: the runtime's own binding to some CPUs (taskset, an engine's) is not the container's.
        try ProcessPlacement.allowAllCPUs()
        if !plan.namespaces.isNewUser || plan.namespaces.isRootless { try Self.setOOMScore(plan.process.spec.oomScoreAdj) }
    }

    /// Identity and namespaces; the cgroup namespace after the process is in its group, which becomes its root.
    private func enter() throws {
        let namespaces = plan.namespaces
        if namespaces.isNewUser && !namespaces.clonesTwice { try awaitMapping() }
        let flags = namespaces.unshared | (namespaces.isNewCgroup ? NamespaceKind.cgroup.flag : 0)
        try retrying("create namespaces") { clp_unshare(flags) }
        if let path = namespaces.mountPath { try Self.join(.mnt, path) }
        try retrying("create session") { setsid() }
        if namespaces.isNewNetwork { try bringLoopbackUp() }
        if !plan.spec.linux.netDevices.isEmpty { try sync.ask(.network) }
        if !plan.options.noNewKeyring { try SessionKeyring.join(plan.options.id) }
        try setNames()
    }

    static func join(_ kind: NamespaceKind, _ path: String) throws {
        let namespace = try OwnedFD.open(path)
        try retrying("join \(kind.rawValue) namespace", path) { clp_setns(namespace.raw, kind.flag) }
    }

    static func becomeRootOfUserNamespace() throws {
        try retrying("set group in user namespace") { clp_setresgid(0) }
        try retrying("set user in user namespace") { clp_setresuid(0) }
    }

    static func setOOMScore(_ score: Int32?) throws {
        guard let score else { return }
        do { try Files.write("/proc/self/oom_score_adj", "\(score)", flags: O_WRONLY) } catch {
            let hint = error.code == EACCES || error.code == EPERM ? " (the host forbids lowering it; that needs CAP_SYS_RESOURCE)" : ""
            throw SystemError("set oom score", "to \(score)\(hint)", code: error.code)
        }
    }

    private func bringLoopbackUp() throws {
        let socket = OwnedFD(
            owning: try retrying("open socket") { Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0) })
        try retrying("bring loopback interface up") { clp_loopback_up(socket.raw) }
    }

    private func setNames() throws {
        if let name = plan.spec.hostname, !name.isEmpty {
            try retrying("set hostname", name) { clp_sethostname(name, name.utf8.count) }
        }
        if let name = plan.spec.domainname, !name.isEmpty {
            try retrying("set domainname", name) { clp_setdomainname(name, name.utf8.count) }
        }
    }

    /// The hooks between "mounts are there" and pivot_root. Answers this process's pid on the host, for their state.
    private func runCreationHooks(_ root: borrowing RootFilesystem) throws -> Int32 {
        let hooks = plan.spec.hooks
        let needsParent = !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty
        if !needsParent && hooks.createContainer.isEmpty && hooks.startContainer.isEmpty { return 0 }
        try sync.send(.hooks)
        guard let event = try sync.receive(), event.kind == .resume, let pid = Int32(event.text) else {
            throw SystemError("wait for the runtime's hooks", code: EPIPE)
        }
        if hooks.createContainer.isEmpty { return pid }
        let state = ContainerState.document(plan: plan, pid: pid, status: .creating)
        // As under runc; changing the root moves the working directory anyway.
        try retrying("change directory to root filesystem", plan.rootPath) { fchdir(root.root.raw) }
        try HookRunner.run(hooks.createContainer, .createContainer, state: state)
        return pid
    }

    /// What is done inside the new root, in the order in which each step still can: parameters before /proc/sys is
    /// read-only, masks after it.
    private func furnish(_ root: borrowing RootFilesystem, _ setup: ProcessSetup) throws {
        let linux = plan.spec.linux
        if plan.process.spec.terminal {
            let terminal = try root.openTerminal()
            try root.bindConsole(terminal)
            try setup.takeTerminal(terminal, sync)
        }
        do { _ = try root.root.makeDirectoriesInRoot(plan.process.spec.cwd) } catch {
            throw SystemError("make working directory", plan.process.spec.cwd, code: error.code)
        }
        try root.sealDev(plan)
        if plan.rootReadOnly { try Mounts.setAttributes(root.root, name: "/", set: UInt64(MOUNT_ATTR_RDONLY)) }
        try root.setSysctls(plan)
        try root.makeReadOnly(linux.readonlyPaths)
        try root.mask(linux.maskedPaths, label: linux.mountLabel)
        // After the binds above: what is unbindable could not be bound over itself.
        if let propagation = linux.rootfsPropagation.flatMap({ MountOptions(parsing: [$0]).propagation.first }) {
            try Mounts.setPropagation("/", propagation)
        }
    }

    /// Waits, runs the last hooks, and becomes the program.
    private func waitAtGate(_ program: Program, _ setup: ProcessSetup, pid: Int32) throws {
        // A listener hears of a container that is being created (config-linux.md, "The Container Process State"), as under runc.
        let isConfined = plan.listener != nil
        switch gate {
        case .open: try launch(program, setup, sync, pid: pid, isConfined: false)
        case .parent:
            clp_end_by_signals()
            if isConfined { try setup.confine(sync) }
            try sync.sendPlainly(.ready)
            try sync.awaitPlainly(.start)
            try launch(program, setup, sync, pid: pid, isConfined: isConfined)
        case .listener(let number):
            // Before the runtime says that there is a container, which can be killed from then on.
            clp_end_by_signals()
            if isConfined {
                try closeAll(but: number)
                try setup.confine(sync)
            }
            try sync.sendPlainly(.ready)
            if !isConfined { try closeAll(but: number) }
            let starter = SyncChannel(OwnedFD(owning: try retrying("wait for start") { clp_process_accept(number) }))
            do { try launch(program, setup, starter, pid: pid, isConfined: isConfined) } catch {
                // The runtime that created this process has gone: its follower hears of the failure.
                let failure = RuntimeError(wrapping: error)
                starter.fail(failure)
                _exit(failure.exitCode)
            }
        }
    }

    /// Nobody's file, pipe or cgroup stays open because a created container waits for its start, whatever the caller had
    /// open. Only the descriptors that the program is to have, the runtime's channel and the listener are kept.
    private func closeAll(but listener: Int32) throws {
        var first = UInt32(3 + plan.options.preserveFDs)
        for kept in [listener, sync.raw].map(UInt32.init).sorted() where kept >= first {
            if kept > first { try retrying("close descriptors") { clp_close_range(first, kept - 1, 0) } }
            first = kept + 1
        }
        try retrying("close descriptors") { clp_close_range(first, UInt32.max, 0) }
    }

    private func launch(
        _ program: Program, _ setup: ProcessSetup, _ channel: borrowing SyncChannel, pid: Int32, isConfined: Bool
    ) throws {
        var isConfined = isConfined
        var hooks = plan.spec.hooks.startContainer
        if !hooks.isEmpty {
            // What they execute is the image's: it gets no more of the kernel than the program.
            if !isConfined { try setup.confine(channel) }
            isConfined = true
            // In the container there is no environment but the program's.
            for index in hooks.indices where hooks[index].env.isEmpty { hooks[index].env = program.environment }
            try HookRunner.run(hooks, .startContainer, state: ContainerState.document(plan: plan, pid: pid, status: .created))
        }
        throw try isConfined ? setup.executeConfined(program, channel) : setup.execute(program, channel)
    }
}
