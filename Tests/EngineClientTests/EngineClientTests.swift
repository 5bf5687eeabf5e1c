import EngineTypes
import Glibc
import JSON
import Linux
import Testing

@testable import EngineClient

/// A server that answers with fixed pieces, each written on its own.
private func response(_ pieces: [String], method: String = "GET") throws -> (head: HTTPHead, stream: ResponseStream) {
    let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
    let server = pair.second
    let connection = Connection(pair.first)
    for piece in pieces { try server.writeAll(Array(piece.utf8)) }
    _ = shutdown(server.raw, Int32(SHUT_WR))
    let head = try connection.readHead()
    return (head, try ResponseStream(head, connection, method: method, giveBack: { _ in }))
}

private func body(_ pieces: [String], method: String = "GET") throws -> String {
    String(decoding: try response(pieces, method: method).stream.readAll(), as: UTF8.self)
}

@Suite struct HTTPAnswers {
    @Test func lengthBody() throws {
        #expect(try body(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloEXTRA"]) == "hello")
    }

    @Test func chunksInAnyPieces() throws {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: x\r\n\r\n"
        #expect(try body([text]) == "hello world")
        #expect(try body(text.map { String($0) }) == "hello world")
    }

    @Test func untilClose() throws {
        let (_, stream) = try response(["HTTP/1.1 200 OK\r\n\r\nsome", " text"])
        #expect(String(decoding: try stream.readAll(), as: UTF8.self) == "some text")
    }

    @Test func statusesWithoutBody() throws {
        #expect(try body(["HTTP/1.1 204 No Content\r\n\r\n"]) == "")
        #expect(try body(["HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"]) == "")
        #expect(try body(["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"], method: "HEAD") == "")
    }

    @Test func informationalAnswersAreSkipped() throws {
        #expect(try body(["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]) == "ok")
    }

    @Test(arguments: [
        "HTTP/1.1 abc OK\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcdef", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nConten",
    ])
    func badAnswersAreRefused(_ text: String) {
        #expect(throws: ClientError.self) { try body([text]) }
    }

    @Test func anAnswerThatNeverCameIsToldApart() throws {
        do {
            _ = try response([])
            Issue.record("an empty answer was accepted")
        } catch ClientError.closed {}
    }

    @Test func refusalsCarryTheirMessage() throws {
        let text = "{\"message\":\"No such container: x\"}\n"
        let (_, stream) = try response(["HTTP/1.1 404 Not Found\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)"])
        let error = try stream.failure("1.50")
        #expect(error.status == 404)
        #expect(error.description == "Error response from daemon: No such container: x")
    }

    @Test func anOlderServerIsRecognizedByItsHeader() throws {
        let (_, stream) = try response(["HTTP/1.1 400 Bad Request\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n"])
        guard case .tooNew(let version) = try stream.failure("1.50") else {
            Issue.record("not recognized")
            return
        }
        #expect(version == "1.41")
    }
}

@Suite struct Demultiplexing {
    private static func frame(_ stream: UInt8, _ text: String) -> [UInt8] {
        [stream, 0, 0, 0, 0, 0, UInt8(text.utf8.count >> 8), UInt8(text.utf8.count & 255)] + Array(text.utf8)
    }

    @Test(arguments: [1, 2, 3, 7, 8, 9, 64, 4096])
    func framesComeInPiecesOfAnySize(_ size: Int) throws {
        let input = Self.frame(1, "out") + Self.frame(2, "err") + Self.frame(1, "") + Self.frame(1, String(repeating: "x", count: 300))
        var demultiplexer = StreamDemultiplexer()
        var output: [StreamDemultiplexer.Stream: [UInt8]] = [:]
        for start in stride(from: 0, to: input.count, by: size) {
            try Array(input[start..<min(start + size, input.count)]).withUnsafeBytes {
                try demultiplexer.feed($0) { output[$0, default: []].append(contentsOf: $1) }
            }
        }
        #expect(output[.stdout] == Array(("out" + String(repeating: "x", count: 300)).utf8))
        #expect(output[.stderr] == Array("err".utf8))
        #expect(demultiplexer.isAtBoundary)
    }

    @Test func unknownStreamsAreRefused() {
        var demultiplexer = StreamDemultiplexer()
        #expect(throws: ClientError.self) { try [UInt8](repeating: 9, count: 8).withUnsafeBytes { try demultiplexer.feed($0) { _, _ in } } }
    }
}

@Suite struct Endpoints {
    @Test(arguments: [
        ("unix:///run/x.sock", EngineEndpoint.unix("/run/x.sock")), ("unix://", .unix("/run/clipper.sock")),
        ("/run/y.sock", .unix("/run/y.sock")),
        ("tcp://127.0.0.1:99", .tcp(host: "127.0.0.1", port: 99)), ("tcp://[::1]:99", .tcp(host: "::1", port: 99)),
        ("tcp://host", .tcp(host: "host", port: 2375)), ("host:1", .tcp(host: "host", port: 1)),
    ])
    func forms(_ text: String, _ endpoint: EngineEndpoint) throws { #expect(try EngineEndpoint(parsing: text) == endpoint) }

    @Test(arguments: ["ssh://x", "https://x", "nonsense", "tcp://x:99999", "tcp://x:y"])
    func refused(_ text: String) { #expect(throws: ClientError.self) { try EngineEndpoint(parsing: text) } }

    @Test func noDaemonSaysHowToStartOne() {
        let client = EngineClient(endpoint: .unix("/nonexistent/clipper-test.sock"))
        do {
            _ = try client.call(Request("GET", "/info"))
            Issue.record("a call without a daemon succeeded")
        } catch {
            #expect(
                "\(error)".hasPrefix(
                    "Cannot connect to the Clipper daemon at unix:///nonexistent/clipper-test.sock. Is the daemon running? Start it with: ")
            )
        }
    }

    @Test func targetsAreEscaped() {
        let request = Request("GET", "/x", query: [("filters", "{\"a b\":[\"é\"]}")])
        #expect(request.target(version: "1.50") == "/v1.50/x?filters=%7B%22a%20b%22%3A%5B%22%C3%A9%22%5D%7D")
        #expect(Request.escaped("../a b?", keeping: "/") == "../a%20b%3F")
    }
}
