import EngineAPI
import EngineTypes
import Glibc
import HTTPServer
import Linux
import Logging
import NIOCore
import NIOPosix

/// Threads of their own: blocked Dispatch workers would starve the tasks under test.
let threads = {
    let pool = NIOThreadPool(numberOfThreads: 64)
    pool.start()
    return pool
}()

/// Sends "hello", then everything it gets, framed as stdout.
struct EchoThread: Sendable {
    let descriptor: Int32

    func start() {
        threads.submit { [descriptor] _ in
            let socket = OwnedFD(owning: descriptor)
            try? socket.writeAll(framed(Array("hello\n".utf8)))
            var buffer = [UInt8](repeating: 0, count: 4096)
            while let count = try? socket.read(into: &buffer), count > 0 { try? socket.writeAll(framed(Array(buffer[..<count]))) }
        }
    }
}

/// The size of what can be read from a descriptor; closes it.
func reading(_ source: Int32) async throws -> Int {
    try await threads.runIfActive {
        let file = OwnedFD(owning: source)
        do { return try file.readAll().count } catch { throw EngineError.invalid("unexpected end of upload", cause: error) }
    }
}

/// The API over fake backends on a socket of its own.
func withAPI(_ body: (String) async throws -> Void) async throws {
    let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    let api = EngineAPI(backends: FakeEngine.backends, serverVersion: "0.1", logger: logger)
    var configuration = HTTPServerConfiguration()
    configuration.mayHijack = EngineAPI.mayHijack
    let server = HTTPServer(configuration: configuration, logger: logger, handler: api.handle)
    let path = "/tmp/clp-api-\(getpid())-\(UInt32.random(in: 0 ... .max)).sock"
    try await server.listen(on: .unix(path: path))
    do { try await body(path) } catch {
        await server.stop(grace: .milliseconds(100))
        throw error
    }
    await server.stop(grace: .milliseconds(100))
}

/// Runs a shell command; its output and exit status.
func shell(_ command: String) async throws -> (output: String, status: Int32) {
    try await threads.runIfActive {
        guard let stream = popen("{ \(command)\n} 2>&1", "re") else { throw SystemError("popen", command) }
        var output: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = fread(&chunk, 1, chunk.count, stream)
            if count == 0 { break }
            output += chunk[..<count]
        }
        let status = pclose(stream)
        return (String(decoding: output, as: UTF8.self), status >> 8 & 255)
    }
}
