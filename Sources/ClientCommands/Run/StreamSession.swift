internal import CLinux
internal import ClientUI
internal import EngineClient
internal import Glibc
internal import Linux

/// The live part of `run`, `exec`, `attach` and `start -a`: one poll loop over the connection, stdin and signals.
///
///     stdin ──(detach keys)──▶ connection ──(frames apart)──▶ stdout, stderr
///     signals ──▶ `onSignal`, window size ──▶ `onResize`
///
/// Ends when the daemon ends the stream or the user types the detach keys. Input is sent without blocking, so that a
/// container that doesn't read never keeps its output from being shown.
final class StreamSession {
    enum Ending { case ended, detached, interrupted(Int32) }

    private let stream: HijackedStream
    private let hasTerminal: Bool
    private let out: Output
    private let err: Output
    /// Stdin as long as it is read.
    private var input: Int32?
    private var pending: [UInt8] = []
    private var pendingOffset = 0
    private var keys: DetachKeys?
    private var demultiplexer = StreamDemultiplexer()
    private let raw = RawTerminal(0)
    private let signals: SignalSource?
    var onSignal: ((Int32) -> Void)?
    /// The user has ended it, or tried to.
    private(set) var hasSentSignal = false
    var onResize: (() -> Void)?

    /// `hasTerminal`: the container side is a terminal, so the stream is raw. `sendsInput`: stdin goes to the container.
    init(_ stream: HijackedStream, context: Context, hasTerminal: Bool, sendsInput: Bool, detachKeys: DetachKeys, proxiesSignals: Bool)
        throws
    {
        self.stream = stream
        self.hasTerminal = hasTerminal
        out = context.out
        err = context.err
        input = sendsInput ? 0 : nil
        let isRaw = hasTerminal && sendsInput && Output.isTerminal(0)
        if isRaw {
            keys = detachKeys
            raw.enter()
        }
        if isRaw {
            signals = try SignalSource(SignalSource.ending + [SIGWINCH])
        } else if proxiesSignals && !hasTerminal {
            signals = try SignalSource(SignalSource.proxied)
        } else {
            signals = hasTerminal ? try SignalSource([SIGWINCH]) : nil
        }
        self.isRaw = isRaw
    }

    private let isRaw: Bool

    func run() throws -> Ending {
        defer { raw.restore() }
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            if stream.hasBufferedBytes {
                guard try receive(buffer) else { return .ended }
                continue
            }
            let hasPending = pendingOffset < pending.count
            var polled = [
                pollfd(fd: stream.descriptor, events: Int16(POLLIN) | (hasPending ? Int16(POLLOUT) : 0), revents: 0),
                pollfd(fd: hasPending ? -1 : input ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&polled, 3, -1) < 0 {
                if errno == EINTR { continue }
                throw SystemError("poll", "the container's streams")
            }
            if polled[2].revents != 0, let ending = takeSignals() { return ending }
            if polled[0].revents & Int16(POLLOUT) != 0 { sendPending() }
            if polled[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
                guard try receive(buffer) else { return .ended }
            }
            if polled[1].revents != 0, readInput(buffer) { return .detached }
        }
    }

    /// False at the end of the stream.
    private func receive(_ buffer: UnsafeMutableRawBufferPointer) throws -> Bool {
        let count = try stream.read(into: buffer)
        guard count > 0 else { return false }
        let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if hasTerminal {
            out.write(raw: bytes)
        } else {
            try demultiplexer.feed(bytes) { stream, piece in (stream == .stdout ? out : err).write(raw: piece) }
        }
        return true
    }

    private func takeSignals() -> Ending? {
        while let signal = signals?.next() {
            if signal == SIGWINCH {
                onResize?()
            } else if isRaw {
                return .interrupted(signal)
            } else {
                hasSentSignal = true
                onSignal?(signal)
            }
        }
        return nil
    }

    /// True when the detach keys were typed.
    private func readInput(_ buffer: UnsafeMutableRawBufferPointer) -> Bool {
        guard let input else { return false }
        let count = read(input, buffer.baseAddress, buffer.count)
        if count < 0 && (errno == EINTR || errno == EAGAIN) { return false }
        guard count > 0 else {
            self.input = nil
            stream.closeWrite()
            return false
        }
        let bytes = buffer[..<count]
        pendingOffset = 0
        if var keys {
            let (passed, isDetached) = keys.filter(bytes)
            self.keys = keys
            pending = passed
            if isDetached { return true }
        } else {
            pending = Array(bytes)
        }
        sendPending()
        return false
    }

    private func sendPending() {
        guard pendingOffset < pending.count else { return }
        do {
            pendingOffset += try pending.withUnsafeBytes { try stream.writeSome(UnsafeRawBufferPointer(rebasing: $0[pendingOffset...])) }
        } catch {
            // The container takes no more input; its output goes on.
            input = nil
            pending = []
            pendingOffset = 0
        }
    }
}
