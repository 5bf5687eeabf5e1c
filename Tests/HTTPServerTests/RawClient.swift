import Glibc
import HTTPServer
import Logging
import NIOCore
import NIOPosix
import Testing

/// A server on a Unix socket of its own, stopped and removed at the end.
func withServer(
    _ configuration: HTTPServerConfiguration = .init(), handler: @escaping RequestHandler, body: (String) async throws -> Void
) async throws {
    var logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    logger.logLevel = .debug
    let path = scratchPath()
    let server = HTTPServer(configuration: configuration, logger: logger, handler: handler)
    try await server.listen(on: .unix(path: path))
    do { try await body(path) } catch {
        await server.stop(grace: .milliseconds(100))
        throw error
    }
    await server.stop(grace: .milliseconds(100))
    #expect(access(path, F_OK) != 0)
}

func scratchPath() -> String { "/tmp/clp-http-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock" }

/// Threads of their own: blocked Dispatch workers would starve the tasks under test.
private let threads = {
    let pool = NIOThreadPool(numberOfThreads: 96)
    pool.start()
    return pool
}()

/// Blocking work off the cooperative pool.
func blocking<T: Sendable>(_ work: @escaping @Sendable () throws -> T) async throws -> T {
    try await threads.runIfActive(work)
}

struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ text: String) { description = text }
}

/// A client that sends bytes as it is told.
final class RawClient: Sendable {
    let descriptor: Int32

    init(_ path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let answer = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        if answer != 0 { throw Failure("connect: \(errno)") }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        _ = setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { _ = close(descriptor) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0 { throw Failure("send: \(errno)") }
            sent += count
        }
    }

    func finishSending() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    func receive(_ most: Int = 65536) throws -> [UInt8] { try receiveBytes(descriptor, most) }

    /// Until end of file.
    func receiveAll() throws -> [UInt8] {
        var result: [UInt8] = []
        while true {
            let part = try receive()
            if part.isEmpty { return result }
            result += part
        }
    }

    /// Until the text ends so.
    func receive(until end: String) throws -> String {
        var result: [UInt8] = []
        while !result.reversed().starts(with: end.utf8.reversed()) {
            let part = try receive(1)
            if part.isEmpty { throw Failure("end of file after \(String(decoding: result, as: UTF8.self))") }
            result += part
        }
        return String(decoding: result, as: UTF8.self)
    }
}

func receiveBytes(_ descriptor: Int32, _ most: Int = 65536) throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: most)
    let count = read(descriptor, &buffer, most)
    if count < 0 { throw Failure("read: \(errno)") }
    return Array(buffer[..<count])
}

let host = "Host: x\r\n"
