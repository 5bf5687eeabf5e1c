import Glibc
import NIOCore
import NIOHTTP1
import Testing

@testable import HTTPServer

/// A client's frame: masked, whole unless told otherwise.
private func frame(_ opcode: UInt8, _ payload: [UInt8], isLast: Bool = true, mask: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D]) -> [UInt8] {
    var bytes = [opcode | (isLast ? 0x80 : 0)]
    let masked: UInt8 = mask == nil ? 0 : 0x80
    switch payload.count {
    case ..<126: bytes.append(masked | UInt8(payload.count))
    case ..<65536: bytes += [masked | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default: bytes += [masked | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
    }
    guard let mask else { return bytes + payload }
    return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 % 4] }
}

/// What frames tell, their data joined; fed in pieces of so many bytes.
private func read(_ bytes: [UInt8], pieces: Int = .max) throws -> (data: [UInt8], others: [WebSocketFrames.Event]) {
    var frames = WebSocketFrames()
    var data: [UInt8] = []
    var others: [WebSocketFrames.Event] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        var buffer = ByteBuffer(bytes: rest.prefix(pieces))
        rest = rest.dropFirst(pieces)
        while let event = try frames.next(in: &buffer) {
            if case .data(let piece) = event { data += Array(piece.readableBytesView) } else { others.append(event) }
        }
    }
    return (data, others)
}

@Suite struct WebSocketFrameTests {
    @Test(arguments: [1, 2, 3, 7, .max])
    func messagesPingsAndClosesInAnyPieces(pieces: Int) throws {
        let long = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let bytes =
            frame(2, [1, 2, 3]) + frame(9, Array("hey".utf8)) + frame(1, Array("text".utf8)) + frame(2, []) + frame(2, Array(long[..<300]))
            + frame(10, []) + frame(2, long) + frame(8, [0x03, 0xE8] + Array("bye".utf8)) + frame(2, [9, 9])
        let (data, others) = try read(bytes, pieces: pieces)
        #expect(data == [1, 2, 3] + Array("text".utf8) + long[..<300] + long)
        #expect(others == [.ping(ByteBuffer(string: "hey")), .close(1000)])
    }

    @Test func fragmentsWithAPingBetweenThem() throws {
        let bytes = frame(1, [1], isLast: false) + frame(0, [2], isLast: false) + frame(9, []) + frame(0, [3]) + frame(2, [4])
        let (data, others) = try read(bytes)
        #expect(data == [1, 2, 3, 4])
        #expect(others == [.ping(ByteBuffer())])
    }

    /// A frame of four exabytes costs nothing: its bytes are handed on as they come.
    @Test func theLongestFrameIsNotHeld() throws {
        var frames = WebSocketFrames()
        var head = ByteBuffer(bytes: [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0])
        #expect(try frames.next(in: &head) == nil)
        for _ in 0..<3 {
            var piece = ByteBuffer(string: "abc")
            #expect(try frames.next(in: &piece) == .data(ByteBuffer(string: "abc")))
        }
    }

    @Test(
        arguments: [
            frame(2, [1], mask: nil),  // not masked
            [0xC2, 0x81, 0, 0, 0, 0, 1],  // a reserved bit
            frame(3, [1]), frame(11, []),  // reserved opcodes
            frame(9, [1], isLast: false), frame(8, [UInt8](repeating: 0, count: 126)),  // a control frame in parts, a long one
            frame(0, [1]), frame(1, [1], isLast: false) + frame(2, [1]),  // continuing nothing, not continuing
            [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  // a negative length
            frame(8, [3]), frame(8, [0x03, 0xED]), frame(8, [0x03, 0xE7]),  // half a code, 1005, 999
        ] as [[UInt8]])
    func violations(_ bytes: [UInt8]) { #expect(throws: WebSocketFrames.Violation.protocolError) { try read(bytes) } }

    @Test(
        arguments: [(0, [0x82, 0]), (125, [0x82, 125]), (126, [0x82, 126, 0, 126]), (65536, [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0])]
            as [(Int, [UInt8])])
    func headsToTheClient(count: Int, bytes: [UInt8]) {
        #expect(Array(WebSocketFrames.head(.binary, count: count).readableBytesView) == bytes)
    }
}

private let serving = {
    var configuration = HTTPServerConfiguration()
    configuration.mayHijack = { _, target in target.hasPrefix("/ws") }
    return configuration
}()

private let opening =
    "GET /ws HTTP/1.1\r\n\(host)Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/// Answers with a WebSocket glued to what `serve` runs.
private func webSocket(prologue: String? = nil, _ serve: @escaping @Sendable (Int32) -> Void) -> RequestHandler {
    { (request: Request) async throws -> Response in
        let opening: WebSocketOpening
        do { opening = try WebSocketOpening(request) } catch {
            return .bytes("\(error)".utf8, contentType: "text/plain", status: .badRequest)
        }
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        let inner = ends[1]
        Task {
            try await blocking {
                defer { _ = close(inner) }
                serve(inner)
            }
        }
        let text = Array((prologue ?? "").utf8)
        return .webSocket(opening, socket: ends[0], isBinary: true) { writer in try await writer.write(text) }
    }
}

@Suite struct WebSocketTests {
    /// The example of RFC 6455 section 1.3.
    @Test func answersTheKey() { #expect(WebSocketOpening.answer(to: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") }

    @Test func carriesBytesBothWaysAndCloses() async throws {
        let upper = webSocket(prologue: "before") { socket in
            while let bytes = try? receiveBytes(socket), !bytes.isEmpty {
                let louder = bytes.map { $0 >= 97 && $0 <= 122 ? $0 - 32 : $0 }
                _ = write(socket, louder, louder.count)
            }
            _ = write(socket, "bye", 3)
        }
        try await withServer(serving, handler: upper) { path in
            let (head, rest) = try await blocking {
                let client = try RawClient(path)
                try client.send(Array(opening.utf8) + frame(2, Array("early".utf8)))
                let head = try client.receive(until: "\r\n\r\n")
                var got = try client.receive()
                while got.count < 8 + 7 { got += try client.receive() }
                try client.send(frame(9, [7]))
                got += try client.receive()
                try client.send(frame(8, [0x03, 0xE8]))
                return (head, got + (try client.receiveAll()))
            }
            #expect(
                head == "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
            // Nothing follows the close: the last word is for nobody.
            #expect(rest == [0x82, 6] + "before".utf8 + [0x82, 5] + "EARLY".utf8 + [0x8A, 1, 7] + [0x88, 2, 0x03, 0xE8])
        }
    }

    @Test func theStreamsEndClosesTheWebSocket() async throws {
        try await withServer(serving, handler: webSocket { _ = write($0, "last", 4) }) { path in
            let rest = try await blocking {
                let client = try RawClient(path)
                try client.send(opening)
                _ = try client.receive(until: "\r\n\r\n")
                return try client.receiveAll()
            }
            #expect(rest == [0x82, 4] + "last".utf8 + [0x88, 2, 0x03, 0xE8])
        }
    }

    @Test func aViolationClosesWithItsCode() async throws {
        try await withServer(serving, handler: webSocket { _ = try? receiveBytes($0) }) { path in
            let rest = try await blocking {
                let client = try RawClient(path)
                try client.send(Array(opening.utf8) + frame(2, [1], mask: nil))
                _ = try client.receive(until: "\r\n\r\n")
                return try client.receiveAll()
            }
            #expect(rest == [0x88, 2, 0x03, 0xEA])
        }
    }

    @Test(arguments: [
        ("Upgrade: websocket\r\n", ""), ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"), ("dGhlIHNhbXBsZSBub25jZQ==", "short"),
        ("GET", "POST"),
    ])
    func requestsThatAskForNone(_ part: String, _ replacement: String) async throws {
        try await withServer(serving, handler: webSocket { _ in }) { path in
            let head = try await blocking {
                let client = try RawClient(path)
                try client.send(opening.replacing(part, with: replacement))
                return try client.receive(until: "\r\n\r\n")
            }
            #expect(head.hasPrefix("HTTP/1.1 400 "))
        }
    }
}
