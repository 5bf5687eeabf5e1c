internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// One attached peer: gets output, framed unless a terminal's, and may give input.
final class Attacher {
    /// Beyond this the process is not read from until the peer has taken half of it.
    static let queueLimit = 8 << 20

    let options: AttachOptions
    private let socket: OwnedFD
    private let loop: EventLoop
    private let isFramed: Bool
    private var token: UInt64?
    private var queue = ByteQueue()
    private var isInputOpen: Bool
    private var isInputPaused = false
    private var isEnding = false
    private(set) var isGone = false

    /// Input from the peer; nil at its end. Answers whether the peer stays attached.
    var onInput: (UnsafeRawBufferPointer?) -> Void = { _ in }
    /// The queue has become short again.
    var onRelief: () -> Void = {}
    /// The peer is gone, or everything is delivered after `end`.
    var onGone: () -> Void = {}

    init(_ socket: consuming OwnedFD, options: AttachOptions, isFramed: Bool, loop: EventLoop) throws(SystemError) {
        self.options = options
        self.isFramed = isFramed
        self.loop = loop
        isInputOpen = options.stdin
        try makeNonBlocking(socket.raw)
        self.socket = socket
        token = try loop.watch(self.socket.raw, wanted) { [unowned self] events in ready(events) }
    }

    deinit { if let token { loop.unwatch(token) } }

    var backlog: Int { queue.count }

    var isOverfull: Bool { queue.count > Attacher.queueLimit }

    private var wanted: UInt32 {
        (isInputOpen && !isInputPaused && !isEnding ? Readiness.input : 0) | (queue.isEmpty ? 0 : Readiness.output)
    }

    private func update() { if let token { loop.change(token, wanted) } }

    /// Stops or goes on reading the peer's input.
    func setInputPaused(_ paused: Bool) {
        isInputPaused = paused
        update()
    }

    /// Output of one stream. The eight bytes before `data` are the caller's to lend for the frame's head.
    func deliver(_ data: UnsafeMutableRawBufferPointer, stream: UInt8) {
        if isGone || isEnding || !(stream == 1 ? options.stdout : options.stderr) { return }
        var bytes = UnsafeRawBufferPointer(data)
        if isFramed, let base = data.baseAddress {
            let head = base - 8
            head.storeBytes(of: UInt32(stream).littleEndian, as: UInt32.self)
            head.storeBytes(of: UInt32(data.count).bigEndian, toByteOffset: 4, as: UInt32.self)
            bytes = UnsafeRawBufferPointer(start: head, count: data.count + 8)
        }
        if queue.isEmpty {
            let sent = send(bytes)
            if sent < 0 && errno != EAGAIN { return drop() }
            bytes = UnsafeRawBufferPointer(rebasing: bytes[max(0, sent)...])
        }
        if bytes.isEmpty { return }
        queue.append(bytes)
        update()
    }

    /// No more output: what waits is delivered, then the connection is closed.
    func end() {
        isEnding = true
        if queue.isEmpty { drop() } else { update() }
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count = Glibc.send(socket.raw, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            if count >= 0 || errno != EINTR { return count }
        }
    }

    private func ready(_ events: UInt32) {
        if events & Readiness.output != 0 && !queue.isEmpty { flush() }
        if isGone { return }
        if events & Readiness.input != 0 && isInputOpen { readInput() }
        if isGone { return }
        // Both directions shut: nobody reads what waits.
        if events & Readiness.gone != 0 { drop() }
    }

    private func flush() {
        let wasOverfull = queue.count > Attacher.queueLimit / 2
        switch queue.drain(send) {
        case .broken: return drop()
        case .empty where isEnding: return drop()
        case .empty, .blocked: update()
        }
        if wasOverfull && queue.count <= Attacher.queueLimit / 2 { onRelief() }
    }

    private func readInput() {
        let buffer = SharedBuffer.input
        let count = recv(socket.raw, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 { return onInput(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        if count < 0 { return drop() }
        isInputOpen = false
        update()
        onInput(nil)
    }

    /// Closes the connection, whatever waits.
    func drop() {
        if isGone { return }
        isGone = true
        if let token { loop.unwatch(token) }
        token = nil
        queue.clear()
        // Input nobody wants is read away: closing a socket with unread bytes is a reset, not an end, for the peer.
        shutdown(socket.raw, Int32(SHUT_WR))
        while recv(socket.raw, SharedBuffer.input.baseAddress, SharedBuffer.input.count, Int32(MSG_DONTWAIT)) > 0 {}
        shutdown(socket.raw, Int32(SHUT_RDWR))
        onGone()
    }
}

/// One buffer for all reads of the single-threaded shim, with eight bytes of room before it.
enum SharedBuffer {
    static let size = 65536
    // Only the shim's one thread touches it.
    private nonisolated(unsafe) static let memory = UnsafeMutableRawPointer.allocate(byteCount: size + 16, alignment: 16)

    static var input: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: memory + 8, count: size) }
}
