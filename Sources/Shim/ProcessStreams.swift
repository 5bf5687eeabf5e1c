internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// The standard streams of one process, the container's or an exec's: reads its output once and gives it to the log and
/// to every attached peer, and takes input from the peers.
final class ProcessStreams {
    /// When a peer's end of input ends the process's.
    enum InputEnd {
        /// There is no input: what peers send is not read.
        case noInput
        /// It stays open when a peer's ends.
        case never
        case withPeer
    }

    private final class Source {
        let descriptor: OwnedFD
        let stream: UInt8
        var token: UInt64?
        init(_ descriptor: consuming OwnedFD, stream: UInt8) {
            self.descriptor = descriptor
            self.stream = stream
        }
    }

    let isTerminal: Bool
    private let loop: EventLoop
    private let inputEnd: InputEnd
    private let log: (any ContainerLog)?
    private let spillDirectory: String?
    private var sources: [Source] = []
    private var input: StandardInputSink?
    private var attachers: [Attacher] = []
    private var isPaused = false
    private var hasProcessEnded = false
    private var hasEnded = false
    private var terminal: Int32?
    /// Holds the terminal open while the process lives: programs close and reopen it.
    private var terminalSlave: OwnedFD?
    private var pendingSize: (rows: UInt16, columns: UInt16)?
    /// All output has been read after the process ended.
    var onOutputEnd: () -> Void = {}
    /// A peer typed its detach keys.
    var onDetach: () -> Void = {}
    /// The last peer has got everything and is gone, after `end`.
    var onPeersGone: () -> Void = {}

    /// `spillDirectory`: where output waits that a peer does not take; nil when it may hold the process for ever.
    init(isTerminal: Bool, inputEnd: InputEnd, log: (any ContainerLog)?, spillDirectory: String?, loop: EventLoop) {
        self.isTerminal = isTerminal
        self.spillDirectory = spillDirectory
        self.inputEnd = inputEnd
        self.log = log
        self.loop = loop
        log?.onRelief = { [unowned self] in resumeIfPossible() }
    }

    var hasPeers: Bool { !attachers.isEmpty }

    /// Makes the pipes; answers the process's ends, to be closed once it runs. Terminals come later, through `adoptTerminal`.
    func makePipes(withInput: Bool) throws(SystemError) -> ChildStreams {
        var writer: OwnedFD?
        let childInput: OwnedFD
        if withInput {
            let pipe = try OwnedFD.pipe()
            childInput = pipe.reading
            writer = .some(pipe.writing)
        } else {
            childInput = try OwnedFD.open("/dev/null", O_RDONLY)
        }
        let output = try OwnedFD.pipe()
        let error = try OwnedFD.pipe()
        if let writer = consume writer { try adoptInput(writer) }
        try addSource(output.reading, stream: 1)
        try addSource(error.reading, stream: 2)
        return ChildStreams(input: childInput, output: output.writing, error: error.writing)
    }

    /// Takes the master of the process's terminal.
    func adoptTerminal(_ master: consuming OwnedFD, withInput: Bool) throws(SystemError) {
        if withInput { try adoptInput(try master.duplicate()) }
        let slave = clp_pty_peer(master.raw)
        if slave >= 0 { terminalSlave = OwnedFD(owning: slave) }
        terminal = master.raw
        if let size = pendingSize { try Terminal.setSize(master.raw, rows: size.rows, columns: size.columns) }
        try addSource(master, stream: 1)
    }

    private func adoptInput(_ descriptor: consuming OwnedFD) throws(SystemError) {
        let sink = try StandardInputSink(descriptor, loop: loop)
        sink.onDrained = { [unowned self] in for attacher in attachers { attacher.setInputPaused(false) } }
        input = sink
    }

    private func addSource(_ descriptor: consuming OwnedFD, stream: UInt8) throws(SystemError) {
        try makeNonBlocking(descriptor.raw)
        let source = Source(descriptor, stream: stream)
        sources.append(source)
        try watch(source)
    }

    private func watch(_ source: Source) throws(SystemError) {
        source.token = try loop.watch(source.descriptor.raw, Readiness.input) { [unowned self, unowned source] _ in
            _ = read(source, atMost: 4)
            checkEnd()
        }
    }

    private func unwatch(_ source: Source) {
        if let token = source.token { loop.unwatch(token) }
        source.token = nil
    }

    // MARK: Output

    /// Reads until nothing is there (false) or the end (true), at most so many times.
    private func read(_ source: Source, atMost limit: Int) -> Bool {
        let buffer = SharedBuffer.input
        for _ in 0..<limit {
            let count = Glibc.read(source.descriptor.raw, buffer.baseAddress, buffer.count)
            if count > 0 {
                distribute(UnsafeMutableRawBufferPointer(rebasing: buffer[..<count]), stream: source.stream)
                if isPaused && !hasProcessEnded { return false }
                continue
            }
            if count < 0 && errno == EINTR { continue }
            if count < 0 && errno == EAGAIN { return false }
            // End of file; EIO is a terminal's: nobody has it open any more.
            finish(source)
            return true
        }
        return false
    }

    private func distribute(_ data: UnsafeMutableRawBufferPointer, stream: UInt8) {
        log?.append(UnsafeRawBufferPointer(data), stream: Int(stream))
        for attacher in attachers { attacher.deliver(data, stream: stream) }
        if !isPaused && !hasProcessEnded && isOverfull { pause() }
    }

    /// Somebody who is to get all of the output is behind.
    private var isOverfull: Bool { log?.isOverfull ?? false || attachers.contains(where: \.isOverfull) }

    private func finish(_ source: Source) {
        unwatch(source)
        if terminal == source.descriptor.raw { terminal = nil }
        sources.removeAll { $0 === source }
    }

    private func pause() {
        isPaused = true
        for source in sources { unwatch(source) }
    }

    private func resumeIfPossible() {
        guard isPaused, !isOverfull else { return }
        isPaused = false
        for source in sources {
            do { try watch(source) } catch { ShimLog.write("\(error)") }
        }
    }

    // MARK: Peers

    /// Attaches a peer. `backlog` is input that has come already.
    func attach(_ socket: consuming OwnedFD, _ options: AttachOptions, backlog: [UInt8] = []) throws(SystemError) {
        var options = options
        if inputEnd == .noInput { options.stdin = false }
        if !isTerminal { options.detachKeys = [] }
        let attacher = try Attacher(
            socket, options: options, isFramed: options.isFramed || !isTerminal && !options.isRaw, spillDirectory: spillDirectory,
            loop: loop)
        attacher.onInput = { [unowned self, unowned attacher] data in takeInput(data, from: attacher) }
        attacher.onRelief = { [unowned self] in resumeIfPossible() }
        attacher.onDetach = { [unowned self] in onDetach() }
        attacher.onGone = { [unowned self, unowned attacher] in forget(attacher) }
        attachers.append(attacher)
        if !backlog.isEmpty && options.stdin { backlog.withUnsafeBytes { attacher.take($0) } }
        if hasEnded { attacher.end() }
    }

    private func forget(_ attacher: Attacher) {
        // The attacher is in the middle of a call of its own: let go of it when that is over.
        _ = loop.after(milliseconds: 0) { [self] in
            attachers.removeAll { $0 === attacher }
            resumeIfPossible()
            if hasEnded && attachers.isEmpty { onPeersGone() }
        }
    }

    private func takeInput(_ data: UnsafeRawBufferPointer?, from attacher: Attacher) {
        if let data {
            input?.write(data)
            if input?.isBusy ?? false { for attacher in attachers { attacher.setInputPaused(true) } }
        } else if inputEnd == .withPeer && !isTerminal {
            input?.close()
        } else {
            // As in Docker: the peer whose input ended is detached; the process's input stays open.
            attacher.drop()
        }
    }

    /// End of the process's input.
    func closeInput() { input?.close() }

    func resize(rows: UInt16, columns: UInt16) throws(ShimFailure) {
        // As in Docker no failure: the clients ask before they know.
        guard isTerminal else { return }
        guard let terminal else {
            pendingSize = (rows, columns)
            return
        }
        do { try Terminal.setSize(terminal, rows: rows, columns: columns) } catch { throw ShimFailure(.runtime, "\(error)") }
    }

    // MARK: The end

    /// The process has ended: reads what is left, at once where possible, and waits `grace` milliseconds for others that hold the streams open.
    func processEnded(grace: Int64) {
        hasProcessEnded = true
        isPaused = false
        terminalSlave = nil
        input = nil
        for source in sources { _ = read(source, atMost: 64) }
        for source in sources where source.token == nil {
            do { try watch(source) } catch { ShimLog.write("\(error)") }
        }
        if sources.isEmpty { return checkEnd() }
        _ = loop.after(milliseconds: grace) { [weak self] in
            guard let self else { return }
            for source in sources {
                _ = read(source, atMost: 64)
                if sources.contains(where: { $0 === source }) { finish(source) }
            }
            checkEnd()
        }
    }

    private func checkEnd() {
        guard hasProcessEnded, sources.isEmpty else { return }
        let action = onOutputEnd
        onOutputEnd = {}
        action()
    }

    /// Bytes that peers have yet to take.
    var backlog: Int { attachers.reduce(0) { $0 + $1.backlog } }

    /// No more output will come: unfinished lines are logged as they are.
    func completeLog() { log?.finish() }

    /// A child of the shim that is neither the container nor an exec has ended.
    func helperEnded(_ pid: Int32, status: Int32) { log?.childEnded(pid, status: status) }

    /// No more output will come: completes the log and closes every peer once it has got everything.
    func end() {
        if hasEnded { return }
        hasEnded = true
        completeLog()
        for source in sources { finish(source) }
        for attacher in attachers { attacher.end() }
        if attachers.isEmpty { onPeersGone() }
    }
}

/// A process's ends of its standard streams.
struct ChildStreams: ~Copyable {
    var input: OwnedFD
    var output: OwnedFD
    var error: OwnedFD
}
