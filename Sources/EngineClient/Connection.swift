internal import CLinux
internal import Glibc
internal import JSON
internal import Linux

/// A connected socket and the bytes that were read ahead from it.
final class Connection {
    private let socket: OwnedFD
    private var input: [UInt8] = []
    private var position = 0

    /// A Unix socket is never encrypted: its mode says who may connect.
    init(_ endpoint: EngineEndpoint, _ tls: ClientTLS? = nil) throws {
        let plain = try endpoint.connect()
        if let tls, case .tcp(let host, _) = endpoint {
            socket = try TLSTunnel.open(plain, host: host, tls)
        } else {
            socket = plain
        }
    }

    /// For tests: speaks over a socket that is already there.
    init(_ socket: consuming OwnedFD) { self.socket = socket }

    var descriptor: Int32 { socket.raw }

    /// Bytes that were read ahead and not taken yet.
    var bufferedCount: Int { input.count - position }

    // Writing

    func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.send(socket.raw, bytes.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
            if count >= 0 { offset += count; continue }
            switch errno {
            case EINTR: continue
            case EPIPE, ECONNRESET: throw ClientError.closed
            default: throw SystemError("write to", "the daemon")
            }
        }
    }

    /// Sends what the socket takes at once; 0 when it is full.
    func writeSome(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        let count = Glibc.send(socket.raw, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        if count >= 0 { return count }
        switch errno {
        case EINTR, EAGAIN: return 0
        case EPIPE, ECONNRESET: throw ClientError.closed
        default: throw SystemError("write to", "the daemon")
        }
    }

    /// Ends the sending direction (half-close).
    func closeWrite() { _ = shutdown(socket.raw, Int32(SHUT_WR)) }

    // Reading

    /// Read-ahead bytes first, then one read(2); 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if bufferedCount > 0 {
            let count = min(buffer.count, bufferedCount)
            input.withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[position..<position + count])) }
            position += count
            return count
        }
        return try readSocket(into: buffer)
    }

    private func readSocket(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let count = Glibc.read(socket.raw, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case ECONNRESET: return 0
            default: throw SystemError("read from", "the daemon")
            }
        }
    }

    /// Reads more behind what is buffered; false at the end.
    func fill() throws -> Bool {
        if position > 0 {
            input.removeFirst(position)
            position = 0
        }
        var chunk = [UInt8](repeating: 0, count: 16384)
        let count = try chunk.withUnsafeMutableBytes { try readSocket(into: $0) }
        input.append(contentsOf: chunk[..<count])
        return count > 0
    }

    /// One line without its end, of at most `limit` bytes; nil when the stream ends first.
    func readLine(limit: Int) throws -> [UInt8]? {
        while true {
            if let end = input[position...].firstIndex(of: 10) {
                var line = Array(input[position..<end])
                position = end + 1
                if line.last == 13 { line.removeLast() }
                return line
            }
            guard bufferedCount <= limit else { throw ClientError.malformed("line longer than \(limit) bytes") }
            guard try fill() else { return nil }
        }
    }

    /// Reads the head of an answer; informational answers (100 Continue) are skipped. Throws `ClientError.closed`
    /// when the server closed instead of answering.
    func readHead() throws -> HTTPHead {
        while true {
            var consumed = 0
            while true {
                if let found = HTTPHead.end(in: input[position...]) { consumed = found; break }
                guard bufferedCount <= HTTPHead.limit else { throw ClientError.malformed("head longer than \(HTTPHead.limit) bytes") }
                guard try fill() else { throw bufferedCount == 0 ? ClientError.closed : ClientError.malformed("head ends in the middle") }
            }
            let head = try HTTPHead(parsing: input[position..<consumed])
            position = consumed
            if head.status >= 200 || head.status == 101 { return head }
        }
    }

    // Requests

    func send(_ request: Request, version: String, endpoint: EngineEndpoint) throws {
        var text =
            "\(request.method) \(request.target(version: version)) HTTP/1.1\r\nHost: \(Self.hostHeader(endpoint))\r\nUser-Agent: Clipper-Client/1 (linux)\r\n"
        for (name, value) in request.headers {
            guard !value.utf8.contains(where: { $0 == 13 || $0 == 10 }) else {
                throw ClientError.invalid("header \(name) holds a line break")
            }
            text += "\(name): \(value)\r\n"
        }
        switch request.body {
        case .none:
            if request.method == "POST" || request.method == "PUT" { text += "Content-Length: 0\r\n" }
            try write(Array((text + "\r\n").utf8))
        case .json(let document):
            let bytes = document.serialized()
            text += "Content-Type: application/json\r\nContent-Length: \(bytes.count)\r\n\r\n"
            try write(Array(text.utf8) + bytes)
        case .descriptor(let source, let type):
            try write(Array("\(text)Content-Type: \(type)\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
            try untilRefused { try self.sendChunks(from: source) }
        case .producer(let type, let produce):
            try write(Array("\(text)Content-Type: \(type)\r\nTransfer-Encoding: chunked\r\n\r\n".utf8))
            try untilRefused { try produce(RequestBodyWriter(self)) }
        }
    }

    /// Sends a body and its end. A server that refuses in the middle closes its reading side: then its answer tells why.
    private func untilRefused(_ body: () throws -> Void) throws {
        do {
            try body()
            try write(Array("0\r\n\r\n".utf8))
        } catch ClientError.closed {}
    }

    private func sendChunks(from source: Int32) throws {
        let writer = RequestBodyWriter(self)
        var chunk = [UInt8](repeating: 0, count: 256 * 1024)
        while true {
            let count = try chunk.withUnsafeMutableBytes { buffer in
                try retrying("read request body") { Glibc.read(source, buffer.baseAddress, buffer.count) }
            }
            if count == 0 { return }
            try chunk.withUnsafeBytes { try writer.write(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    private static func hostHeader(_ endpoint: EngineEndpoint) -> String {
        switch endpoint {
        case .unix: "localhost"
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }
}
