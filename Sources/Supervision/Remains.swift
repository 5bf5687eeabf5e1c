internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol
internal import Systemd

/// What a shim that is gone has left in the run directory and on the machine.
enum Remains {
    /// The record of this run of the container, if its shim came to write it.
    static func exitRecord(_ path: String, of state: ContainerState? = nil) -> ExitRecord? {
        guard let bytes = try? Files.read(path), let value = try? JSONValue(parsing: bytes), let record = try? ExitRecord(value) else {
            return nil
        }
        // A record of an earlier run that nobody took away says nothing about this one.
        if let state, state.startedAt != record.startedAt { return nil }
        return record
    }

    /// What the shim wrote down when it started the container.
    static func state(directory: String) -> ContainerState? {
        guard let bytes = try? Files.read("\(directory)/\(ShimWire.stateName)"), let value = try? JSONValue(parsing: bytes) else {
            return nil
        }
        return try? ContainerState(value)
    }

    /// Kills the container and takes its control group away: its streams and its exit code are lost with the shim.
    static func kill(_ state: ContainerState) async {
        killFirstProcess(state)
        if !state.runtimePath.isEmpty {
            await delete(
                state.containerID, runtime: [state.runtimePath] + state.runtimeArguments, root: state.runtimeRoot,
                openFiles: state.runtimeOpenFiles)
        }
        let cgroup = state.cgroupPath.isEmpty ? nil : try? CgroupManager.open(path: state.cgroupPath)
        try? cgroup?.kill()
        // Of a scope that failed systemd keeps the name.
        if !state.systemdUnit.isEmpty { try? SystemdManager.connect().stop(state.systemdUnit) }
        try? cgroup?.remove()
    }

    /// Lets the runtime that made the container forget it: with its state the name would stay taken.
    /// - Parameter openFiles: the soft RLIMIT_NOFILE that it gets; nil for this process's own.
    static func delete(_ id: String, runtime: [String], root: String, openFiles: UInt64?) async {
        var words = runtime + ["--root", root, "delete", "--force", id]
        // posix_spawn(3) sets no limits, and this process's own are all its threads'.
        if let openFiles { words = ["/bin/sh", "-c", "ulimit -Sn \(openFiles); exec \"$@\"", "sh"] + words }
        guard let null = try? OwnedFD.open("/dev/null", O_RDWR),
            let pid = try? Spawn.start(words[0], Array(words.dropFirst()), descriptors: [null.raw, null.raw, null.raw])
        else { return }
        _ = await Spawn.awaitEnd(of: pid)
    }

    /// If it is still the same.
    private static func killFirstProcess(_ state: ContainerState) {
        let pidfd = clp_pidfd_open(state.containerPID, 0)
        if pidfd < 0 { return }
        let owned = OwnedFD(owning: pidfd)
        // Asked after the descriptor is there: it and the answer are about one process.
        guard startTime(of: state.containerPID) == state.containerStartTime else { return }
        _ = clp_pidfd_send_signal(owned.raw, SIGKILL)
    }

    /// Whether the first process has ended, taken in by its parent or not (pidfd_open(2): the descriptor is readable then).
    static func hasEnded(_ state: ContainerState) -> Bool {
        let pidfd = clp_pidfd_open(state.containerPID, 0)
        if pidfd < 0 { return errno == ESRCH }
        let owned = OwnedFD(owning: pidfd)
        var query = pollfd(fd: owned.raw, events: Int16(POLLIN), revents: 0)
        return poll(&query, 1, 0) > 0 || startTime(of: state.containerPID) != state.containerStartTime
    }

    private static func startTime(of pid: Int32) -> UInt64? { ProcessStatus.snapshot(pid)?.startTime }
}
