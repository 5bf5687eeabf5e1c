// ContainerRuntime: makes a container out of a `Spec` (OCI runtime specification 1.2) on this kernel.
//
// `ContainerRuntime.create` clones the container's first process with its namespaces, sets up its mounts, devices,
// limits and credentials, and leaves it waiting at the gate; `CreatedContainer.start()` opens the gate and tells
// whether the program could be executed. `ContainerRuntime.run` is both at once, without the wait.
// `ContainerRuntime.exec` starts a further process in a running container.
//
// The caller must be single-threaded: Swift code runs in the cloned child before it executes the program. The caller
// is the parent of what it starts and reaps it. Errors are `RuntimeError`, one line each.
//
// Used by Shim (in process) and by the command line in CommandLine/ (`clipper-runtime create start run exec…`).
internal import CLinux
internal import JSON
public import Linux
public import OCIRuntimeSpec

/// Starts containers and processes in them.
public enum ContainerRuntime {
    /// Clones and sets up a container; its program waits for `CreatedContainer.start()`.
    /// On failure nothing is left: no process, no control group, no state directory.
    public static func create(spec: Spec, options: CreateOptions) throws(RuntimeError) -> CreatedContainer {
        try launch(spec, options, .parent)
    }

    /// `create` and `start` in one go, faster: the program is executed as soon as everything is set up.
    /// Returns when the program runs; throws when it could not be executed.
    public static func run(spec: Spec, options: CreateOptions) throws(RuntimeError) -> CreatedContainer {
        try launch(spec, options, .open)
    }

    static func launch(_ spec: Spec, _ options: CreateOptions, _ gate: Launcher.Gate) throws(RuntimeError) -> CreatedContainer {
        do { return try Launcher(plan: try ContainerPlan(spec: spec, options: options), gate: gate).launch() } catch {
            throw RuntimeError(wrapping: error)
        }
    }

    /// Starts a further process in a running container. Returns when its program runs.
    public static func exec(in target: ExecTarget, process: Spec.Process, options: ExecOptions) throws(RuntimeError) -> ExecutedProcess {
        do { return try ExecLauncher(target: target, process: process, options: options).launch() } catch {
            throw RuntimeError(wrapping: error)
        }
    }

    /// Changes the limits of a running container. systemd hears of them first where the group is a scope of its own making.
    public static func update(_ cgroup: CgroupManager, systemdUnit: String?, to changes: Spec.Resources) throws(RuntimeError) {
        do {
            var resources = try CgroupResources(changes)
            if !resources.devices.isEmpty { resources.devices += DeviceRule.containerDefaults }
            if let systemdUnit { try SystemdScope.update(systemdUnit, resources, isUnified: cgroup.layout.version == .v2) }
            try cgroup.apply(resources)
        } catch { throw RuntimeError(wrapping: error) }
    }

    /// Ends the scope that a container's control group is, and makes systemd forget it; before the group is removed. A scope that
    /// is gone is no error.
    public static func stopScope(_ unit: String) throws(RuntimeError) {
        do { try SystemdScope.stop(unit) } catch { throw RuntimeError(wrapping: error) }
    }

    /// Takes away what a container had of the host beside its control group, after its end: its class of resctrl.
    public static func release(spec: Spec, id: String) {
        if let rdt = spec.linux.intelRdt { try? CacheAllocation(rdt, id: id)?.remove() }
    }

    /// Runs the hooks that follow a container's end (runtime.md, "Lifecycle", step 13); answers what went wrong, which
    /// stops nothing.
    public static func runPoststopHooks(spec: Spec, id: String, bundle: String) -> [RuntimeError] {
        if spec.hooks.poststop.isEmpty { return [] }
        let state = ContainerState.document(
            id: id, bundle: bundle, version: spec.ociVersion, annotations: spec.annotations, pid: 0, status: .stopped)
        return HookRunner.runAll(spec.hooks.poststop, .poststop, state: state.serialized(), in: bundle)
    }
}

/// What `create` needs beside the spec.
public struct CreateOptions: Sendable {
    /// The container's name, as `ContainerID.validate` allows.
    public var id: String
    /// The directory of config.json; relative root and mount sources start here. Absolute.
    public var bundle: String
    /// Where `<id>/state.json` is kept for the command line; nil keeps no state (the caller does).
    public var stateDirectory: String?
    /// Descriptors that become the program's 0, 1 and 2. Not used with `process.terminal`: then the runtime opens a
    /// pseudoterminal inside the container and gives its master back.
    public var stdio = StandardStreams.inherited
    /// A detached mount (open_tree(2), fsmount(2)) that becomes the root filesystem; it is attached on the directory
    /// `root.path`, in the container's mount namespace alone.
    public var rootfsDescriptor: Int32?
    /// How many descriptors from 3 on the program keeps.
    public var preserveFDs = 0
    /// MS_MOVE and chroot instead of pivot_root, for a root filesystem on the initial ramdisk.
    public var noPivot = false
    /// Keeps the caller's session keyring.
    public var noNewKeyring = false
    /// `linux.cgroupsPath` is `slice:prefix:name`.
    public var systemdCgroup = false
    /// Whether a container that names no control group and has no limits goes without one where the host refuses the right to
    /// make it; nil: when the caller is not the host's root.
    public var canLackCgroup: Bool?
    /// Where compiled seccomp programs are kept; nil compiles each time.
    public var seccompCacheDirectory: String?
    /// Hears what the container was to have and cannot get, which stops nothing (runtime.md, "Warnings").
    public var warn: (@Sendable (String) -> Void)?

    public init(id: String, bundle: String) {
        self.id = id
        self.bundle = bundle
    }
}

/// Descriptors for a program's standard streams; the caller keeps owning them.
public struct StandardStreams: Sendable, Equatable {
    public var input: Int32
    public var output: Int32
    public var error: Int32

    public init(input: Int32, output: Int32, error: Int32) {
        self.input = input
        self.output = output
        self.error = error
    }

    /// For `process.terminal` alone: the caller copies between its own terminal (or whatever its 0 and 1 are) and the
    /// process's, so lines end with a line feed alone there.
    public static let relayedTerminal = StandardStreams(input: -1, output: -1, error: -1)
    /// The caller's own.
    public static let inherited = StandardStreams(input: 0, output: 1, error: 2)
}

/// A container whose first process is set up.
public struct CreatedContainer: ~Copyable {
    /// In the caller's pid namespace. The caller reaps it.
    public let pid: Int32
    /// For waiting (poll, waitid) and signals, free of pid reuse.
    public let pidfd: OwnedFD
    /// The pseudoterminal's master when `process.terminal` is set.
    public var terminalMaster: OwnedFD?
    /// The container's control group, for limits, statistics, freezing; the caller removes it after the end.
    public let cgroup: CgroupManager?
    /// The scope that the control group is, when systemd made it; stopped by the caller before the removal.
    public let systemdUnit: String?
    /// The socket to the waiting process; nil once it runs.
    var gate: OwnedFD?
    /// For the hooks that follow the start.
    let hooks: Spec.Hooks
    let state: [UInt8]
    let bundle: String

    /// Executes the program and returns when it runs. A program that cannot be executed is a `commandNotFound` or
    /// `commandNotExecutable` error; the process has ended and is reaped then, and the control group is left to remove.
    public mutating func start() throws(RuntimeError) {
        guard let gate = gate.take() else { throw RuntimeError(kind: .state, message: "container is running already") }
        let channel = SyncChannel(gate)
        do {
            try channel.send(.start)
            try Launcher.waitForProgram(channel)
        } catch {
            _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL)
            _ = try? ProcessStatus.reap(pid)
            throw RuntimeError(wrapping: error)
        }
        try runPoststartHooks()
    }

    /// A failing hook ends the container (runtime-spec 1.3); the caller reaps it as ever.
    func runPoststartHooks() throws(RuntimeError) {
        if hooks.poststart.isEmpty { return }
        do { try HookRunner.run(hooks.poststart, .poststart, state: state, in: bundle) } catch {
            _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL)
            throw error
        }
    }
}

/// The running container that `exec` enters.
public struct ExecTarget: Sendable {
    /// The container's first process, in the caller's pid namespace.
    public var pid: Int32
    /// A pidfd of it, which guards against reuse of the number; nil opens one.
    public var pidfd: Int32?
    /// The container's name and bundle, for a seccomp listener.
    public var id: String
    public var bundle: String
    /// The container's configuration: its further processes get the same filter, personality and memory policy.
    public var spec: Spec
    /// The group that the process enters; nil stays in the caller's.
    public var cgroup: CgroupManager?
    /// Enter the groups that the first process has moved to when `cgroup` takes no process or is gone.
    public var followsProcess = true

    public init(pid: Int32, pidfd: Int32? = nil, id: String, bundle: String, spec: Spec, cgroup: CgroupManager? = nil) {
        self.pid = pid
        self.pidfd = pidfd
        self.id = id
        self.bundle = bundle
        self.spec = spec
        self.cgroup = cgroup
    }
}

/// What `exec` needs beside the process.
public struct ExecOptions: Sendable {
    /// As in `CreateOptions`.
    public var stdio = StandardStreams.inherited
    public var preserveFDs = 0
    public var seccompCacheDirectory: String?
    public var warn: (@Sendable (String) -> Void)?

    public init() {}
}

/// A further process in a container; its program runs. The caller reaps it.
public struct ExecutedProcess: ~Copyable {
    public let pid: Int32
    public let pidfd: OwnedFD
    public var terminalMaster: OwnedFD?
}
