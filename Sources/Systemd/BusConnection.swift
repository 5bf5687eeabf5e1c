internal import CLinux
internal import Glibc
internal import Linux

/// A conversation with a D-Bus peer over a Unix socket, one call at a time. Not shared between threads.
final class BusConnection {
    private let socket: OwnedFD
    private var received: [UInt8] = []
    private var serial: UInt32 = 0
    /// Signals that came while an answer was waited for: the end of a job may overtake the answer that names the job.
    private var signals: [BusMessage] = []
    /// Milliseconds that the other side may take to answer; systemd may have to start or stop a unit meanwhile.
    private let patience: Int64

    /// Connects and authenticates as whoever the kernel says that this process is (EXTERNAL with no name, which holds
    /// in a user namespace too).
    init(path: String, patience: Int64 = 30_000) throws {
        self.patience = patience
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        socket = OwnedFD(owning: try retrying("open socket") { Glibc.socket(AF_UNIX, type, 0) })
        let number = socket.raw
        do { try retrying("connect to", path) { clp_unix_connect(number, path) } } catch {
            throw BusError.unavailable("\(path): \(error.reason)")
        }
        // BEGIN goes along and not with the first message: systemd forgets a message that comes in one piece with it.
        try send(Array("\u{0}AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".utf8))
        var answer = try line()
        // Some take the missing name at once, some ask for it first.
        if answer.hasPrefix("DATA") { answer = try line() }
        guard answer.hasPrefix("OK ") || answer == "OK" else { throw BusError.unavailable("\(path): not let in: \(answer)") }
    }

    /// Calls a method and answers its results.
    func call(
        _ destination: String, _ path: String, _ interface: String, _ member: String, _ body: [BusValue] = [], operation: String
    ) throws -> [BusValue] {
        serial += 1
        var message = BusMessage(kind: .call)
        message.serial = serial
        message.destination = destination
        message.path = path
        message.interface = interface
        message.member = member
        message.body = body
        try send(message.bytes)
        let deadline = Self.now() + patience
        while true {
            let answer = try next(before: deadline, operation)
            switch answer.kind {
            case .signal: signals.append(answer)
            case .answer where answer.answersSerial == serial: return answer.body
            case .error where answer.answersSerial == serial:
                throw BusError.refused(operation: operation, name: answer.errorName ?? "error", message: answer.body.first?.text ?? "")
            default: break
            }
        }
    }

    /// Waits for a signal that `accepts`.
    func signal(_ operation: String, _ accepts: (BusMessage) -> Bool) throws -> BusMessage {
        if let index = signals.firstIndex(where: accepts) { return signals.remove(at: index) }
        let deadline = Self.now() + patience
        while true {
            let message = try next(before: deadline, operation)
            if message.kind == .signal && accepts(message) { return message }
        }
    }

    // MARK: - Bytes

    private func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        let number = socket.raw
        while !rest.isEmpty {
            let count = try retrying("send to systemd") {
                rest.withUnsafeBytes { Glibc.send(number, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            }
            rest = rest.dropFirst(count)
        }
    }

    private func receive(before deadline: Int64, _ operation: String) throws {
        var entry = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        let rest = deadline - Self.now()
        if rest <= 0 { throw BusError.timedOut(operation) }
        let ready = try retrying("wait for", "systemd") { poll(&entry, 1, Int32(clamping: rest)) }
        if ready == 0 { throw BusError.timedOut(operation) }
        var buffer = [UInt8](repeating: 0, count: 8192)
        let count = try socket.read(into: &buffer)
        if count == 0 { throw BusError.unavailable("it closed the connection (\(operation))") }
        received += buffer.prefix(count)
    }

    private func next(before deadline: Int64, _ operation: String) throws -> BusMessage {
        while true {
            if let length = try BusMessage.length(received[...]), received.count >= length {
                let message = try BusMessage(parsing: received[..<length])
                received.removeFirst(length)
                if let message { return message }
                continue
            }
            try receive(before: deadline, operation)
        }
    }

    /// A line of the authentication.
    private func line() throws -> String {
        let deadline = Self.now() + patience
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                let text = String(decoding: received[..<end].filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
                received.removeFirst(end + 1)
                return text
            }
            if received.count > 4096 { throw BusError.malformed("an endless line") }
            try receive(before: deadline, "authenticate to systemd")
        }
    }

    private static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
