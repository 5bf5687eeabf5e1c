internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// One attached peer: gets output, framed unless a terminal's, and may give input.
///
/// A peer that is slow makes the process wait, as a pipe does. One that takes nothing at all does not hold it for long: what
/// is meant for it then waits on disk (`SpillFile`).
final class Attacher {
    /// Beyond this the process is not read from until the peer has taken half of it.
    static let queueLimit = 8 << 20
    /// Bytes that are taken from disk at once.
    private static let refill = 1 << 18
    /// How long a peer may take nothing while the process waits for it, in milliseconds.
    static let patience: Int64 = 1000
    /// So many times `patience` when there is no room on disk for it either.
    static let patienceWithFullDisk = 60

    let options: AttachOptions
    private let socket: OwnedFD
    private let loop: EventLoop
    private let isFramed: Bool
    private let spillDirectory: String?
    private var token: UInt64?
    private var queue = ByteQueue()
    /// What follows `queue`.
    private var spill: SpillFile?
    private var keys: DetachKeys
    private var isInputOpen: Bool
    private var isInputPaused = false
    /// The peer has closed both ways: it gets nothing more, and is not watched; what it sent before is still read.
    private var isHungUp = false
    private var isEnding = false
    private(set) var isGone = false
    /// Bytes that the peer has taken in all.
    private var taken = 0
    private var patienceTimer: UInt64?

    /// Input from the peer; nil at its end. Answers whether the peer stays attached.
    var onInput: (UnsafeRawBufferPointer?) -> Void = { _ in }
    /// The queue has become short again.
    var onRelief: () -> Void = {}
    /// The peer has typed its detach keys.
    var onDetach: () -> Void = {}
    /// The peer is gone, or everything is delivered after `end`.
    var onGone: () -> Void = {}

    init(
        _ socket: consuming OwnedFD, options: AttachOptions, isFramed: Bool, spillDirectory: String?, loop: EventLoop
    ) throws(SystemError) {
        self.options = options
        self.isFramed = isFramed
        self.spillDirectory = spillDirectory
        self.loop = loop
        keys = DetachKeys(options.detachKeys)
        isInputOpen = options.stdin
        try makeNonBlocking(socket.raw)
        self.socket = socket
        token = try loop.watch(self.socket.raw, wanted) { [unowned self] events in ready(events) }
    }

    deinit {
        if let token { loop.unwatch(token) }
        if let patienceTimer { loop.cancel(patienceTimer) }
    }

    var backlog: Int { queue.count + (spill?.count ?? 0) }

    /// The process has to wait for this peer.
    var isOverfull: Bool { spill?.isFull ?? (queue.count > Attacher.queueLimit) }

    private var isRelieved: Bool { spill.map { !$0.isFull } ?? (queue.count <= Attacher.queueLimit / 2) }

    private var wanted: UInt32 {
        (isInputOpen && !isInputPaused && !isEnding ? Readiness.input : 0) | (queue.isEmpty ? 0 : Readiness.output)
    }

    private func update() { if let token { loop.change(token, wanted) } }

    private func stopWatching() {
        if let token { loop.unwatch(token) }
        token = nil
    }

    /// Stops or goes on reading the peer's input.
    func setInputPaused(_ paused: Bool) {
        isInputPaused = paused
        update()
        // Not at once: whoever tells us is in the middle of giving the process what came before.
        if isHungUp && !paused { _ = loop.after(milliseconds: 0) { [weak self] in self?.readRest() } }
    }

    // MARK: Output

    /// Output of one stream. The eight bytes before `data` are the caller's to lend for the frame's head.
    func deliver(_ data: UnsafeMutableRawBufferPointer, stream: UInt8) {
        if isGone || isHungUp || isEnding || !(stream == 1 ? options.stdout : options.stderr) { return }
        var bytes = UnsafeRawBufferPointer(data)
        if isFramed, let base = data.baseAddress {
            let head = base - 8
            head.storeBytes(of: UInt32(stream).littleEndian, as: UInt32.self)
            head.storeBytes(of: UInt32(data.count).bigEndian, toByteOffset: 4, as: UInt32.self)
            bytes = UnsafeRawBufferPointer(start: head, count: data.count + 8)
        }
        if let spill {
            do throws(SystemError) { try spill.append(bytes) } catch { return give("\(error)") }
        } else {
            if queue.isEmpty {
                let sent = send(bytes)
                if sent < 0 && errno != EAGAIN { return hangUp() }
                bytes = UnsafeRawBufferPointer(rebasing: bytes[max(0, sent)...])
            }
            if bytes.isEmpty { return }
            queue.append(bytes)
        }
        update()
        if isOverfull && patienceTimer == nil && spillDirectory != nil { wait(since: taken, times: 0) }
    }

    /// No more output: what waits is delivered, then the connection is closed.
    func end() {
        isEnding = true
        if queue.isEmpty { drop() } else { update() }
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        while true {
            let count = Glibc.send(socket.raw, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            if count > 0 { taken += count }
            if count >= 0 || errno != EINTR { return count }
        }
    }

    private func flush() {
        // The queue shrinks in steps: what counts is the one that passes the mark.
        let wasBehind = !isRelieved
        while !queue.isEmpty {
            if case .broken = queue.drain(send) { return hangUp() }
            guard queue.isEmpty, let spill else { break }
            do throws(SystemError) { try spill.take(Attacher.refill) { queue.append($0) } } catch { return give("\(error)") }
            if spill.count == 0 { self.spill = nil }
        }
        if queue.isEmpty && isEnding { return drop() }
        update()
        if wasBehind && isRelieved { onRelief() }
    }

    // MARK: Patience

    /// Looks in a while whether the peer has taken anything.
    private func wait(since before: Int, times: Int) {
        patienceTimer = loop.after(milliseconds: Attacher.patience) { [unowned self] in
            patienceTimer = nil
            guard !isGone, isOverfull else { return }
            if taken != before { return wait(since: taken, times: 0) }
            if spill == nil, let directory = spillDirectory {
                do throws(SystemError) {
                    spill = try SpillFile(in: directory)
                    return onRelief()
                } catch { ShimLog.write("\(error)") }
            }
            if times + 1 >= Attacher.patienceWithFullDisk { return give("it has taken nothing for too long") }
            wait(since: before, times: times + 1)
        }
    }

    /// The peer cannot have all of the output: it gets no more, and its connection ends.
    private func give(_ reason: String) {
        ShimLog.write("an attached client is cut off: \(reason)")
        drop()
    }

    // MARK: Input

    private func ready(_ events: UInt32) {
        if events & Readiness.gone != 0 { return hangUp() }
        if events & Readiness.output != 0 && !queue.isEmpty { flush() }
        if !isGone && !isHungUp && events & Readiness.input != 0 && isInputOpen { readInput() }
    }

    /// Both directions are shut: nobody takes what waits, and the process is not held for it. What the peer sent before is the
    /// process's.
    private func hangUp() {
        if isGone || isHungUp { return }
        if !isInputOpen || isEnding { return drop() }
        isHungUp = true
        stopWatching()
        let wasBehind = !isRelieved
        queue.clear()
        spill = nil
        if wasBehind { onRelief() }
        // Not at once: whoever finds this out may be in the middle of giving output, from the buffer that input is read into.
        _ = loop.after(milliseconds: 0) { [weak self] in self?.readRest() }
    }

    private func readRest() {
        while !isGone && isInputOpen && !isInputPaused && !isEnding { readInput() }
        if isHungUp && (!isInputOpen || isEnding) { drop() }
    }

    private func readInput() {
        let buffer = SharedBuffer.input
        let count = recv(socket.raw, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT))
        if count > 0 { return take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
        if count < 0 && errno == EINTR { return }
        if count < 0 && errno == EAGAIN && !isHungUp { return }
        // A reset ends input as well.
        isInputOpen = false
        update()
        onInput(nil)
    }

    /// Input that has come. The keys that detach are no input: the peer gets what is there already, and its connection ends.
    func take(_ bytes: UnsafeRawBufferPointer) {
        if keys.keys.isEmpty { return onInput(bytes) }
        let (passed, isDetached) = keys.filter(bytes)
        if !passed.isEmpty { passed.withUnsafeBytes { onInput($0) } }
        if !isDetached { return }
        isInputOpen = false
        onDetach()
        end()
    }

    /// Closes the connection, whatever waits.
    func drop() {
        if isGone { return }
        isGone = true
        stopWatching()
        queue.clear()
        spill = nil
        // Input nobody wants is read away: closing a socket with unread bytes is a reset, not an end, for the peer.
        shutdown(socket.raw, Int32(SHUT_WR))
        // Not into the shared buffer: what is there may be on its way to others.
        withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 16) { scratch in
            while recv(socket.raw, scratch.baseAddress, scratch.count, Int32(MSG_DONTWAIT)) > 0 {}
        }
        shutdown(socket.raw, Int32(SHUT_RDWR))
        onGone()
    }
}
