import Glibc
import JSON
import Linux
import ShimProtocol
import Testing

@testable import Shim

private func encoded(
    _ kind: LaunchRequest.Log.Remote.Kind, _ text: String, isError: Bool = false, isPartial: Bool = false,
    _ change: (inout LaunchRequest.Log.Remote) -> Void = { _ in }
) -> [[UInt8]] {
    var remote = LaunchRequest.Log.Remote(kind: kind, address: .init(.udp, "127.0.0.1", port: 1))
    change(&remote)
    return Array(text.utf8).withUnsafeBufferPointer {
        remote.encoder.encode(
            LogMessage(text: $0, isError: isError, isPartial: isPartial, time: Timestamp(seconds: 1_767_225_600, nanoseconds: 7_000_000)))
    }
}

@Suite struct LogEncoderTests {
    @Test func syslog() {
        let lines = ["rfc5424", "rfc5424micro", "rfc3164", ""].map { format in
            String(
                decoding: encoded(.syslog, "hello", isError: format.isEmpty) {
                    $0.settings = ["format": format, "priority": "24"]
                    $0.tag = "tag"
                    $0.host = "here"
                }[0], as: UTF8.self)
        }
        #expect(lines[0] == "<30>1 2026-01-01T00:00:00Z here tag \(getpid()) tag - hello\n")
        #expect(lines[1] == "<30>1 2026-01-01T00:00:00.007000Z here tag \(getpid()) tag - hello\n")
        #expect(lines[2].hasPrefix("<30>") && lines[2].hasSuffix(" here tag[\(getpid())]: hello\n"))
        #expect(lines[3].hasPrefix("<27>") && lines[3].hasSuffix("00 tag[\(getpid())]: hello\n"))
    }

    @Test func fluentd() {
        let bytes = encoded(.fluentd, "hi", isPartial: true) {
            $0.tag = "t"
            $0.fields = ["k": "v"]
        }[0]
        // [ "t", 1767225600, { "k": "v", "source": "stdout", "partial_message": "true", "log": "hi" } ]
        let head: [UInt8] = [0x93, 0xa1, 0x74, 0xce, 0x69, 0x55, 0xb9, 0, 0xdf, 0, 0, 0, 4, 0xa1, 0x6b, 0xa1, 0x76, 0xa6]
        #expect(Array(bytes.prefix(head.count)) == head)
        #expect(bytes.suffix(7) == [0xa3, 0x6c, 0x6f, 0x67, 0xa2, 0x68, 0x69])
    }

    @Test func journald() {
        let bytes = encoded(.journald, "a\nb", isError: true) { $0.fields = ["X": "y"] }[0]
        #expect(bytes == Array("PRIORITY=3\nMESSAGE\n\u{3}\0\0\0\0\0\0\0a\nb\nX\n\u{1}\0\0\0\0\0\0\0y\n".utf8))
    }

    @Test func gelfIsCutIntoChunks() throws {
        let text = String(repeating: "long ", count: 1000)
        let datagrams = encoded(.gelf, text) { $0.fields = ["k": "\"v\""] }
        #expect(datagrams.count == 4 && datagrams.allSatisfy { $0.count <= 1420 && $0[11] == 4 })
        let value = try JSONValue(parsing: datagrams.flatMap { $0.dropFirst(12) })
        #expect(value["short_message"]?.stringValue == text && value["_k"] == "\"v\"")
        #expect(encoded(.gelf, "").isEmpty)
        #expect(encoded(.gelf, String(repeating: "x", count: 200_000)).isEmpty)
    }

    @Test func launchRequestsCarryIt() throws {
        var request = LaunchRequest(containerID: "c", directory: "/d", bundle: "/b", runtime: .inProcess(root: "/r"))
        var remote = LaunchRequest.Log.Remote(kind: .gelf, address: .init(.tcp, "::1", port: 9))
        remote.fields = ["a": "b"]
        remote.settings = ["compression": "gzip"]
        remote.isBlocking = false
        remote.cache = .init(path: "/x")
        remote.cache?.compresses = true
        request.log = .remote(remote)
        #expect(try LaunchRequest(request.json) == request)
    }
}

/// What gzip or Python make of it is the integration tests' matter.
@Suite struct DeflateTests {
    @Test func formsAndLengths() throws {
        #expect(try Deflate.packed([], .zlib) == [0x78, 0x9c, 3, 0, 0, 0, 0, 1])
        let packed = try Deflate.packed(Array("aaaaaaaaaaaaaaaaaaaaaaaa".utf8), .gzip)
        #expect(packed.prefix(2) == [0x1f, 0x8b] && packed.count < 24 + 18 && packed.suffix(4) == [24, 0, 0, 0])
    }

    @Test func piecesAreOneStream() throws {
        let deflate = try Deflate(.gzip)
        // More than one buffer of output: bytes that do not shrink.
        let piece = (0..<200_000).map { _ in UInt8.random(in: .min ... .max) }
        let packed = (0..<3).flatMap { _ in piece.withUnsafeBytes { deflate.compress($0) } } + deflate.finish()
        #expect(packed.count > 600_000 && packed.suffix(4) == [0xc0, 0x27, 0x09, 0])
    }
}

@Suite struct RemoteLogWriterTests {
    private func append(_ text: String, to log: RemoteLogWriter) {
        Array(text.utf8).withUnsafeBytes { log.append($0, stream: 1) }
    }

    @Test func sendsToASocketAndSurvivesItsEnd() throws {
        let base = "/tmp/cliptest-remote-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(base)
        defer { try? Files.removeTree(base) }
        let loop = try EventLoop()
        var server: OwnedFD? = try UnixSocket.listen(in: OwnedFD.open(base, O_RDONLY | O_DIRECTORY), name: "s")
        var remote = LaunchRequest.Log.Remote(kind: .syslog, address: .init(.unix, "\(base)/s"))
        remote.bufferSize = 1000
        let log = try RemoteLogWriter(remote, loop: loop)
        append("one\ntwo\nth", to: log)
        let peer = OwnedFD(owning: accept(server?.raw ?? -1, nil, nil))
        var buffer = [UInt8](repeating: 0, count: 1000)
        let count = read(peer.raw, &buffer, buffer.count)
        #expect(buffer[..<max(0, count)].filter { $0 == 10 }.count == 2)
        shutdown(peer.raw, Int32(SHUT_RDWR))
        server = nil
        unlink("\(base)/s")
        // Nobody listens: nothing waits, nothing fails, and what does not fit is lost.
        for _ in 0..<1000 { append("ree\nmore", to: log) }
        #expect(!log.isOverfull)
        log.finish()
    }

    @Test func noServerIsAnErrorUnlessItMayComeLater() throws {
        let loop = try EventLoop()
        var remote = LaunchRequest.Log.Remote(kind: .fluentd, address: .init(.unix, "/nowhere/at/all"))
        #expect(throws: SystemError.self) { try RemoteLogWriter(remote, loop: loop) }
        remote.settings["async"] = "true"
        let log = try RemoteLogWriter(remote, loop: loop)
        log.finish()
    }
}
