import Glibc
import HTTPServer
import Logging
import NIOCore
import NIOHTTP1
import Testing

private let echo: RequestHandler = { request in
    let body = try await request.body.collect(limit: 100 << 20)
    var answer = ByteBuffer(string: "\(request.method) \(request.path)\n")
    answer.writeImmutableBuffer(body)
    return Response(status: .ok, headers: ["X-A": "b\r\nEvil: 1"], body: .bytes(answer))
}

@Suite struct RequestsAndAnswers {
    @Test func keepsTheConnectionAndAnswersPipelinedRequestsInOrder() async throws {
        try await withServer(handler: echo) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send(
                    "GET /1 HTTP/1.1\r\n\(host)\r\nPOST /2 HTTP/1.1\r\n\(host)Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n\(host)Connection: close\r\n\r\n"
                )
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            let bodies = text.split(separator: "\r\n\r\n", omittingEmptySubsequences: false)
            #expect(bodies.count == 4)
            #expect(bodies[1].hasPrefix("GET /1\nHTTP/1.1 200 OK"))
            #expect(bodies[2].hasPrefix("POST /2\nabcHTTP/1.1 200 OK"))
            #expect(bodies[3] == "GET /3\n")
            #expect(!text.contains("\r\nEvil"))
        }
    }

    @Test func readsChunkedBodiesOfAnySize() async throws {
        try await withServer(handler: echo) { path in
            let size = 3 << 20
            let count = try await blocking {
                let client = try RawClient(path)
                try client.send("POST /x HTTP/1.1\r\n\(host)Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
                let piece = [UInt8](repeating: 1, count: 1 << 16)
                for _ in 0..<size / piece.count {
                    try client.send("10000\r\n")
                    try client.send(piece)
                    try client.send("\r\n")
                }
                try client.send("0\r\n\r\n")
                return try client.receiveAll().count { $0 == 1 }
            }
            #expect(count == size)
        }
    }

    @Test(arguments: [
        ("NONSENSE\r\n\r\n", "400"), ("GET / HTTP/1.1\r\n\r\n", "400"), ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\(host)Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\(host)Content-Length: -1\r\n\r\n", "400"), ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}", "400"),
        ("GET / HTTP/1.1\r\n\(host)X: \(String(repeating: "y", count: 70_000))\r\n\r\n", "431"),
    ])
    func refusesWhatIsNoHTTP(_ bytes: String, _ status: String) async throws {
        try await withServer(handler: echo) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send(bytes)
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(text)")
        }
    }

    @Test func answersBeforeTheBodyIsReadAndSaysContinueOnlyToReaders() async throws {
        try await withServer(handler: { request in
            if request.path == "/read" { _ = try await request.body.collect(limit: 10) }
            return .bytes("no".utf8, contentType: "text/plain", status: .forbidden)
        }) { path in
            let (early, read) = try await blocking {
                let early = try RawClient(path)
                try early.send("POST /no HTTP/1.1\r\n\(host)Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n")
                try early.send([UInt8](repeating: 1, count: 1_000_000))
                let first = String(decoding: try early.receiveAll(), as: UTF8.self)
                let reader = try RawClient(path)
                try reader.send("POST /read HTTP/1.1\r\n\(host)Content-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
                let go = try reader.receive(until: "\r\n\r\n")
                try reader.send("ab")
                return (first, go + String(decoding: try reader.receiveAll(), as: UTF8.self))
            }
            #expect(early.hasPrefix("HTTP/1.1 403 Forbidden"))
            #expect(early.contains("\r\nConnection: close\r\n"))
            #expect(read.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden"))
        }
    }

    @Test func headAnswersHaveLengthButNoBody() async throws {
        try await withServer(handler: echo) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send("HEAD /h HTTP/1.1\r\n\(host)\r\nGET /2 HTTP/1.0\r\n\r\n")
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            #expect(text.contains("\r\nContent-Length: 8\r\n"))
            #expect(!text.contains("HEAD /h"))
            #expect(text.contains("HTTP/1.0 200 OK"))
        }
    }
}

@Suite struct Streams {
    @Test func streamsInChunksAndToOldClientsUntilTheEnd() async throws {
        try await withServer(handler: { _ in
            Response(
                status: .ok,
                body: .stream { writer in
                    for word in ["one", "two"] { try await writer.write(Array(word.utf8)) }
                })
        }) { path in
            let (new, old) = try await blocking {
                let new = try RawClient(path)
                try new.send("GET / HTTP/1.1\r\n\(host)Connection: close\r\n\r\n")
                let old = try RawClient(path)
                try old.send("GET / HTTP/1.0\r\n\r\n")
                return (String(decoding: try new.receiveAll(), as: UTF8.self), String(decoding: try old.receiveAll(), as: UTF8.self))
            }
            #expect(new.hasSuffix("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"))
            #expect(old.hasSuffix("\r\n\r\nonetwo"))
            #expect(!old.contains("chunked"))
        }
    }

    @Test func aBrokenStreamIsCutNotEnded() async throws {
        try await withServer(handler: { _ in
            Response(
                status: .ok,
                body: .stream { writer in
                    try await writer.write(Array("part".utf8))
                    throw Failure("broke")
                })
        }) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send("GET / HTTP/1.1\r\n\(host)\r\n")
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            #expect(!text.hasSuffix("0\r\n\r\n"))
        }
    }

    @Test func streamsAPipeWhole() async throws {
        let size = 4 << 20
        try await withServer(handler: { _ in
            var ends: [Int32] = [0, 0]
            #expect(pipe(&ends) == 0)
            let writing = ends[1]
            Task {
                try await blocking {
                    let piece = [UInt8](repeating: 7, count: 1 << 16)
                    for _ in 0..<size / piece.count { #expect(write(writing, piece, piece.count) == piece.count) }
                    _ = close(writing)
                }
            }
            return .stream(descriptor: ends[0], contentType: "application/x-tar")
        }) { path in
            let bytes = try await blocking {
                let client = try RawClient(path)
                try client.send("GET / HTTP/1.0\r\n\r\n")
                return try client.receiveAll()
            }
            #expect(bytes.count { $0 == 7 } == size)
        }
    }

    @Test func aSlowClientHoldsTheWriterAndItsLeavingEndsIt() async throws {
        let (progress, told) = AsyncStream.makeStream(of: Int.self)
        try await withServer(handler: { _ in
            Response(
                status: .ok,
                body: .stream { writer in
                    var sent = 0
                    defer { told.finish() }
                    while sent < 64 << 20 {
                        try await writer.write([UInt8](repeating: 1, count: 1 << 16))
                        sent += 1 << 16
                        told.yield(sent)
                    }
                })
        }) { path in
            let client = try await blocking {
                let client = try RawClient(path)
                try client.send("GET / HTTP/1.1\r\n\(host)\r\n")
                _ = try client.receive(10)
                usleep(300_000)
                _ = shutdown(client.descriptor, Int32(SHUT_RDWR))
                return client
            }
            var most = 0
            for await sent in progress { most = sent }
            #expect(most < 8 << 20)
            _ = client
        }
    }

    @Test func aClientThatLeavesCancelsTheHandler() async throws {
        let (cancelled, told) = AsyncStream.makeStream(of: Bool.self)
        try await withServer(handler: { _ in
            do { try await Task.sleep(for: .seconds(20)) } catch { told.yield(true) }
            told.finish()
            return Response(status: .ok)
        }) { path in
            try await blocking {
                let client = try RawClient(path)
                try client.send("POST /wait HTTP/1.1\r\n\(host)\r\n")
                usleep(50_000)
            }
            var seen = false
            for await flag in cancelled { seen = flag }
            #expect(seen)
        }
    }
}

@Suite struct Uploads {
    /// What the reader of a body's descriptor sees: bytes, then end of file or an error number.
    private func upload(_ send: @escaping @Sendable (RawClient) throws -> Void) async throws -> (count: Int, error: Int32) {
        let (results, told) = AsyncStream.makeStream(of: (Int, Int32).self)
        try await withServer(handler: { request in
            defer { told.finish() }
            let descriptor = try request.body.descriptor()
            let result = try await blocking { () -> (Int, Int32) in
                defer { _ = close(descriptor) }
                var buffer = [UInt8](repeating: 0, count: 1 << 16)
                var total = 0
                while true {
                    let count = read(descriptor, &buffer, buffer.count)
                    if count <= 0 { return (total, count < 0 ? errno : 0) }
                    total += count
                }
            }
            told.yield(result)
            return Response(status: .ok)
        }) { path in
            try await blocking {
                let client = try RawClient(path)
                try send(client)
                _ = try? client.receiveAll()
            }
        }
        var last = (0, Int32(-1))
        for await result in results { last = result }
        return last
    }

    @Test func aCompleteBodyEndsWithEndOfFile() async throws {
        let result = try await upload {
            try $0.send("POST / HTTP/1.1\r\n\(host)Connection: close\r\nContent-Length: 5000000\r\n\r\n")
            try $0.send([UInt8](repeating: 9, count: 5_000_000))
        }
        #expect(result == (5_000_000, 0))
    }

    @Test func aBrokenBodyEndsWithAnErrorAfterItsBytes() async throws {
        let short = try await upload {
            try $0.send("POST / HTTP/1.1\r\n\(host)Content-Length: 5000000\r\n\r\n")
            try $0.send([UInt8](repeating: 9, count: 1_000_000))
            $0.finishSending()
        }
        #expect(short == (1_000_000, ECONNRESET))
        let chunked = try await upload {
            try $0.send("POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            $0.finishSending()
        }
        #expect(chunked == (3, ECONNRESET))
    }

    @Test func noBodyIsACompleteBody() async throws {
        let result = try await upload { try $0.send("POST / HTTP/1.1\r\n\(host)Connection: close\r\n\r\n") }
        #expect(result == (0, 0))
    }
}
