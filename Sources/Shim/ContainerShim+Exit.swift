internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol

extension ContainerShim {
    /// Takes in every child that has ended: the container, execs, and orphans that the kernel gave to this subreaper.
    func reap() {
        if let number = signalNumber {
            var notices = [UInt8](repeating: 0, count: 1024)
            while read(number, &notices, notices.count) > 0 {}
        }
        // Between the runtime's calls there is nothing else that waits for children.
        if case .waiting = phase { return }
        var status: Int32 = 0
        while true {
            let pid = clp_reap_next(&status)
            if pid <= 0 { return }
            if pid == state?.containerPID && exit == nil {
                containerEnded(status)
            } else if let session = execs.values.first(where: { $0.isProcess(pid) }) {
                execEnded(session, status: status)
            } else {
                streams?.helperEnded(pid, status: status)
            }
        }
    }

    private var signalNumber: Int32? {
        switch signals {
        case .some(let signals): signals.raw
        case .none: nil
        }
    }

    private func containerEnded(_ status: Int32) {
        exit = (status, Timestamp.now())
        phase = .draining
        outOfMemory?.checkCount()
        // Whoever shares another pid namespace survives its container's first process: end it, and its hold on the streams.
        if let cgroup = driver?.cgroup {
            do { try cgroup.kill() } catch { ShimLog.write("\(error)") }
        }
        // The reaper goes on to the execs that died with the container; then the output is read to its end.
        _ = loop.after(milliseconds: 0) { [self] in
            guard let streams else { return finish() }
            streams.onOutputEnd = { [unowned self] in finish() }
            streams.processEnded(grace: ContainerShim.grace)
        }
    }

    /// All output is read: record, announcement, cleaning up.
    private func finish() {
        guard case .draining = phase, let exit, let request, let state else { return }
        outOfMemory?.checkCount()
        for session in execs.values {
            switch session.phase {
            case .running: execEnded(session, status: SIGKILL)
            // Nobody starts it any more: whoever is attached to it waits for an end.
            case .created: forget(session)
            case .ended: break
            }
        }
        let isSignalled = clp_wifexited(exit.status) == 0
        let record = ExitRecord(
            exitCode: ProcessStatus.exitCode(exit.status), signal: isSignalled ? clp_wtermsig(exit.status) : nil,
            oomKilled: outOfMemory?.hasKilled ?? false, memoryPeak: outOfMemory?.memoryPeak,
            startedAt: state.startedAt, exitedAt: exit.time.description)
        outOfMemory = nil
        // Whoever hears of the end finds the log complete, the control group and the mounts gone, and the ports free.
        streams?.completeLog()
        driver?.cleanUp()
        releaseLentDescriptors()
        // In this order: a daemon that finds nobody listening finds the record.
        write(record, request)
        stopListening()
        unlink("\(request.directory)/\(ShimWire.socketName)")
        unlink("\(request.directory)/\(ShimWire.stateName)")
        phase = .leaving
        tell(.exited(record))
        for peer in peers { peer.end() }
        streams?.onPeersGone = { [unowned self] in leaveIfDone() }
        streams?.end()
        waitForPeers(lastBacklog: .max)
        leaveIfDone()
    }

    private func stopListening() {
        if let listenerToken { loop.unwatch(listenerToken) }
        listenerToken = nil
        listener = nil
    }

    /// Namespaces and held ports; the streams that came with them are owned by their attachers.
    func releaseLentDescriptors() {
        ports?.stop()
        ports = nil
        for socket in heldSockets { close(socket) }
        heldSockets = []
        if areLentReleased { return }
        areLentReleased = true
        let first = ShimWire.controlDescriptor + 1 + Int32(request?.attachments.count ?? 0)
        let end = ShimWire.controlDescriptor + 1 + lentDescriptors
        if first < end { _ = clp_close_range(UInt32(first), UInt32(end - 1), 0) }
    }

    /// A peer may take its time with what is left for it, but not take nothing for ever.
    private func waitForPeers(lastBacklog: Int) {
        let backlog = (streams?.backlog ?? 0) + execs.values.reduce(0) { $0 + $1.streams.backlog }
        if backlog >= lastBacklog { return loop.stop() }
        _ = loop.after(milliseconds: ContainerShim.patience) { [self] in waitForPeers(lastBacklog: backlog) }
    }

    private func write(_ record: ExitRecord, _ request: LaunchRequest) {
        let path = request.exitRecordPath.isEmpty ? "\(request.directory)/\(ShimWire.exitRecordName)" : request.exitRecordPath
        do { try Files.replace(path, with: record.json.serialized(), durable: request.exitRecordIsDurable) } catch {
            ShimLog.write("\(error)")
        }
    }

    /// Ends the shim once every peer has got what is meant for it.
    func leaveIfDone() {
        guard case .leaving = phase else { return }
        if streams?.hasPeers ?? false { return }
        if execs.values.contains(where: { $0.streams.hasPeers }) { return }
        if exit == nil { for peer in peers { peer.end() } }
        if peers.isEmpty { loop.stop() }
    }
}

extension ExecSession {
    func isProcess(_ pid: Int32) -> Bool { if case .running(pid) = phase { true } else { false } }
}
