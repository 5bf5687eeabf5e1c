internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// The container's first process from clone3 to execve.
struct ContainerInit: ~Copyable {
    let plan: ContainerPlan
    let sync: SyncChannel
    let entrance: CgroupEntrance
    let gate: Gate
    let available: CapabilitySet

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
            guard let path = plan.namespaces.userPath else {
                try setUp()
                return 1
            }
            try goOnInUserNamespace(path)
            return 0
        } catch { return giveUp(error) }
    }

    private func giveUp(_ error: any Error) -> Int32 {
        let failure = RuntimeError(wrapping: error)
        sync.fail(failure)
        return failure.exitCode
    }

    /// Joins the user namespace and goes on in a process cloned from there: only that can be the first of a pid
    /// namespace which the joined user namespace owns. The runtime is its parent too, and hears of it by its pidfd.
    private func goOnInUserNamespace(_ path: String) throws {
        try Self.join(.user, path)
        try Self.becomeRootOfUserNamespace()
        let process = try ClonedProcess.clone(namespaces: plan.namespaces.cloned, asSibling: true) {
            do { try setUp() } catch { return giveUp(error) }
            return 1
        }
        try sync.send(.cloned, descriptor: process.pidfd.raw)
    }

    private func setUp() throws {
        try enter()
        let root = try RootFilesystem.attach(plan)
        try root.mountAll(plan)
        if plan.fillsDev && Self.hasDev(root.root) { try root.makeDevices(plan) }
        let pid = try runCreationHooks()
        if plan.options.noPivot { try Mounts.moveRoot(to: root.root) } else { try Mounts.pivot(to: root.root) }
        let setup = ProcessSetup(plan: plan.process, stdio: plan.options.stdio, available: available)
        try setup.placeStandardStreams()
        try furnish(root, setup)
        try setup.becomeUser()
        let program = try Program.find(plan.process.spec, environment: setup.environment())
        try waitAtGate(program, setup, pid: pid)
    }

    private static func hasDev(_ root: borrowing OwnedFD) -> Bool {
        (try? root.openInRootWithoutLinks("/dev", O_PATH | O_DIRECTORY)) != nil
    }

    /// What is done while the process still has the host's rights.
    private func prepare() throws {
        // Nobody in the container may look into this process, which still is the host's program (CVE-2019-5736, -2022-29162).
        try retrying("make undumpable") { clp_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) }
        clp_reset_signals()
        try entrance.enter()
        if !plan.namespaces.isNewUser { try Self.setOOMScore(plan.process.spec.oomScoreAdj) }
    }

    /// Identity and namespaces; the cgroup namespace after the process is in its group, which becomes its root.
    private func enter() throws {
        let namespaces = plan.namespaces
        if namespaces.isNewUser {
            try sync.await(.mapped)
            try Self.becomeRootOfUserNamespace()
        }
        let flags = namespaces.unshared | (namespaces.isNewCgroup ? NamespaceKind.cgroup.flag : 0)
        try retrying("create namespaces") { clp_unshare(flags) }
        if let path = namespaces.mountPath { try Self.join(.mnt, path) }
        try retrying("create session") { setsid() }
        if namespaces.isNewNetwork { try bringLoopbackUp() }
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
    private func runCreationHooks() throws -> Int32 {
        let hooks = plan.spec.hooks
        let needsParent = !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty
        if !needsParent && hooks.createContainer.isEmpty && hooks.startContainer.isEmpty { return 0 }
        try sync.send(.hooks)
        guard let event = try sync.receive(), event.kind == .resume, let pid = Int32(event.text) else {
            throw SystemError("wait for the runtime's hooks", code: EPIPE)
        }
        let state = ContainerState.document(plan: plan, pid: pid, status: .creating)
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
        _ = try root.root.makeDirectoriesInRoot(plan.process.spec.cwd)
        try root.sealDev(plan)
        if let propagation = linux.rootfsPropagation.flatMap({ MountOptions(parsing: [$0]).propagation.first }) {
            try Mounts.setPropagation("/", propagation)
        }
        if plan.rootReadOnly { try Mounts.setAttributes(root.root, name: "/", set: UInt64(MOUNT_ATTR_RDONLY)) }
        try root.setSysctls(plan)
        try root.makeReadOnly(linux.readonlyPaths)
        try root.mask(linux.maskedPaths)
        if linux.personality == .linux32 { try retrying("set personality") { clp_personality(UInt(PER_LINUX32)) } }
    }

    /// Waits, runs the last hooks, and becomes the program.
    private func waitAtGate(_ program: Program, _ setup: ProcessSetup, pid: Int32) throws {
        switch gate {
        case .open: try launch(program, setup, sync, pid: pid)
        case .parent:
            try sync.send(.ready)
            try sync.await(.start)
            try launch(program, setup, sync, pid: pid)
        case .listener(let number):
            try sync.send(.ready)
            let starter = SyncChannel(OwnedFD(owning: try retrying("wait for start") { clp_process_accept(number) }))
            do { try launch(program, setup, starter, pid: pid) } catch {
                // The runtime that created this process has gone: its follower hears of the failure.
                let failure = RuntimeError(wrapping: error)
                starter.fail(failure)
                _exit(failure.exitCode)
            }
        }
    }

    private func launch(_ program: Program, _ setup: ProcessSetup, _ channel: borrowing SyncChannel, pid: Int32) throws {
        let hooks = plan.spec.hooks.startContainer
        if !hooks.isEmpty {
            try HookRunner.run(hooks, .startContainer, state: ContainerState.document(plan: plan, pid: pid, status: .created))
        }
        throw try setup.execute(program, channel)
    }
}
