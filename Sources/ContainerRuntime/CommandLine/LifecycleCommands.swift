internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// A container as the commands find it.
struct FoundContainer {
    let state: ContainerState
    let status: ContainerStatus
    let store: StateStore

    init(_ id: String, _ store: StateStore) throws {
        self.init(try store.load(id), store)
    }

    init(_ state: ContainerState, _ store: StateStore) {
        self.state = state
        self.store = store
        if state.pid == 0 {
            status = .creating
        } else if !state.isAlive {
            status = .stopped
        } else if !state.cgroupPath.isEmpty, (try? CgroupManager.open(path: state.cgroupPath))?.isFrozen ?? false {
            status = .paused
        } else {
            status = store.isWaiting(state.id) ? .created : .running
        }
    }

    func cgroup() throws -> CgroupManager {
        if state.cgroupPath.isEmpty {
            throw RuntimeError(kind: .state, message: "container \(state.id) has no control group: this user may not make one")
        }
        return try CgroupManager.open(path: state.cgroupPath)
    }

    /// Nil when the container has none, or none any more.
    func cgroupIfThere() throws -> CgroupManager? {
        if state.cgroupPath.isEmpty { return nil }
        do { return try cgroup() } catch let error as SystemError where error.code == ENOENT { return nil }
    }

    /// For a further process: when nothing is left of the group, its name alone. Nil: the container has none.
    func cgroupToEnter() throws -> CgroupManager? {
        if state.cgroupPath.isEmpty { return nil }
        return try cgroupIfThere() ?? CgroupManager.named(state.cgroupPath)
    }

    /// A handle of the first process that is proven to be the one on record.
    func pidfd() throws -> OwnedFD {
        let pidfd = OwnedFD(owning: try retrying("open container process", "\(state.pid)") { clp_pidfd_open(state.pid, 0) })
        // Looked at after the handle is held: the number cannot have gone to another process since.
        guard state.isAlive else { throw RuntimeError(kind: .state, message: "container not running") }
        return pidfd
    }
}

/// `start`.
enum StartCommand {
    static let definition = CommandDefinition(
        name: "start", operands: "<container-id>", summary: "execute the program of a created container", options: [], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let id = try arguments.containerID()
        let store = globals.store
        let container = try FoundContainer(id, store)
        switch container.status {
        case .created, .creating: break
        case .stopped: throw RuntimeError(kind: .state, message: "cannot start a container that has stopped")
        case .running, .paused: throw RuntimeError(kind: .state, message: "cannot start an already running container")
        }
        // Held before the start: a short program may have ended when the answer comes.
        let pidfd = container.state.spec.hooks.poststart.isEmpty ? OwnedFD(owning: -1) : try container.pidfd()
        let connection: OwnedFD
        do { connection = try store.connectToGate(id) } catch {
            throw RuntimeError(kind: .state, message: "cannot start container \(id): it does not wait for its start")
        }
        store.closeGate(id)
        try Launcher.waitForProgram(SyncChannel(connection))
        let hooks = container.state.spec.hooks.poststart
        if hooks.isEmpty { return 0 }
        let state = container.state.document(status: .running).serialized()
        do { try HookRunner.run(hooks, .poststart, state: state, in: container.state.bundle) } catch {
            // runtime-spec 1.3: a failing poststart hook stops the container.
            _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL)
            throw error
        }
        return 0
    }
}

/// `kill`.
enum KillCommand {
    static let definition = CommandDefinition(
        name: "kill", operands: "<container-id> [signal]", summary: "send a signal (default: SIGTERM) to a container's first process",
        options: [.flag("all", "a", help: "send it to all processes of the container")], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let id = try arguments.containerID(atMost: 2)
        let name = arguments.positionals.count > 1 ? arguments.positionals[1] : "SIGTERM"
        // 0 only asks whether there is a process (kill(2)).
        guard let signal = name == "0" ? 0 : Signal.number(name) else {
            throw RuntimeError(kind: .usage, message: "unknown signal \"\(name)\"")
        }
        let container = try FoundContainer(id, globals.store)
        if arguments.has("all"), let cgroup = try container.cgroupIfThere() {
            try cgroup.kill(signal)
            return 0
        }
        // The kernel ends the others with the first process of a pid namespace, and only then: they may outlive it.
        let namespace = container.state.spec.linux.namespace(.pid)
        let isShared = namespace == nil || namespace?.path != nil
        let hasOthers =
            container.status == .stopped && signal == SIGKILL && isShared && (try? container.cgroup().processes().isEmpty) == false
        if (container.status == .stopped && !hasOthers) || container.state.pid == 0 {
            throw RuntimeError(kind: .state, message: "container not running")
        }
        if signal == SIGKILL && isShared {
            try container.cgroupIfThere()?.kill()
            // It may have been moved out of its group, and the group be gone.
            if let pidfd = try? container.pidfd() { _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL) }
            return 0
        }
        let pidfd = try container.pidfd()
        try retrying("send signal \(name) to", "container \(id)") { clp_pidfd_send_signal(pidfd.raw, signal) }
        // A frozen process dies only when thawed (v1).
        if signal == SIGKILL && container.status == .paused { try container.cgroup().thaw() }
        return 0
    }
}

/// `delete`.
enum DeleteCommand {
    static let definition = CommandDefinition(
        name: "delete", operands: "<container-id>", summary: "take away a container that has stopped",
        options: [.flag("force", "f", help: "kill it first when it runs; no error when there is none")], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let id = try arguments.containerID()
        let force = arguments.has("force")
        let state: ContainerState
        do { state = try globals.store.load(id) } catch {
            guard force else { throw error }
            // Killed before its state was written: no process and no group were made yet.
            globals.store.remove(id)
            return 0
        }
        let container = FoundContainer(state, globals.store)
        switch container.status {
        case .stopped: break
        case .created: try kill(container)
        case .creating, .running, .paused:
            guard force else {
                let status = container.status.rawValue
                throw RuntimeError(kind: .state, message: "cannot delete container \(id) that is not stopped: \(status)")
            }
            if state.pid > 0 { try kill(container) }
        }
        try cleanUp(state.spec, id, state.bundle, try? container.cgroup(), state.systemdUnit, globals)
        return 0
    }

    /// Kills the first process and waits until it is gone, by descriptor.
    private static func kill(_ container: FoundContainer) throws {
        guard let pidfd = try? container.pidfd() else { return }
        _ = clp_pidfd_send_signal(pidfd.raw, SIGKILL)
        if container.status == .paused { try? container.cgroup().thaw() }
        var watched = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
        if try retrying("wait for container", "", { poll(&watched, 1, 10_000) }) == 0 {
            throw RuntimeError(kind: .state, message: "container \(container.state.id) does not end after SIGKILL")
        }
    }

    /// Takes away what is left of a container whose first process has ended.
    static func cleanUp(
        _ spec: Spec, _ id: String, _ bundle: String, _ cgroup: CgroupManager?, _ unit: String?, _ globals: GlobalOptions
    ) throws {
        // Without a pid namespace of its own the others live on, and a group with processes cannot go.
        if spec.linux.namespace(.pid)?.path != nil || spec.linux.namespace(.pid) == nil { try cgroup?.kill() }
        if let unit {
            // The container goes in any case; systemd forgets a scope that is empty by itself, unless it failed.
            do { try ContainerRuntime.stopScope(unit) } catch { globals.log.warn(error.message) }
        }
        if let cgroup {
            // The directory that relative paths lie in goes with the last of them.
            defer { if let path = spec.linux.cgroupsPath, unit == nil, !path.hasPrefix("/") { cgroup.removeEmptyParent() } }
            do { try cgroup.remove() } catch {
                try cgroup.kill()
                try cgroup.remove()
            }
        }
        ContainerRuntime.release(spec: spec, id: id)
        globals.store.remove(id)
        for failure in ContainerRuntime.runPoststopHooks(spec: spec, id: id, bundle: bundle) { globals.log.warn(failure.message) }
    }
}

/// `pause` and `resume`.
enum PauseCommand {
    static let pause = CommandDefinition(
        name: "pause", operands: "<container-id>", summary: "freeze all processes of a container", options: []
    ) { globals, arguments in
        let container = try FoundContainer(try arguments.containerID(), globals.store)
        guard container.status == .running || container.status == .created else {
            throw RuntimeError(kind: .state, message: "container not running or created: \(container.status.rawValue)")
        }
        try container.cgroup().freeze()
        return 0
    }

    static let resume = CommandDefinition(
        name: "resume", operands: "<container-id>", summary: "let a paused container go on", options: []
    ) { globals, arguments in
        let container = try FoundContainer(try arguments.containerID(), globals.store)
        guard container.status == .paused else { throw RuntimeError(kind: .state, message: "container not paused") }
        let cgroup = try container.cgroup()
        try cgroup.thaw()
        if cgroup.isFrozenFromAbove {
            throw RuntimeError(kind: .state, message: "cannot resume container: a cgroup above \(cgroup.path) is frozen")
        }
        return 0
    }
}
