internal import CLinux
internal import Glibc
public import JSON
public import Linux
public import ShimProtocol
internal import Synchronization

/// A running container, through its shim.
public final class ShimConnection: Sendable {
    public let state: ContainerState
    /// What happens, in order; ends after `disconnected`. For one consumer.
    public let events: AsyncStream<ShimEvent>
    private let channel: ControlChannel
    private let directory: String
    /// How long to wait for an answer that waits for nothing itself, in seconds.
    static let patience: UInt32 = 10
    /// How long to wait for an answer; nil for ever.
    private let patience: UInt32?

    public var containerID: String { state.containerID }
    /// The container's first process.
    public var containerPID: Int32 { state.containerPID }
    public var shimPID: Int32 { state.shimPID }
    /// RFC 3339.
    public var startedAt: String { state.startedAt }
    /// Its files, for the rootfs helper.
    public var rootTarget: RootfsRequest.Target { .process(state.containerPID, startTime: state.containerStartTime) }
    /// Whether the container's first process has ended, which `events` tell later: its output is read to the end before.
    public var hasEnded: Bool { Remains.hasEnded(state) }

    /// The container's control group, as its shim has told it. Throws `ShimFailure` for a container without one, and where it
    /// is gone.
    public func cgroup() throws -> CgroupManager {
        if state.cgroupPath.isEmpty { throw ShimFailure(.conflict, "container \(containerID) has no control group") }
        return try CgroupManager.open(path: state.cgroupPath)
    }

    init(_ channel: ControlChannel, _ state: ContainerState, directory: String, exitRecordPath: String, patience: UInt32?) {
        self.channel = channel
        self.patience = patience
        self.state = state
        self.directory = directory
        let (events, continuation) = AsyncStream.makeStream(of: ShimEvent.self)
        self.events = events
        let recordPath = exitRecordPath.isEmpty ? "\(directory)/\(ShimWire.exitRecordName)" : exitRecordPath
        let flag = SharedFlag()
        channel.setHandler { notice in
            switch notice {
            case .outOfMemory: continuation.yield(.oom)
            case .execExited(let id, let code): continuation.yield(.execExited(id: id, exitCode: code))
            case .detached(let exec): continuation.yield(.detached(exec: exec))
            case .exited(let record):
                flag.set()
                continuation.yield(.exited(record))
            case nil:
                // After its announcement the shim stays only for peers that have yet to take the last output.
                let isOver = flag.isSet
                if isOver {
                    continuation.yield(.disconnected)
                    continuation.finish()
                }
                Task {
                    _ = await Spawn.awaitEnd(of: state.shimPID)
                    if isOver { return }
                    await Remains.kill(state)
                    if let record = Remains.exitRecord(recordPath, of: state) { continuation.yield(.exited(record)) }
                    continuation.yield(.disconnected)
                    continuation.finish()
                }
            }
        }
    }

    /// Sends a signal to the container's first process.
    public func signal(_ number: Int32) async throws(ShimFailure) { _ = try await request(.signal(number)) }

    /// Sets the size of the container's terminal.
    public func resize(rows: UInt16, columns: UInt16) async throws(ShimFailure) {
        _ = try await request(.resize(rows: rows, columns: columns))
    }

    /// Ends the container's standard input.
    public func closeStdin() async throws(ShimFailure) { _ = try await request(.closeStdin) }

    /// A socket (blocking, close-on-exec) with the container's raw stream (ShimProtocol), the caller's to close.
    /// Its end is end of file, or a reset when input that nobody took was on its way.
    public func attach(_ options: AttachOptions) async throws(ShimFailure) -> Int32 { try await open(.attach(options)).socket }

    /// The same, and the moment (RFC 3339, the log's own clock) up to which output is in the log alone; nil when a supervisor of
    /// an older version does not say.
    public func attachTellingMoment(_ options: AttachOptions) async throws(ShimFailure) -> (socket: Int32, moment: String?) {
        let (socket, answer) = try await open(.attach(options))
        guard case .attached(let moment) = answer else { return (socket, nil) }
        return (socket, moment)
    }

    public func attach(stdin: Bool, stdout: Bool, stderr: Bool) async throws(ShimFailure) -> Int32 {
        try await attach(AttachOptions(stdin: stdin, stdout: stdout, stderr: stderr))
    }

    /// Makes an exec known to the shim; `process` is the OCI process object.
    public func execCreate(id: String, process: JSONValue, terminal: Bool, stdin: Bool) async throws(ShimFailure) {
        _ = try await request(.execCreate(ExecRequest(id: id, process: process, terminal: terminal, stdin: stdin)))
    }

    /// Starts a created exec; its process number. Attach before this to lose no output. After a failure the shim has
    /// forgotten the exec and its streams end.
    public func execStart(id: String) async throws(ShimFailure) -> Int32 {
        // A container short of memory or of processor time takes a process in slowly, and its supervisor waits for that.
        let patience = patience.map { $0 + 50 }
        guard case .process(let pid) = try await channel.request(.execStart(id: id), patience: patience) else {
            throw ShimFailure(.lost, "exec start: the container's supervisor answered something else")
        }
        return pid
    }

    /// A socket with the exec's raw stream, the caller's to close. The event `execExited` is sent before its end; whoever
    /// relays the stream waits for that event before passing the end on, if the exit code is to be known by then.
    public func execAttach(id: String, _ options: AttachOptions) async throws(ShimFailure) -> Int32 {
        try await open(.attachExec(id: id, options)).socket
    }

    public func execSignal(id: String, _ number: Int32) async throws(ShimFailure) {
        _ = try await request(.execSignal(id: id, signal: number))
    }

    public func execResize(id: String, rows: UInt16, columns: UInt16) async throws(ShimFailure) {
        _ = try await request(.execResize(id: id, rows: rows, columns: columns))
    }

    /// Forgets an exec that was created and never started.
    public func execForget(id: String) async throws(ShimFailure) { _ = try await request(.execForget(id: id)) }

    /// Changes limits of the container's control group: the OCI `resources` object, in which what is absent stays.
    public func update(resources: JSONValue) async throws(ShimFailure) { _ = try await request(.update(resources: resources)) }

    /// Gives the container's published ports up, for as long as it lives. A supervisor of an older version keeps them until its
    /// end: failure of kind `unsupported`.
    public func closePorts() async throws(ShimFailure) { _ = try await request(.closePorts) }

    /// Lets the supervisor keep sockets that hold ports published now, until the container's end or `closePorts`; they stay the
    /// caller's to close. Their numbers there. A supervisor of an older version throws `unsupported`.
    public func hold(_ sockets: [Int32]) async throws(ShimFailure) -> [Int32] {
        var held: [Int32] = []
        for start in stride(from: 0, to: sockets.count, by: Int(CLP_MOST_FDS)) {
            let part = Array(sockets[start..<min(start + Int(CLP_MOST_FDS), sockets.count)])
            guard case .held(let numbers) = try await request(.holdSockets(part.count), lending: part), numbers.count == part.count
            else { throw ShimFailure(.lost, "hold ports: the container's supervisor answered something else") }
            held += numbers
        }
        return held
    }

    /// Lets the supervisor answer at sockets that it holds, by their numbers there.
    public func servePorts(_ relay: PortRelay) async throws(ShimFailure) { _ = try await request(.servePorts(relay)) }

    private func open(_ opening: Opening) async throws(ShimFailure) -> (socket: Int32, answer: ControlAnswer) {
        try await ShimSocket.open(directory: directory, opening, patience: patience)
    }

    private func request(_ request: ControlRequest, lending descriptors: [Int32] = []) async throws(ShimFailure) -> ControlAnswer {
        try await channel.request(request, lending: descriptors, patience: patience)
    }
}

/// Whether the exit was announced; shared by the handler's calls.
private final class SharedFlag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
}
