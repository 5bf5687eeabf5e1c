internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol

/// The supervisor of one container: what it holds and how its life goes.
///
/// waiting for the launch request → running → draining (the first process is gone, its output is read to the end) →
/// leaving (record written, peers told; the last bytes go out) → the loop stops.
final class ContainerShim {
    enum Phase {
        case waiting
        case running
        case draining
        case leaving
    }

    /// How long others that hold the container's streams open (with a shared pid namespace) may keep it from ending.
    static let grace: Int64 = 2000
    /// How long a peer may take nothing of what is left for it, once the container has ended.
    static let patience: Int64 = 600_000
    /// How long nothing is begun before memory is given back: no short run pays for that.
    static let rest: Int64 = 1000

    let loop: EventLoop
    var phase = Phase.waiting
    var peers: [ControlPeer] = []
    /// Connections that have yet to say what they are.
    var newcomers: [ControlPeer] = []
    var listener: OwnedFD?
    var signals: OwnedFD?
    var request: LaunchRequest?
    var state: ContainerState?
    var streams: ProcessStreams?
    var driver: (any RuntimeDriver)?
    var execs: [String: ExecSession] = [:]
    var exit: (status: Int32, time: Timestamp)?
    var outOfMemory: OOMNotice?
    var ports: PortServer?
    var listenerToken: UInt64?
    /// How many descriptors after the control socket came from the daemon.
    let lentDescriptors: Int32
    var exitStatus: Int32 = 0
    /// What came from the daemon is closed: the numbers may be somebody else's by now.
    var areLentReleased = false
    /// Sockets of ports that were published while the container runs.
    var heldSockets: [Int32] = []
    private var forgetting: UInt64?

    init(lentDescriptors: Int32) throws(SystemError) {
        self.lentDescriptors = lentDescriptors
        loop = try EventLoop()
        let descriptor = OwnedFD(owning: try retrying("watch children") { clp_signal_descriptor(SIGCHLD) })
        _ = try loop.watch(descriptor.raw, Readiness.input) { [unowned self] _ in reap() }
        signals = .some(consume descriptor)
    }

    /// Takes the daemon's first connection.
    func serve(_ control: consuming OwnedFD) throws(SystemError) { addPeer(try ControlPeer(control, loop: loop)) }

    // MARK: Peers

    func addPeer(_ peer: ControlPeer) {
        peer.onFrame = { [unowned self, unowned peer] frame in answer(frame, from: peer) }
        peer.onGone = { [unowned self, unowned peer] in peerIsGone(peer) }
        peers.append(peer)
    }

    private func peerIsGone(_ peer: ControlPeer) {
        // The peer is in the middle of a call of its own: let go of it when that is over.
        _ = loop.after(milliseconds: 0) { [self] in
            peers.removeAll { $0 === peer }
            // Nobody is left who could ask for anything.
            if case .waiting = phase { loop.stop() }
            leaveIfDone()
        }
    }

    /// A while after something was begun or has ended: the memory that only that needed is given back. What is left to do takes
    /// a tenth of the program.
    func forgetLater() {
        if let forgetting { loop.cancel(forgetting) }
        forgetting = loop.after(milliseconds: ContainerShim.rest) {
            clp_forget_program()
            clp_forget_stack_and_heap()
        }
    }

    func tell(_ notice: ShimNotice) { for peer in peers { peer.send(.notice(notice)) } }

    private func answer(_ frame: JSONValue, from peer: ControlPeer) {
        let id = ControlRequest.id(of: frame)
        let answer: ControlAnswer
        do throws(ShimFailure) { answer = try perform(try ControlRequest(frame), from: peer) } catch { answer = .failure(error) }
        peer.send(.answer(id: id, answer))
        afterAnswer()
    }

    private func perform(_ request: ControlRequest, from peer: ControlPeer) throws(ShimFailure) -> ControlAnswer {
        switch request {
        case .launch(let launch): return .state(try self.launch(launch))
        case .signal(let number): try signal(try runningPID(to: "signal"), number)
        case .resize(let rows, let columns): try runningStreams(to: "resize").resize(rows: rows, columns: columns)
        case .closeStdin: try runningStreams(to: "close stdin").closeInput()
        case .execCreate(let request): try createExec(request)
        case .execStart(let id): return .process(try startExec(id))
        case .execSignal(let id, let number): try signal(try exec(id).pid(to: "signal"), number)
        case .execResize(let id, let rows, let columns): try exec(id).streams.resize(rows: rows, columns: columns)
        case .execForget(let id): try forgetExec(id)
        case .update(let resources):
            _ = try runningPID(to: "update")
            try driver?.update(resources)
        case .closePorts:
            _ = try runningPID(to: "give up ports")
            releaseLentDescriptors()
        case .holdSockets(let count):
            // Taken first: they are this frame's, whatever becomes of it.
            guard let sockets = peer.takeDescriptors(count) else {
                throw ShimFailure(.runtime, "hold \(count) sockets: not all of them came")
            }
            do throws(ShimFailure) { _ = try runningPID(to: "hold ports") } catch {
                for socket in sockets { close(socket) }
                throw error
            }
            heldSockets += sockets
            return .held(sockets)
        case .servePorts(let relay): try serve(relay)
        }
        return .done
    }

    private func serve(_ relay: PortRelay) throws(ShimFailure) {
        _ = try runningPID(to: "serve ports")
        if ports != nil { throw ShimFailure(.conflict, "serve ports: ports are served already") }
        guard relay.listeners.allSatisfy({ heldSockets.contains($0.descriptor) }) else {
            throw ShimFailure(.invalidRequest, "serve ports: not a socket that is held")
        }
        ports = servePorts(relay)
    }

    /// The process is the shim's child and reaped nowhere else, so its number cannot be somebody else's.
    private func signal(_ pid: Int32, _ number: Int32) throws(ShimFailure) {
        guard (0...64).contains(number) else { throw ShimFailure(.invalidRequest, "signal: no such signal: \(number)") }
        if kill(pid, number) != 0 { throw ShimFailure(.runtime, "signal process \(pid): \(SystemError.text(of: errno))") }
    }

    private func runningPID(to verb: String) throws(ShimFailure) -> Int32 {
        guard case .running = phase, let state else { throw ShimFailure(.conflict, "\(verb): the container is not running") }
        return state.containerPID
    }

    private func runningStreams(to verb: String) throws(ShimFailure) -> ProcessStreams {
        guard case .running = phase, let streams else { throw ShimFailure(.conflict, "\(verb): the container is not running") }
        return streams
    }

    // MARK: Execs

    func exec(_ id: String) throws(ShimFailure) -> ExecSession {
        guard let session = execs[id] else { throw ShimFailure(.notFound, "no such exec: \(id)") }
        return session
    }

    private func createExec(_ request: ExecRequest) throws(ShimFailure) {
        _ = try runningPID(to: "exec")
        if execs[request.id] != nil { throw ShimFailure(.conflict, "exec \(request.id) exists already") }
        let session = ExecSession(request, spillDirectory: spillDirectory, loop: loop)
        session.streams.onDetach = { [unowned self] in tell(.detached(exec: request.id)) }
        execs[request.id] = session
    }

    private func startExec(_ id: String) throws(ShimFailure) -> Int32 {
        let session = try exec(id)
        _ = try runningPID(to: "exec")
        guard let driver else { throw ShimFailure(.conflict, "exec: the container is not running") }
        if case .created = session.phase {} else { throw ShimFailure(.conflict, "exec \(id) has been started already") }
        do throws(ShimFailure) { return try session.start(with: driver) } catch {
            forget(session)
            throw error
        }
    }

    private func forgetExec(_ id: String) throws(ShimFailure) {
        let session = try exec(id)
        guard case .created = session.phase else { throw ShimFailure(.conflict, "exec \(id) has been started already") }
        forget(session)
    }

    /// Ends an exec's streams and forgets it once its peers have everything.
    func forget(_ session: ExecSession) {
        session.phase = .ended
        let id = session.request.id
        session.streams.onPeersGone = { [unowned self] in
            execs[id] = nil
            leaveIfDone()
        }
        session.streams.end()
    }

    func execEnded(_ session: ExecSession, status: Int32) {
        session.phase = .ended
        // The code first: whoever sees the end of the stream may ask for it.
        tell(.execExited(id: session.request.id, exitCode: ProcessStatus.exitCode(status)))
        session.streams.onOutputEnd = { [unowned self] in forget(session) }
        forgetLater()
        session.streams.processEnded(grace: ContainerShim.grace)
    }
}
