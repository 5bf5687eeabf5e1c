import Glibc
import HTTPServer
import NIOCore
import NIOHTTP1
import Testing

private let hijacking = {
    var configuration = HTTPServerConfiguration()
    configuration.mayHijack = { _, target in target.hasSuffix("/attach") }
    return configuration
}()

/// Answers each request with the stream `serve` runs on the other end of a socket pair.
private func gluing(_ serve: @escaping @Sendable (Int32) throws -> Void) -> RequestHandler {
    { request in
        _ = try await request.body.collect(limit: 1000)
        if request.query["missing"] != nil { return .bytes("{}".utf8, contentType: "application/json", status: .notFound) }
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
        let inner = ends[1]
        Task {
            try await blocking {
                defer { _ = close(inner) }
                try serve(inner)
            }
        }
        var response = Response.hijack(socket: ends[0], upgradedContentType: "application/vnd.docker.multiplexed-stream")
        response.headers.add(name: "Api-Version", value: "1.50")
        return response
    }
}

/// Sends back everything until end of file, then a last word.
private let echoThenBye: @Sendable (Int32) throws -> Void = { descriptor in
    while true {
        let bytes = try receiveBytes(descriptor)
        if bytes.isEmpty { break }
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent) }
            if count < 0 { throw Failure("write: \(errno)") }
            sent += count
        }
    }
    _ = write(descriptor, "bye", 3)
}

@Suite struct HijackTests {
    @Test func upgradesKeepEarlyBytesAndPassHalfClose() async throws {
        try await withServer(hijacking, handler: gluing(echoThenBye)) { path in
            let (head, rest) = try await blocking {
                let client = try RawClient(path)
                try client.send("POST /attach HTTP/1.1\r\n\(host)Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly GET / HTTP/1.1\r\n\r\n")
                let head = try client.receive(until: "\r\n\r\n")
                try client.send("late")
                client.finishSending()
                return (head, String(decoding: try client.receiveAll(), as: UTF8.self))
            }
            #expect(
                head == "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\nConnection: Upgrade\r\n"
                    + "Upgrade: tcp\r\nApi-Version: 1.50\r\n\r\n")
            #expect(rest == "early GET / HTTP/1.1\r\n\r\nlatebye")
        }
    }

    @Test func worksWithoutUpgradeWithABodyAndWithInputClosedAtOnce() async throws {
        try await withServer(hijacking, handler: gluing(echoThenBye)) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send("POST /x/attach HTTP/1.1\r\n\(host)Content-Length: 2\r\n\r\n{}early\u{0}\u{1}")
                client.finishSending()
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            #expect(
                text == "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\nApi-Version: 1.50\r\n\r\nearly\u{0}\u{1}bye")
        }
    }

    @Test func headCutAtEveryByteStillKeepsEarlyBytes() async throws {
        try await withServer(hijacking, handler: gluing(echoThenBye)) { path in
            let request = "POST /attach HTTP/1.1\r\nHost: \r\nUpgrade: tcp\r\n\r\nE"
            for cut in [3, request.utf8.count - 5, request.utf8.count - 4, request.utf8.count - 3, request.utf8.count - 2] {
                let text = try await blocking {
                    let client = try RawClient(path)
                    try client.send(Array(request.utf8.prefix(cut)))
                    usleep(20_000)
                    try client.send(Array(request.utf8.dropFirst(cut)))
                    client.finishSending()
                    return String(decoding: try client.receiveAll(), as: UTF8.self)
                }
                #expect(text.hasSuffix("\r\n\r\nEbye"), "cut at \(cut): \(text)")
            }
        }
    }

    @Test func carriesMegabytesBothWaysUnchanged() async throws {
        try await withServer(hijacking, handler: gluing(echoThenBye)) { path in
            let bytes = (0..<(6 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
            let client = try await blocking {
                let client = try RawClient(path)
                try client.send("POST /attach HTTP/1.1\r\n\(host)Upgrade: tcp\r\n\r\n")
                _ = try client.receive(until: "\r\n\r\n")
                return client
            }
            async let sent: Void = blocking {
                try client.send(bytes)
                client.finishSending()
            }
            let received = try await blocking { try client.receiveAll() }
            try await sent
            #expect(received == bytes + Array("bye".utf8))
        }
    }

    @Test func theStreamsEndReachesAClientThatStillSends() async throws {
        try await withServer(hijacking, handler: gluing { _ = write($0, "done", 4) }) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send("POST /attach HTTP/1.1\r\n\(host)Upgrade: tcp\r\n\r\nunread input")
                return String(decoding: try client.receiveAll(), as: UTF8.self)
            }
            #expect(text.hasSuffix("\r\n\r\ndone"))
        }
    }

    @Test func aClientThatLeavesEndsTheStream() async throws {
        let (ended, told) = AsyncStream.makeStream(of: Int.self)
        try await withServer(
            hijacking,
            handler: gluing {
                told.yield(try receiveBytes($0).count)
                told.finish()
            }
        ) { path in
            try await blocking {
                let client = try RawClient(path)
                try client.send("POST /attach HTTP/1.1\r\n\(host)Upgrade: tcp\r\n\r\n")
                _ = try client.receive(until: "\r\n\r\n")
            }
            for await count in ended { #expect(count == 0) }
        }
    }

    @Test func aRefusedHijackIsAnOrdinaryAnswer() async throws {
        try await withServer(hijacking, handler: gluing(echoThenBye)) { path in
            let text = try await blocking {
                let client = try RawClient(path)
                try client.send("POST /attach?missing=1 HTTP/1.1\r\n\(host)Upgrade: tcp\r\n\r\n")
                return try client.receive(until: "{}")
            }
            #expect(text.contains("HTTP/1.1 404 Not Found\r\n"))
        }
    }
}
