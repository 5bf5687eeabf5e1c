internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// A further process of a container from clone3 to execve.
struct ExecInit: ~Copyable {
    let plan: ProcessPlan
    /// The pidfd of the container's first process, whose namespaces are joined at once.
    let container: Int32
    let hasUserNamespace: Bool
    let stdio: StandardStreams
    let sync: SyncChannel
    let entrance: CgroupEntrance?
    let available: CapabilitySet

    /// Never returns with success: the program has taken the process then.
    func run() -> Int32 {
        do { throw try setUp() } catch {
            let failure = RuntimeError(wrapping: error)
            sync.fail(failure)
            return failure.exitCode
        }
    }

    private func setUp() throws -> RuntimeError {
        // Before the container's processes can see this one: it still is the host's program (CVE-2019-5736).
        try retrying("make undumpable") { clp_prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) }
        clp_reset_signals()
        try enterCgroup()
        try ContainerInit.setOOMScore(plan.spec.oomScoreAdj)
        let kinds: [NamespaceKind] = [.mnt, .net, .ipc, .uts, .cgroup] + (hasUserNamespace ? [.user] : [])
        let flags = kinds.reduce(0) { $0 | $1.flag }
        try retrying("join the container's namespaces") { clp_setns(container, flags) }
        if hasUserNamespace { try ContainerInit.becomeRootOfUserNamespace() }
        try retrying("create session") { setsid() }
        try SessionKeyring.join(nil)
        let setup = ProcessSetup(plan: plan, stdio: stdio, available: available)
        try setup.placeStandardStreams()
        if plan.spec.terminal {
            let root = RootFilesystem(root: try OwnedFD.open("/", O_PATH | O_DIRECTORY))
            try setup.takeTerminal(try root.openTerminal(), sync)
        }
        try setup.becomeUser()
        let program = try Program.find(plan.spec, environment: setup.environment())
        return try setup.execute(program, sync)
    }

    private func enterCgroup() throws {
        switch entrance {
        case .some(let entrance): try entrance.enter()
        case .none: break
        }
    }
}
