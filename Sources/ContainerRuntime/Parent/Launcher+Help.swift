internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// What the runtime does for the child, which has not the rights or is not in the place for it.
extension Launcher {
    /// Answers `timed`, `network` and `place`.
    func help(_ message: SyncMessage, _ pid: Int32, _ channel: borrowing SyncChannel) throws {
        switch message {
        case .timed: try Files.write("/proc/\(pid)/timens_offsets", plan.namespaces.timeOffsets, flags: O_WRONLY)
        case .network: try NetDeviceMove.move(plan.spec.linux.netDevices, toNamespaceOf: pid)
        case .place: try plan.process.place(pid)
        default: throw SystemError("receive \(message) from container process", code: EPROTO)
        }
        try channel.send(.resume)
    }

    /// Answers `source`: opens the source of a bind mount with the host's rights, in the container's mount namespace, as a
    /// process of its own does (the runtime would lose its working directory).
    func openSource(_ event: inout SyncEvent, _ channel: borrowing SyncChannel) throws {
        guard let home = event.descriptor.take(), let index = Int(event.text), plan.mounts.indices.contains(index),
            case .bind(let source) = plan.mounts[index].kind
        else { throw SystemError("receive mount source from container process", code: EPROTO) }
        let mount = plan.mounts[index]
        let mapping = try mount.idMap.map { try PreparedMounts.namespace($0, plan).take() }
        defer { if let mapping { _ = close(mapping) } }
        let (container, answer) = (home.raw, channel.raw)
        let helper = try ClonedProcess.clone(namespaces: 0) {
            let child = SyncChannel(OwnedFD(owning: answer))
            do {
                try retrying("join mnt namespace of container process") { clp_setns(container, NamespaceKind.mnt.flag) }
                let tree = try Mounts.clone(source, recursive: mount.options.isRecursive)
                if let mapping {
                    let name = "\(source) on \(mount.destination)"
                    try Mounts.mapIDs(tree, by: mapping, name: name, recursive: mount.options.idMap == .tree)
                }
                try child.send(.resume, descriptor: tree.raw)
            } catch { child.fail(RuntimeError(wrapping: error)) }
            return 0
        }
        if try ProcessStatus.reap(helper.pid) != 0 { throw SystemError("open mount source", source, code: EPIPE) }
    }

    /// Hands the filter's descriptor to its listener.
    func serve(_ event: consuming SyncEvent, _ channel: borrowing SyncChannel, _ process: borrowing ClonedProcess) throws {
        guard let listener = plan.listener else { throw SystemError("receive listener from container process", code: EPROTO) }
        try listener.serve(
            event, channel, process: process.pid, pidfd: process.pidfd.raw, container: process.pid, status: .creating)
    }

    /// The container's control group; nil where the host does not let this user make one and nothing is to be limited.
    func makeCgroup(expecting process: Int32?) throws -> CgroupManager? {
        do {
            return try CgroupManager.create(
                path: plan.cgroupPath, resources: plan.cgroupResources, layout: plan.cgroupLayout, expecting: process)
        } catch let error as SystemError where [EACCES, EPERM, EROFS].contains(error.code) {
            guard plan.options.canLackCgroup ?? Privilege.isOrdinary else { throw error }
            if plan.spec.linux.cgroupsPath != nil { throw error }
            if plan.cgroupResources.hasLimits {
                throw RuntimeError(kind: .system(error.code), message: "\(error) (limits need a control group that this user may write to)")
            }
            return nil
        }
    }

    /// Gives the new user namespace its ids, and what only its creator may set.
    func mapUsers(_ process: borrowing ClonedProcess, _ channel: borrowing SyncChannel) throws {
        let linux = plan.spec.linux
        do {
            try UserMapping(pid: process.pid).write(uids: linux.uidMappings, gids: linux.gidMappings)
            if let score = plan.process.spec.oomScoreAdj, !plan.namespaces.isRootless {
                try Files.write("/proc/\(process.pid)/oom_score_adj", "\(score)", flags: O_WRONLY)
            }
            try channel.send(.mapped)
        } catch {
            // A child that has given up cannot be mapped either; what it said is the reason then. Killed, it says nothing more.
            _ = clp_pidfd_send_signal(process.pidfd.raw, SIGKILL)
            if let event = try? channel.receive(), event.kind == .failed { throw event.failure }
            throw error
        }
    }

    /// Runs `body`; a refusal for lack of rights says what an ordinary user's container needs.
    static func explainingRights<T: ~Copyable>(_ namespaces: NamespacePlan, _ body: () throws(SystemError) -> T) throws -> T {
        do throws(SystemError) { return try body() } catch {
            if error.code == EPERM && !namespaces.hasUser && Privilege.isOrdinary {
                throw RuntimeError(kind: .system(EPERM), message: "\(error) (without root a container needs a user namespace)")
            }
            throw error
        }
    }
}

/// Whose rights the runtime has.
enum Privilege {
    /// Whether it is not the host's root: another user, or root of a user namespace that does not have all ids.
    static var isOrdinary: Bool {
        if geteuid() != 0 { return true }
        let words = (try? Files.readText("/proc/self/uid_map"))?.split { $0 == " " || $0 == "\n" } ?? []
        return words != ["0", "0", "4294967295"]
    }
}
