internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import ShimProtocol

/// One connection that speaks in frames: the daemon's control connection, or one that has just come and has yet to say
/// what it is.
final class ControlPeer {
    private let loop: EventLoop
    private var socket: OwnedFD?
    private var token: UInt64?
    private var reader = FrameReader()
    private var queue = ByteQueue()
    /// Descriptors that came with frames and that nobody has taken yet.
    private var descriptors: [Int32] = []
    private var isEnding = false
    /// Called with each frame.
    var onFrame: (JSONValue) -> Void = { _ in }
    /// The other side is gone.
    var onGone: () -> Void = {}

    init(_ socket: consuming OwnedFD, loop: EventLoop) throws(SystemError) {
        self.loop = loop
        try makeNonBlocking(socket.raw)
        let number = socket.raw
        self.socket = .some(consume socket)
        token = try loop.watch(number, Readiness.input) { [unowned self] events in ready(events) }
    }

    deinit {
        if let token { loop.unwatch(token) }
        closeDescriptors()
    }

    /// Ends the connection once everything is sent.
    func end() {
        isEnding = true
        if queue.isEmpty { drop() }
    }

    var isGone: Bool { token == nil }

    func send(_ message: ShimMessage) {
        if isGone { return }
        ShimWire.frame(message.json).withUnsafeBytes { queue.append($0) }
        flush()
    }

    /// The descriptors that came with the frame that is being looked at, from now on the caller's to close; nil when they are
    /// not as many.
    func takeDescriptors(_ count: Int) -> [Int32]? {
        guard descriptors.count == count else {
            closeDescriptors()
            return nil
        }
        defer { descriptors = [] }
        return descriptors
    }

    private func closeDescriptors() {
        for number in descriptors { _ = close(number) }
        descriptors = []
    }

    /// What has come of the raw stream already, when the connection turns into one.
    var backlog: [UInt8] { reader.rest }

    /// Gives the connection away.
    func takeSocket() -> OwnedFD? {
        stopWatching()
        return socket.take()
    }

    private var number: Int32 {
        switch socket {
        case .some(let socket): socket.raw
        case .none: -1
        }
    }

    private func ready(_ events: UInt32) {
        if events & Readiness.output != 0 { flush() }
        if isGone { return }
        if events & (Readiness.input | Readiness.gone) != 0 { read() }
    }

    private func read() {
        let buffer = SharedBuffer.input
        var lent = 0
        let count = clp_receive_with_fds(number, buffer.baseAddress, buffer.count, SharedBuffer.descriptors, &lent)
        descriptors += UnsafeBufferPointer(start: SharedBuffer.descriptors, count: lent)
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        if count <= 0 { return drop() }
        reader.append(buffer[..<count])
        while !isGone {
            do throws(ShimFailure) {
                guard let frame = try reader.next() else { return }
                onFrame(frame)
            } catch {
                // What comes after a frame that cannot be read cannot be told apart any more.
                send(.answer(id: 0, .failure(error)))
                return drop()
            }
        }
    }

    private func flush() {
        let number = number
        let outcome = queue.drain { send($0, to: number) }
        switch outcome {
        case .broken: drop()
        case .blocked: if let token { loop.change(token, Readiness.input | Readiness.output) }
        case .empty where isEnding: drop()
        case .empty: if let token { loop.change(token, Readiness.input) }
        }
    }

    private func send(_ bytes: UnsafeRawBufferPointer, to number: Int32) -> Int {
        Glibc.send(number, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    }

    private func stopWatching() {
        if let token { loop.unwatch(token) }
        token = nil
    }

    func drop() {
        if isGone { return }
        stopWatching()
        socket = nil
        queue.clear()
        closeDescriptors()
        onGone()
    }
}
