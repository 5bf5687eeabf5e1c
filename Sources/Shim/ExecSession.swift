internal import Linux
internal import ShimProtocol

/// One exec: known, running, or ended with peers that have not got everything yet.
final class ExecSession {
    enum Phase {
        case created
        case running(pid: Int32)
        case ended
    }

    let request: ExecRequest
    let streams: ProcessStreams
    var phase = Phase.created

    init(_ request: ExecRequest, spillDirectory: String?, loop: EventLoop) {
        self.request = request
        streams = ProcessStreams(
            isTerminal: request.terminal, inputEnd: request.stdin ? .withPeer : .noInput, log: nil, spillDirectory: spillDirectory,
            loop: loop)
    }

    /// The number of the running process; names the refused operation otherwise.
    func pid(to verb: String) throws(ShimFailure) -> Int32 {
        guard case .running(let pid) = phase else { throw ShimFailure(.conflict, "\(verb): exec \(request.id) is not running") }
        return pid
    }

    func start(with driver: any RuntimeDriver) throws(ShimFailure) -> Int32 {
        guard case .created = phase else { throw ShimFailure(.conflict, "exec \(request.id) has been started already") }
        do {
            let started: StartedProcess
            if request.terminal {
                started = try driver.exec(request, streams: nil)
            } else {
                let pipes: ChildStreams? = try streams.makePipes(withInput: request.stdin)
                started = try driver.exec(request, streams: pipes)
            }
            phase = .running(pid: started.pid)
            return try adopt(started)
        } catch let failure as ShimFailure {
            phase = .ended
            throw failure
        } catch {
            phase = .ended
            throw ShimFailure(.runtime, "\(error)")
        }
    }

    private func adopt(_ started: consuming StartedProcess) throws(SystemError) -> Int32 {
        let pid = started.pid
        if let master = started.terminalMaster.take() { try streams.adoptTerminal(master, withInput: request.stdin) }
        return pid
    }
}
