import Glibc
import HTTPServer
import Logging
import NIOCore
import NIOHTTP1
import Testing

@Suite struct ListenerTests {
    private func server() -> HTTPServer {
        HTTPServer(logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })) { _ in
            .bytes("ok".utf8, contentType: "text/plain")
        }
    }

    @Test func socketsHaveTheirModeAndOnlyDeadOnesAreReplaced() async throws {
        let path = scratchPath()
        let first = server()
        try await first.listen(on: .unix(path: path, mode: 0o660, group: "0"))
        var status = stat()
        #expect(lstat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o660)
        let second = server()
        await #expect(throws: HTTPServerError("listen on unix://\(path): another server answers there")) {
            try await second.listen(on: .unix(path: path))
        }
        // A dead server's socket: bound, not listening any more.
        let dead = scratchPath()
        #expect(rename(path, dead) == 0)
        await first.stop(grace: .zero)
        #expect(access(dead, F_OK) == 0)
        try await second.listen(on: .unix(path: dead))
        await second.stop(grace: .zero)
        #expect(access(dead, F_OK) != 0)
    }

    @Test func aFileIsNeverReplaced() async throws {
        let path = scratchPath()
        _ = close(open(path, O_CREAT | O_WRONLY, 0o600))
        defer { _ = unlink(path) }
        let server = server()
        await #expect(throws: HTTPServerError.self) { try await server.listen(on: .unix(path: path)) }
        await #expect(throws: HTTPServerError.self) { try await server.listen(on: .unix(path: String(repeating: "x", count: 200))) }
        #expect(access(path, F_OK) == 0)
        await server.stop(grace: .zero)
    }

    @Test func severalListenersAndATakenPort() async throws {
        let one = server()
        let bound = try await one.listen(on: .tcp(host: "127.0.0.1", port: 0))
        let path = scratchPath()
        try await one.listen(on: .unix(path: path))
        let two = server()
        await #expect(throws: HTTPServerError("listen on \(bound): address already in use")) { try await two.listen(on: bound) }
        let text = try await blocking {
            let client = try RawClient(path)
            try client.send("GET / HTTP/1.0\r\n\r\n")
            return String(decoding: try client.receiveAll(), as: UTF8.self)
        }
        #expect(text.hasSuffix("ok"))
        await one.stop()
        await two.stop()
    }

    @Test func pathsAndQueriesAreTakenApart() {
        let request = Request(method: .GET, target: "http://h/a%2Fb/c?x=1&y=a%20b+c&x=2&z&%zz=%4")
        #expect(request.path == "/a%2Fb/c")
        #expect(request.query["y"] == "a b c")
        #expect(request.query.all("x") == ["1", "2"])
        #expect(request.query["z"] == "")
        #expect(request.query["%zz"] == "%4")
        #expect(Percent.decode("a%2Fb%C3%A9+") == "a/bé+")
    }
}
