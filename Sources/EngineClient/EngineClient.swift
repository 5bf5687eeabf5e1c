// EngineClient: the lightest client of the Engine API that starts fast and streams both ways. Static, one thread.
//
// `EngineClient` speaks HTTP/1.1 to an `EngineEndpoint` (a Unix socket or TCP, with TLS or without). `call` answers a JSON document,
// `send` a `ResponseStream` whose body is read piece by piece, `hijack` a raw `HijackedStream` (attach, exec).
// Request bodies are documents, descriptors or producers (`RequestBody`). A refusal of the server is `ClientError.api`.
// `HTTPHead` and `BodyDecoder` read the wire and know no socket; `StreamDemultiplexer` takes Docker's stdout/stderr frames apart.
// Used by the commands of `clipper`; commands hold no other way to the engine.
public import JSON

/// One server, spoken to in one API version; keeps one idle connection for the next call.
public final class EngineClient {
    public let endpoint: EngineEndpoint
    private let tls: ClientTLS?
    /// The version in each path; lowered by itself when the server says that it is older, unless pinned.
    public private(set) var apiVersion: String
    private let isPinned: Bool
    private let headers: [(String, String)]
    private var idle: Connection?
    /// Called after the head of each answer has arrived; for `--explain`.
    public var onCall: ((CallRecord) -> Void)?

    /// The newest version this client speaks.
    public static let newestVersion = "1.50"

    /// `pinnedVersion` (DOCKER_API_VERSION) turns the fallback to an older version off.
    /// `headers` go with every request. `tls` is for TCP.
    public init(endpoint: EngineEndpoint, tls: ClientTLS? = nil, pinnedVersion: String? = nil, headers: [(String, String)] = []) {
        self.endpoint = endpoint
        self.tls = tls
        self.headers = headers
        apiVersion = pinnedVersion ?? Self.newestVersion
        isPinned = pinnedVersion != nil
    }

    /// Sends and reads the whole answer as JSON; an empty body is null.
    ///
    /// `rowMembers`: of an answer that is a list, only these members of its objects; nil is all.
    public func call(_ request: Request, rowMembers: Set<String>? = nil) throws -> JSONValue {
        let bytes = try send(request).readAll()
        if bytes.allSatisfy({ $0 == 10 || $0 == 13 || $0 == 32 }) { return .null }
        do {
            return if let rowMembers { try JSONValue(parsing: bytes, rowMembers: rowMembers) } else { try JSONValue(parsing: bytes) }
        } catch { throw ClientError.malformed("\(request.path): \(error)") }
    }

    /// Sends and answers when the head has come. Statuses from 400 are thrown as `ClientError.api`.
    /// A stream of no known end keeps its connection for itself; all others give it back when read to their end.
    public func send(_ request: Request) throws -> ResponseStream {
        var request = request
        request.headers = headers + request.headers
        return try negotiating(request) { try self.exchange(request) }
    }

    /// Asks for the raw connection (`Upgrade: tcp`) on a connection of its own; 101 and 200 both mean that it is ours now.
    public func hijack(_ request: Request) throws -> HijackedStream {
        var request = request
        request.headers = headers + request.headers
        request.headers.append(("Connection", "Upgrade"))
        request.headers.append(("Upgrade", "tcp"))
        return try negotiating(request) {
            let started = CallRecord.clock()
            let connection = try Connection(self.endpoint, self.tls)
            try connection.send(request, version: self.apiVersion, endpoint: self.endpoint)
            let head = try connection.readHead()
            self.report(request, head, started)
            guard head.status == 101 || head.status == 200 else {
                throw try ResponseStream(head, connection, method: request.method, giveBack: { _ in }).failure(self.apiVersion)
            }
            return HijackedStream(connection, head)
        }
    }

    private func exchange(_ request: Request) throws -> ResponseStream {
        let started = CallRecord.clock()
        let (head, connection) = try firstHead(request)
        report(request, head, started)
        let stream = try ResponseStream(head, connection, method: request.method) { [weak self] in self?.idle = $0 }
        if head.status >= 400 { throw try stream.failure(apiVersion) }
        return stream
    }

    /// Tries the idle connection first; when the server has closed it meanwhile, a new one.
    private func firstHead(_ request: Request) throws -> (HTTPHead, Connection) {
        if request.body.isReplayable, let connection = idle {
            idle = nil
            do {
                try connection.send(request, version: apiVersion, endpoint: endpoint)
                return (try connection.readHead(), connection)
            } catch ClientError.closed {}
        }
        let connection = try Connection(endpoint, tls)
        try connection.send(request, version: apiVersion, endpoint: endpoint)
        return (try connection.readHead(), connection)
    }

    /// Repeats with the server's version when it refused ours as too new. A body that can be sent only once
    /// is preceded by a ping, so that its version is right at once.
    private func negotiating<Result>(_ request: Request, _ body: () throws -> Result) throws -> Result {
        if isPinned || !request.isVersioned { return try body() }
        if !request.body.isReplayable && !isSettled {
            let head = try send(Request("HEAD", "/_ping", isVersioned: false)).head
            adopt(head["api-version"])
            isSettled = true
        }
        do {
            let result = try body()
            isSettled = true
            return result
        } catch ClientError.tooNew(let serverVersion) {
            adopt(serverVersion)
            isSettled = true
            return try body()
        }
    }

    private var isSettled = false

    private func adopt(_ version: String?) {
        if let version, APIVersion(version) < APIVersion(apiVersion) { apiVersion = version }
    }

    private func report(_ request: Request, _ head: HTTPHead, _ started: UInt64) {
        onCall?(
            CallRecord(
                method: request.method, path: request.target(version: apiVersion), status: head.status, started: started,
                answered: CallRecord.clock()))
    }
}

/// `1.41` as numbers.
struct APIVersion: Comparable {
    let parts: [Int]

    init(_ text: String) { parts = text.split(separator: ".").map { Int($0) ?? 0 } }

    static func < (left: APIVersion, right: APIVersion) -> Bool { left.parts.lexicographicallyPrecedes(right.parts) }
}
