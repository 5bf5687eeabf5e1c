import Glibc
import HTTPServer
import Linux
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import OCIImageSpec
import Synchronization

@testable import RegistryClient

let silent = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

/// A server on loopback that answers as a test says, and remembers what it was asked.
final class FakeRegistry: Sendable {
    struct Asked: Sendable {
        let method: HTTPMethod
        let target: String
        let headers: HTTPHeaders
        let body: String

        var line: String { "\(method) \(target)" }
        var authorization: String { headers.first(name: "Authorization") ?? "" }
    }

    typealias Answer = @Sendable (Asked, FakeRegistry) async throws -> Response

    private let asked = Mutex<[Asked]>([])
    private let port = Mutex(0)
    /// Told from the outside while it runs.
    let notes = Mutex<[String: Int]>([:])

    var authority: String { "127.0.0.1:\(port.withLock { $0 })" }
    var requests: [Asked] { asked.withLock { $0 } }
    var lines: [String] { requests.map(\.line) }

    /// How often this has been called with the name before.
    func count(_ name: String) -> Int {
        notes.withLock {
            let count = $0[name, default: 0]
            $0[name] = count + 1
            return count
        }
    }

    static func run(tls: ServerTLS? = nil, _ answer: @escaping Answer, _ body: (FakeRegistry) async throws -> Void) async throws {
        let registry = FakeRegistry()
        let server = HTTPServer(logger: silent) { request in
            let bytes = try await request.body.collect(limit: 64 << 20)
            let asked = Asked(
                method: request.method, target: request.target, headers: request.headers, body: String(buffer: bytes))
            registry.asked.withLock { $0.append(asked) }
            return try await answer(asked, registry)
        }
        guard case .tcp(_, let port) = try await server.listen(on: .tcp(host: "127.0.0.1", port: 0), tls: tls) else { return }
        registry.port.withLock { $0 = port }
        do { try await body(registry) } catch {
            await server.stop(grace: .milliseconds(100))
            throw error
        }
        await server.stop(grace: .milliseconds(100))
    }
}

/// A client that waits for nothing, closed at the end.
func withClient(_ settings: RegistrySettings = RegistrySettings(), _ body: (RegistryClient) async throws -> Void) async throws {
    var retries = RetryPolicy()
    retries.firstPause = .milliseconds(1)
    let client = RegistryClient(settings: settings, userAgent: "test/1", logger: silent, retries: retries, transport: HTTPTransport())
    do { try await body(client) } catch {
        await client.shutdown()
        throw error
    }
    await client.shutdown()
}

/// The repository `team/app` of a fake, through a client of its own.
func withRepository(
    credentials: RegistryCredentials = .anonymous, _ answer: @escaping FakeRegistry.Answer,
    _ body: (HTTPRepository, FakeRegistry) async throws -> Void
) async throws {
    try await FakeRegistry.run(answer) { registry in
        try await withClient { client in
            try await body(client.repository("team/app", at: "http://\(registry.authority)", credentials: credentials), registry)
        }
    }
}

let manifestBytes = Array(#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}"#.utf8)
let manifestDigest = Digest(of: manifestBytes)

func manifestAnswer(type: String = MediaType.ociManifest) -> Response {
    var response = Response.bytes(manifestBytes, contentType: type)
    response.headers.add(name: "Docker-Content-Digest", value: "\(manifestDigest)")
    return response
}

func refusal(_ status: HTTPResponseStatus, _ code: String, _ message: String = "", headers: HTTPHeaders = [:]) -> Response {
    var response = Response.bytes(
        Array(#"{"errors":[{"code":"\#(code)","message":"\#(message)"}]}"#.utf8), contentType: "application/json", status: status)
    response.headers.add(contentsOf: headers)
    return response
}

/// All bytes of a body.
func collected(_ body: any AsyncSequence<ByteBuffer, any Error> & Sendable) async throws -> String {
    var all = ByteBuffer()
    for try await var chunk in body { all.writeBuffer(&chunk) }
    return String(buffer: all)
}

/// Runs a shell command in a directory.
func shell(_ command: String, in directory: String) async throws {
    let status = try await NIOThreadPool.singleton.runIfActive { system("cd '\(directory)' && { \(command)\n} >log 2>&1") }
    if status != 0 { throw SystemError("run", (try? Files.readText("\(directory)/log")) ?? command, code: EINVAL) }
}

func withDirectory(_ body: (String) async throws -> Void) async throws {
    let directory = "/tmp/clp-registry-client-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try Files.makeDirectories(directory)
    do { try await body(directory) } catch {
        try? Files.removeTree(directory)
        throw error
    }
    try? Files.removeTree(directory)
}
