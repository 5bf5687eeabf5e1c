internal import Glibc
internal import Linux

/// The writing end of a process's standard input: a pipe or a terminal's master. Never blocks the shim.
final class StandardInputSink {
    private let loop: EventLoop
    private var descriptor: OwnedFD?
    private let number: Int32
    private var token: UInt64?
    private var queue = ByteQueue()
    private var closesWhenDrained = false
    private(set) var isClosed = false
    /// Called when what was waiting has been written.
    var onDrained: () -> Void = {}

    init(_ descriptor: consuming OwnedFD, loop: EventLoop) throws(SystemError) {
        try makeNonBlocking(descriptor.raw)
        number = descriptor.raw
        self.descriptor = .some(consume descriptor)
        self.loop = loop
    }

    deinit { if let token { loop.unwatch(token) } }

    /// True while something waits to be written: peers are not read from meanwhile.
    var isBusy: Bool { !queue.isEmpty }

    /// Takes bytes in; what the process does not want any more is dropped.
    func write(_ data: UnsafeRawBufferPointer) {
        if isClosed || closesWhenDrained { return }
        queue.append(data)
        flush()
    }

    /// End of input once everything before it is written.
    func close() {
        closesWhenDrained = true
        flush()
    }

    private func flush() {
        if isClosed { return }
        switch queue.drain({ [number] in Glibc.write(number, $0.baseAddress, $0.count) }) {
        case .blocked: waitForRoom()
        case .empty:
            stopWaiting()
            if closesWhenDrained { finish() } else { onDrained() }
        case .broken: finish()
        }
    }

    private func waitForRoom() {
        if token != nil { return }
        do {
            token = try loop.watch(number, Readiness.output) { [unowned self] _ in flush() }
        } catch {
            ShimLog.write("\(error)")
            finish()
        }
    }

    private func stopWaiting() {
        if let token { loop.unwatch(token) }
        token = nil
    }

    private func finish() {
        stopWaiting()
        queue.clear()
        isClosed = true
        descriptor = nil
        onDrained()
    }
}
