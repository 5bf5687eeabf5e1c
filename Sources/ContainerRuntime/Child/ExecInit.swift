internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// A further process of a container from clone3 to execve.
struct ExecInit: ~Copyable {
    let plan: ProcessPlan
    /// The pidfd of the container's first process, whose namespaces are joined at once.
    let container: Int32
    /// Which namespaces beside the ones that every container's processes share.
    let joins: Joins
    let stdio: StandardStreams
    let sync: SyncChannel
    let entrance: CgroupEntrance?
    let available: CapabilitySet

    struct Joins {
        var user = false
        var time = false
        /// Also the pid namespace, and the process is cloned once more in it: an ordinary user's runtime has no right to
        /// enter it before it is in the user namespace.
        var pid = false
        /// The container's root directory, when it has no mount namespace of its own: what is joined then ends in the host's.
        var root: Int32?
    }

    /// Never returns with success: the program has taken the process then.
    func run() -> Int32 {
        do {
            try prepare()
            if !joins.pid { throw try setUp() }
            let process = try ClonedProcess.clone(namespaces: 0, asSibling: true) {
                do {
                    // What it asks for is done to the process that the runtime knows.
                    try sync.await(.resume)
                    throw try setUp()
                } catch { return giveUp(error) }
            }
            try sync.send(.cloned, descriptor: process.pidfd.raw)
            return 0
        } catch { return giveUp(error) }
    }

    private func giveUp(_ error: any Error) -> Int32 {
        let failure = RuntimeError(wrapping: error)
        sync.fail(failure)
        return failure.exitCode
    }

    private func prepare() throws {
        // Before the container's processes can see this one: it still is the host's program (CVE-2019-5736).
        let score = plan.spec.oomScoreAdj
        // The file is an ordinary user's own only as long as the process is dumpable.
        if joins.pid { try ContainerInit.setOOMScore(score) }
        try ContainerInit.hide()
        clp_reset_signals()
        try enterCgroup()
        if !joins.pid { try ContainerInit.setOOMScore(score) }
        try placeOnCPUs()
        var kinds: [NamespaceKind] = [.net, .ipc, .uts, .cgroup]
        if joins.root == nil { kinds.append(.mnt) }
        if joins.user { kinds.append(.user) }
        if joins.time { kinds.append(.time) }
        if joins.pid { kinds.append(.pid) }
        let flags = kinds.reduce(0) { $0 | $1.flag }
        try retrying("join the container's namespaces") { clp_setns(container, flags) }
        if let root = joins.root { try Mounts.changeRoot(to: OwnedFD(owning: root)) }
        if joins.user { try ContainerInit.becomeRootOfUserNamespace() }
    }

    /// In its cpuset. Without a wish, the runtime's own binding to some CPUs is not the container's; a process with an
    /// `initial` one alone stays there (config.md, "execCPUAffinity").
    private func placeOnCPUs() throws {
        let wish = plan.spec.execCPUAffinity
        if let cpus = wish?.final.flatMap({ NumberList(strictly: $0) }) {
            try ProcessPlacement.setAffinity(cpus, of: 0)
        } else if wish?.initial == nil {
            try ProcessPlacement.allowAllCPUs()
        }
    }

    private func setUp() throws -> RuntimeError {
        try retrying("create session") { setsid() }
        try SessionKeyring.join(nil)
        let capabilities = joins.user ? try CapabilitySet.permitted() : available
        let setup = ProcessSetup(plan: plan, stdio: stdio, available: capabilities)
        try setup.placeStandardStreams()
        if plan.spec.terminal {
            let root = RootFilesystem(root: try OwnedFD.open("/", O_PATH | O_DIRECTORY))
            try setup.takeTerminal(try root.openTerminal(), sync)
        }
        try setup.becomeUser(sync)
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
