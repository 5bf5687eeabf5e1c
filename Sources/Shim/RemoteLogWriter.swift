internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// Sends a container's output to a log server, a message a line.
///
/// A server that is gone never stops the container: the writer connects again in growing intervals; meanwhile messages
/// wait, and those that find no room are lost. A server that is there and slow makes the container's writes wait, or, in
/// the mode non-blocking, costs messages too. The first loss is told.
final class RemoteLogWriter: ContainerLog {
    private enum Link {
        case waiting
        case connecting(LogConnection)
        case connected(LogConnection)
    }

    /// What may wait in the mode blocking before the container does.
    private static let highWater = 1 << 18
    /// How long the server may take for what is left when the container has ended.
    private static let patience: Int32 = 3000
    private static let longestInterval: Int64 = 5000

    private let configuration: LaunchRequest.Log.Remote
    private let loop: EventLoop
    private let encoder: any LogEncoder
    private var lines = LogLines()
    private var queue = MessageQueue()
    private var link = Link.waiting
    private var interval: Int64 = 100
    private var hasComplained = false
    private var isFinished = false
    /// The container waits, or is about to.
    private var isHolding = false
    var onRelief: () -> Void = {}

    /// Connects; a server that is not there is an error, unless it may come later (`fluentd-async`).
    init(_ configuration: LaunchRequest.Log.Remote, loop: EventLoop) throws(SystemError) {
        self.configuration = configuration
        self.loop = loop
        encoder = configuration.encoder
        do throws(SystemError) {
            let connection = try LogConnection(configuration.address, loop: loop)
            link = .connecting(connection)
            try connection.complete(within: RemoteLogWriter.patience)
            try connected(connection)
        } catch {
            if configuration.settings["async"] != "true" { throw error }
            disconnect()
        }
    }

    var isOverfull: Bool {
        guard configuration.isBlocking, case .connected = link else { return false }
        return queue.size > RemoteLogWriter.highWater
    }

    func append(_ data: UnsafeRawBufferPointer, stream: Int) {
        let time = Timestamp.now()
        lines.append(data, stream: stream) { encode($0, $1, $2, stream, time) }
        pump()
        if isOverfull { isHolding = true }
    }

    private func encode(_ bytes: UnsafePointer<UInt8>, _ count: Int, _ isFinished: Bool, _ stream: Int, _ time: Timestamp) {
        let line = LogMessage(
            text: UnsafeBufferPointer(start: bytes, count: count), isError: stream == 2, isPartial: !isFinished, time: time)
        for message in encoder.encode(line) {
            let limit = isConnectedAndBlocking ? Int.max : configuration.bufferSize
            // Of what has come in one read, some may go already.
            if queue.size + message.count > min(limit, RemoteLogWriter.highWater) { pump() }
            if queue.size + message.count > limit {
                complain("\(configuration.kind.rawValue) log: the server at \(configuration.address) is behind: messages are lost")
            } else {
                queue.append(message)
            }
        }
    }

    private var isConnectedAndBlocking: Bool { if case .connected = link { configuration.isBlocking } else { false } }

    func finish() {
        if isFinished { return }
        isFinished = true
        for stream in 1...2 {
            lines.finish(stream: stream) { bytes, count, _ in encode(bytes, count, false, stream, Timestamp.now()) }
        }
        pump()
        let end = RemoteLogWriter.now() + Int64(RemoteLogWriter.patience)
        while !queue.isEmpty, case .connected(let connection) = link {
            let rest = end - RemoteLogWriter.now()
            guard rest > 0, connection.waitForRoom(Int32(rest)) else { break }
            pump()
        }
        if !queue.isEmpty {
            complain("\(configuration.kind.rawValue) log: the container ended before \(configuration.address) had all of it")
        }
        drop()
    }

    private static func now() -> Int64 { Timestamp.now().seconds * 1000 + Int64(Timestamp.now().nanoseconds) / 1_000_000 }

    // MARK: The connection

    private func connected(_ connection: LogConnection) throws(SystemError) {
        link = .connected(connection)
        interval = 100
        hasComplained = false
        queue.restart()
        try connection.watch { [unowned self] in event() }
    }

    private func event() {
        switch link {
        case .waiting: break
        case .connecting(let connection):
            do throws(SystemError) {
                try connection.checkError()
                try connected(connection)
            } catch { return lost(error) }
            pump()
        case .connected(let connection):
            do throws(SystemError) { try connection.takeInput() } catch { return lost(error) }
            pump()
        }
    }

    /// Sends what can be sent.
    private func pump() {
        guard case .connected(let connection) = link else { return }
        do throws(SystemError) {
            while let message = queue.next {
                switch try connection.send(message) {
                case .sent(let count): queue.advance(count)
                case .refused(let reason):
                    queue.removeFirst()
                    complain("\(configuration.kind.rawValue) log: send to \(configuration.address): \(reason)")
                case .full:
                    connection.wantsRoom(true)
                    return relieveIfPossible()
                }
            }
            connection.wantsRoom(false)
            relieveIfPossible()
        } catch { lost(error) }
    }

    private func relieveIfPossible() {
        if isHolding && queue.size <= RemoteLogWriter.highWater / 2 { relieve() }
    }

    /// Not at once: the streams may be in the middle of giving us something.
    private func relieve() {
        isHolding = false
        _ = loop.after(milliseconds: 0) { [weak self] in self?.onRelief() }
    }

    private func lost(_ error: SystemError) {
        complain("\(configuration.kind.rawValue) log: \(error)")
        disconnect()
        // Nobody waits for a server that is gone.
        if isHolding { relieve() }
    }

    private func disconnect() {
        drop()
        if isFinished { return }
        _ = loop.after(milliseconds: interval) { [weak self] in self?.reconnect() }
        interval = min(interval * 2, RemoteLogWriter.longestInterval)
    }

    private func drop() {
        switch link {
        case .connecting(let connection), .connected(let connection): connection.close()
        case .waiting: break
        }
        link = .waiting
    }

    private func reconnect() {
        guard case .waiting = link, !isFinished else { return }
        do throws(SystemError) {
            let connection = try LogConnection(configuration.address, loop: loop)
            link = .connecting(connection)
            if connection.isComplete {
                try connected(connection)
                pump()
            } else {
                try connection.watch { [unowned self] in event() }
                connection.wantsRoom(true)
            }
        } catch { lost(error) }
    }

    private func complain(_ text: String) {
        if hasComplained { return }
        hasComplained = true
        ShimLog.write(text)
    }
}
