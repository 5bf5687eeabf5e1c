internal import CLinux
internal import ContainerRuntime
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol

extension ContainerShim {
    /// Starts the container; afterwards nothing is left of a failure but the shim, which ends.
    func launch(_ request: LaunchRequest) throws(ShimFailure) -> ContainerState {
        guard case .waiting = phase else { throw ShimFailure(.conflict, "launch: this shim has a container already") }
        self.request = request
        ForeignProgram.openFiles = request.openFiles
        do {
            let driver = try makeDriver(request)
            let streams = try makeStreams(request)
            try attachInitialPeers(request, to: streams)
            let directory = try OwnedFD.open(request.directory, O_RDONLY | O_DIRECTORY)
            listener = try UnixSocket.listen(in: directory, name: ShimWire.socketName)
            let pid = try start(request, driver, streams)
            var state = ContainerState(
                containerID: request.containerID, shimPID: getpid(), containerPID: pid,
                containerStartTime: ContainerShim.startTime(of: pid), startedAt: Timestamp.now().description)
            state.cgroupPath = driver.cgroup?.path ?? ""
            state.systemdUnit = driver.systemdUnit ?? ""
            if case .external(let path, let root, let arguments) = request.runtime {
                (state.runtimePath, state.runtimeRoot, state.runtimeArguments) = (path, root, arguments)
                state.runtimeOpenFiles = request.openFiles
            }
            streams.onDetach = { [unowned self] in tell(.detached(exec: nil)) }
            self.state = state
            self.driver = driver
            self.streams = streams
            try watchListener()
            phase = .running
            return state
        } catch let failure as ShimFailure {
            launchFailed()
            throw failure
        } catch {
            launchFailed()
            throw ShimFailure(.runtime, "\(error)")
        }
    }

    private func launchFailed() {
        if let request { unlink("\(request.directory)/\(ShimWire.socketName)") }
        exitStatus = 1
        phase = .leaving
    }

    private func makeDriver(_ request: LaunchRequest) throws(ShimFailure) -> any RuntimeDriver {
        switch request.runtime {
        case .inProcess(let root): try InProcessDriver(request, root: root)
        case .external(let path, let root, let arguments): ExternalDriver(request, program: path, leading: arguments, root: root)
        }
    }

    private func makeStreams(_ request: LaunchRequest) throws -> ProcessStreams {
        ProcessStreams(
            isTerminal: request.terminal, inputEnd: ContainerShim.inputEnd(request.stdin), log: try request.log.open(loop: loop),
            spillDirectory: spillDirectory, loop: loop)
    }

    /// The container's own directory, which is on disk; its run directory is memory.
    var spillDirectory: String? {
        guard let path = request?.exitRecordPath, !path.isEmpty else { return nil }
        return Files.parent(of: path)
    }

    private static func inputEnd(_ stdin: LaunchRequest.StandardInput) -> ProcessStreams.InputEnd {
        switch stdin {
        case .closed: .noInput
        case .open: .never
        case .once: .withPeer
        }
    }

    /// The sockets of peers that attach before the start follow the control socket.
    private func attachInitialPeers(_ request: LaunchRequest, to streams: ProcessStreams) throws {
        for (index, options) in request.attachments.enumerated() {
            let number = ShimWire.controlDescriptor + 1 + Int32(index)
            try retrying("take over stream", "\(number)") { clp_fcntl(number, F_SETFD, Int(FD_CLOEXEC)) }
            try streams.attach(OwnedFD(owning: number), options)
        }
    }

    private func start(_ request: LaunchRequest, _ driver: any RuntimeDriver, _ streams: ProcessStreams) throws -> Int32 {
        try MountSources.make(request.mountSources)
        var rootfs = RootfsSource(tree: nil)
        if case .overlay(let overlay) = request.rootfs { rootfs.tree = try OverlayMount.make(overlay) }
        let withInput = request.stdin != .closed
        if !request.terminal {
            let pipes: ChildStreams? = try streams.makePipes(withInput: withInput)
            return try driver.start(rootfs: rootfs, streams: pipes).pid
        }
        var started = try driver.start(rootfs: rootfs, streams: nil)
        guard let master = started.terminalMaster.take() else { throw ShimFailure(.runtime, "the runtime gave no terminal") }
        try streams.adoptTerminal(master, withInput: withInput)
        return started.pid
    }

    /// Field 22 of /proc/pid/stat (proc(5)): clock ticks after boot. 0 when the process is gone.
    static func startTime(of pid: Int32) -> UInt64 {
        guard let text = try? Files.readText("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return 0 }
        let fields = text[end...].split(separator: " ")
        return fields.count > 20 ? UInt64(fields[20]) ?? 0 : 0
    }

    /// What the answer need not wait for.
    func afterAnswer() {
        if case .leaving = phase { return leaveIfDone() }
        guard case .running = phase, outOfMemory == nil, let request, let state else { return }
        outOfMemory = OOMNotice(driver?.cgroup, loop: loop) { [unowned self] in tell(.outOfMemory) }
        do {
            try Files.replace("\(request.directory)/\(ShimWire.stateName)", with: state.json.serialized(), durable: false)
        } catch { ShimLog.write("\(error)") }
        if let relay = request.relay, ports == nil, !areLentReleased { ports = servePorts(relay) }
        forgetLater()
        // The container may be over already: its signal was taken in by whoever waited inside the runtime's call.
        reap()
    }

    func servePorts(_ relay: PortRelay) -> PortServer {
        // Never refused for the process itself.
        let limit = Int(clamping: (try? ResourceLimit.current(.nofile).soft) ?? 1024)
        return PortServer(relay, descriptors: limit - Int(lentDescriptors) - heldSockets.count, loop: loop)
    }

    // MARK: Later connections

    private func watchListener() throws {
        guard let number = listenerNumber else { return }
        listenerToken = try loop.watch(number, Readiness.input) { [unowned self] _ in acceptPeer() }
    }

    private var listenerNumber: Int32? {
        switch listener {
        case .some(let listener): listener.raw
        case .none: nil
        }
    }

    private func acceptPeer() {
        guard let number = listenerNumber else { return }
        let connection = clp_shim_accept(number)
        if connection < 0 {
            if EventLoop.needsRest(errno) { restListener() }
            return
        }
        let socket = OwnedFD(owning: connection)
        var user: uid_t = 0
        // The socket file's mode says the same; this holds even if the directory was opened to others.
        guard clp_peer_user(socket.raw, &user) == 0, user == geteuid() || user == 0 else { return }
        do {
            let peer = try ControlPeer(socket, loop: loop)
            peer.onFrame = { [unowned self, unowned peer] frame in opened(peer, frame) }
            peer.onGone = { [unowned self, unowned peer] in
                _ = loop.after(milliseconds: 0) { [self] in newcomers.removeAll { $0 === peer } }
            }
            newcomers.append(peer)
        } catch { ShimLog.write("\(error)") }
    }

    private func restListener() {
        guard let listenerToken else { return }
        loop.change(listenerToken, 0)
        // A token of a socket that is no longer watched means nothing.
        _ = loop.after(milliseconds: EventLoop.rest) { [unowned self] in loop.change(listenerToken, Readiness.input) }
    }

    /// The first frame of a connection says what it is.
    private func opened(_ peer: ControlPeer, _ frame: JSONValue) {
        do throws(ShimFailure) {
            switch try Opening(frame) {
            case .control:
                guard let state else { throw ShimFailure(.conflict, "the container is not running") }
                // All notices have been given: whoever comes now finds the exit record.
                if case .leaving = phase { throw ShimFailure(.conflict, "the container has ended") }
                addPeer(peer)
                peer.send(.answer(id: 0, .state(state)))
            case .attach(let options):
                guard let streams else { throw ShimFailure(.conflict, "the container is not running") }
                try attach(peer, options, to: streams)
            case .attachExec(let id, let options): try attach(peer, options, to: try exec(id).streams)
            }
        } catch {
            peer.send(.answer(id: 0, .failure(error)))
            return peer.drop()
        }
        _ = loop.after(milliseconds: 0) { [self] in newcomers.removeAll { $0 === peer } }
    }

    private func attach(_ peer: ControlPeer, _ options: AttachOptions, to streams: ProcessStreams) throws(ShimFailure) {
        // Nothing is read between this moment and the attaching below: the log has all that came before, the peer gets the rest.
        peer.send(.answer(id: 0, .attached(since: Timestamp.now().description)))
        let backlog = peer.backlog
        guard let socket = peer.takeSocket() else { return }
        do throws(SystemError) { try streams.attach(socket, options, backlog: backlog) } catch {
            throw ShimFailure(.runtime, "\(error)")
        }
    }
}
