// RegistryServer: the OCI distribution protocol (distribution-spec 1.1).
//
// `RegistryServer.handle` is the HTTPServer's handler: it takes a path apart into repository name and resource (`RegistryPath`),
// finds out who asks (`Authenticator`) and whether they may (`AccessRules`), and calls the endpoints (RegistryServer+Blobs, +Uploads,
// +Manifests, +Discovery). `RegistryStorage` keeps repositories: as OCI image layouts in a directory (`FileStorage`), or in an
// object store (`ObjectStorage`) that speaks as S3 does (`S3Client`). Uploads under way are local files (`Uploads`).
// `GarbageCollector` removes what nothing names, apart from pushes by the `RegistryGate`. With `PullThrough` it is a cache of
// another registry.
//
// `RegistryConfiguration` is the configuration file (docs/registry.md). Used by clipper-registry.
internal import AsyncHTTPClient
internal import CCrypto
public import HTTPServer
internal import JSON
internal import Linux
public import Logging
internal import NIOCore
internal import NIOHTTP1

/// A registry.
public struct RegistryServer: Sendable {
    let storage: any RegistryStorage
    let uploads: Uploads
    let gate: RegistryGate
    let upstream: PullThrough?
    let events: Events
    let metrics = Metrics()
    let logger: Logger
    let isReadOnly: Bool
    let manifestLimit: Int
    /// Seconds after which a blob that a client asks for with HEAD is made young again.
    let touchAge: Int64
    private let configuration: RegistryConfiguration
    private let authenticator: (any Authenticator)?
    private let rules: AccessRules
    private let accessLog: AccessLog?
    private let client: HTTPClient

    public static let version = "0.1.0"

    /// Opens or makes the registry that is configured. Uploads that an earlier server left unfinished can go on.
    /// Throws `ConfigurationError` or what the store can't do.
    public init(configuration: RegistryConfiguration, logger: Logger) throws {
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: Self.clientConfiguration)
        do { try self.init(configuration, client: client, logger: logger) } catch {
            // It must not be dropped running.
            try? client.syncShutdown()
            throw error
        }
    }

    private init(_ configuration: RegistryConfiguration, client: HTTPClient, logger: Logger) throws {
        self.configuration = configuration
        self.client = client
        self.logger = logger
        let root = configuration.root
        try Files.makeDirectories(root)
        if let s3 = configuration.s3 {
            storage = ObjectStorage(S3Client(s3, http: client))
        } else {
            storage = try FileStorage(root: root)
        }
        uploads = try Uploads(directory: "\(root)/uploads")
        gate = RegistryGate(path: "\(root)/gate.lock")
        if let proxy = configuration.proxy {
            upstream = try PullThrough(
                HTTPUpstream(remote: proxy.remote, username: proxy.username, password: proxy.password, logger: logger),
                storage: storage, gate: gate, scratch: "\(root)/fetching", revalidate: proxy.revalidate, logger: logger)
        } else {
            upstream = nil
        }
        isReadOnly = configuration.isReadOnly || configuration.proxy != nil
        manifestLimit = configuration.limits.manifest
        touchAge = Int64(configuration.garbageCollection.grace / 4)
        if let htpasswd = configuration.htpasswd {
            authenticator = try Htpasswd(path: htpasswd.file, realm: htpasswd.realm, challengesBase: htpasswd.challengesBase)
        } else {
            authenticator = try configuration.token.map { try TokenAuthentication($0) }
        }
        let given = configuration.access.map { rule in
            AccessRules.Rule(
                repositories: rule.repositories, users: rule.users, actions: Set(rule.actions.compactMap { Action(rawValue: $0) }))
        }
        rules = AccessRules(rules: given, asksForCredentials: authenticator != nil)
        accessLog = configuration.log.access ? AccessLog() : nil
        let metrics = metrics
        events = Events(
            notifiers: configuration.notifications.map { Notifier($0, client: client, metrics: metrics, logger: logger) },
            source: (configuration.address, try Uploads.randomName()))
    }

    private static var clientConfiguration: HTTPClient.Configuration {
        var configuration = HTTPClient.Configuration()
        configuration.timeout = .init(connect: .seconds(10), read: .seconds(60))
        configuration.httpVersion = .http1Only
        // A server that refuses connections is down now: who waits for it has something else to serve, or tries again.
        configuration.connectionPool.retryConnectionEstablishment = false
        // Each client that pulls from an object store holds one.
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 256
        return configuration
    }

    /// Throws when the store can't be used: what a registry had better say when it starts.
    public func check() async throws { try await storage.check() }

    /// What happens without requests: notifications and garbage collection, until the task is cancelled.
    public func run() async {
        await withTaskGroup(of: Void.self) { group in
            for notifier in events.notifiers { group.addTask { await notifier.run() } }
            let interval = configuration.garbageCollection.interval
            if interval > 0 && !isCollectedElsewhere {
                group.addTask {
                    while (try? await Task.sleep(for: .seconds(interval))) != nil {
                        do { _ = try await collectGarbage() } catch {
                            logger.error("garbage collection failed", metadata: ["error": "\(error)"])
                        }
                    }
                }
            }
            while (try? await Task.sleep(for: .seconds(86_400))) != nil {}
            for notifier in events.notifiers { notifier.stop() }
            group.cancelAll()
        }
    }

    /// A registry that only reads leaves the store as it is.
    private var isCollectedElsewhere: Bool { configuration.isReadOnly }

    /// Removes what nothing names. Returns a line for people.
    /// - Parameter isDryRun: Only counts.
    public func collectGarbage(isDryRun: Bool = false) async throws -> String {
        let collector = GarbageCollector(
            storage: storage, uploads: uploads, gate: gate, configuration: configuration.garbageCollection, logger: logger)
        let report = try await collector.collect(isDryRun: isDryRun)
        metrics.collected(bytes: report.bytes, items: report.manifests + report.blobs + report.uploads)
        let text = "\(report.manifests) manifests, \(report.blobs) blobs, \(report.uploads) uploads, \(report.bytes) bytes"
        logger.info("garbage collected", metadata: ["freed": "\(text)"])
        return text
    }

    /// Gives connections and threads back. The server can't be used again.
    public func close() async { try? await client.shutdown() }

    // MARK: Requests

    /// Answers one request; throws only `CancellationError`.
    @Sendable public func handle(_ request: Request) async throws -> Response {
        let started = NIODeadline.now()
        metrics.began()
        var endpoint = "other"
        var call = Call(
            request: request, id: request.headers.first(name: "X-Request-Id").flatMap(Self.checkedID) ?? Self.newID(), identity: .anonymous)
        var response: Response
        do {
            if request.path == "/metrics", configuration.servesMetrics, request.method == .GET {
                endpoint = "metrics"
                response = .bytes(metrics.text().utf8, contentType: "text/plain; version=0.0.4; charset=utf-8")
            } else {
                let path = try RegistryPath(request.path)
                endpoint = path.endpoint
                call = Call(request: request, id: call.id, identity: try await authorized(path, request))
                response = try await dispatch(path, call)
            }
        } catch let error as CancellationError {
            metrics.ended(endpoint, request.method.rawValue, 499, seconds: Self.seconds(since: started), sent: 0, received: 0)
            throw error
        } catch {
            response = answer(to: error, request)
        }
        response.headers.add(name: "Docker-Distribution-Api-Version", value: "registry/2.0")
        response.headers.add(name: "X-Content-Type-Options", value: "nosniff")
        response.headers.add(name: "X-Request-Id", value: call.id)
        if let warning = configuration.warning { response.headers.add(name: "Warning", value: Self.warning(warning)) }
        let seconds = Self.seconds(since: started)
        metrics.ended(
            endpoint, request.method.rawValue, Int(response.status.code), seconds: seconds,
            sent: request.method == .HEAD ? 0 : response.announcedLength ?? 0,
            received: request.headers.first(name: "Content-Length").flatMap { Int($0) } ?? 0)
        accessLog?.write(call, response, seconds: seconds)
        return response
    }

    private func answer(to error: any Error, _ request: Request) -> Response {
        switch error {
        case let error as RegistryError: return error.response
        case let error as HTTPServerError: return RegistryError(.badRequest, "BLOB_UPLOAD_INVALID", error.description).response
        default:
            logger.error("request failed", metadata: ["target": "\(request.target)", "error": "\(error)"])
            if let error = error as? SystemError, error.isOutOfSpace {
                return RegistryError(.insufficientStorage, "UNKNOWN", "no space left for content").response
            }
            if let error = error as? ObjectStoreError, error.kind == .unavailable {
                return RegistryError(.serviceUnavailable, "UNKNOWN", "the storage of this registry gives no answer").response
            }
            return RegistryError(.internalServerError, "UNKNOWN", "internal error").response
        }
    }

    private func dispatch(_ path: RegistryPath, _ call: Call) async throws -> Response {
        switch (path, call.request.method) {
        case (.base, _) where call.isRead: return Self.json([:])
        case (.catalog, .GET): return try await catalog(call)
        case (.tags(let name), .GET): return try await tags(name, call)
        case (.referrers(let name, let digest), .GET): return try await referrers(name, digest, call)
        case (.manifest(let name, let reference), _) where call.isRead: return try await manifest(name, reference, call)
        case (.manifest(let name, let reference), .PUT): return try await putManifest(name, reference, call)
        case (.manifest(let name, let reference), .DELETE): return try await deleteManifest(name, reference, call)
        case (.blob(let name, let digest), _) where call.isRead: return try await blob(name, digest, call)
        case (.blob(let name, let digest), .DELETE): return try await deleteBlob(name, digest, call)
        case (.uploads(let name), .POST): return try await startUpload(name, call)
        case (.upload(let name, let id), .GET): return try await uploadStatus(name, id)
        case (.upload(let name, let id), .PATCH): return try await continueUpload(name, id, call)
        case (.upload(let name, let id), .PUT): return try await finishUpload(name, id, call)
        case (.upload(let name, let id), .DELETE): return try await cancelUpload(name, id)
        default: throw RegistryError(.methodNotAllowed, "UNSUPPORTED", "\(call.request.method) is not supported here")
        }
    }

    // MARK: Who may do what

    func isAllowed(_ actions: Set<Action>, _ name: String, _ identity: Identity) -> Bool {
        rules.allows(.repository(name, actions), identity)
    }

    /// Throws when the sender isn't known or may not do it, or when it is switched off.
    private func authorized(_ path: RegistryPath, _ request: Request) async throws -> Identity {
        let isRead = request.method == .GET || request.method == .HEAD
        let wish: Wish
        switch path {
        case .base: wish = .nothing
        case .catalog: wish = .catalog
        case .upload(let name, _), .uploads(let name): wish = .repository(name, [.pull, .push])
        case .tags(let name), .referrers(let name, _), .manifest(let name, _), .blob(let name, _):
            wish = .repository(name, isRead ? [.pull] : request.method == .DELETE ? [.delete] : [.pull, .push])
        }
        let identity = try await identity(of: request, wish)
        if case .repository = wish, !isRead {
            if isReadOnly { throw RegistryError(.methodNotAllowed, "UNSUPPORTED", "the registry is read-only") }
            if request.method == .DELETE, !configuration.allowsDeletion, !path.isUpload {
                throw RegistryError(.methodNotAllowed, "UNSUPPORTED", "deletion is switched off")
            }
        }
        return identity
    }

    private func identity(of request: Request, _ wish: Wish) async throws -> Identity {
        guard let authenticator else {
            guard rules.allows(wish, .anonymous) else {
                throw RegistryError(.forbidden, "DENIED", "requested access to the resource is denied")
            }
            return .anonymous
        }
        func unauthorized(_ message: String, _ failure: AuthenticationFailure?) -> RegistryError {
            RegistryError(
                .unauthorized, "UNAUTHORIZED", message, detail: wish.scope.isEmpty ? nil : .string(wish.scope),
                headers: ["WWW-Authenticate": authenticator.challenge(wish, failure)])
        }
        let identity: Identity
        do { identity = try await authenticator.identify(request) } catch {
            logger.info("authentication failed", metadata: ["client": "\(request.clientAddress)", "reason": "\(error)"])
            throw unauthorized(error.error.isEmpty ? "authentication required" : error.description, error)
        }
        let isAnonymous = identity.user == nil && identity.grants == nil
        if case .nothing = wish {
            if isAnonymous && authenticator.challengesBase { throw unauthorized("authentication required", nil) }
            return identity
        }
        if rules.allows(wish, identity) { return identity }
        if isAnonymous { throw unauthorized("authentication required", nil) }
        // A token for less than is needed: the client gets another one.
        if !identity.isGranted(wish) {
            throw unauthorized("token does not allow it", AuthenticationFailure(error: "insufficient_scope", description: ""))
        }
        throw RegistryError(.forbidden, "DENIED", "requested access to the resource is denied", detail: .string(wish.scope))
    }

    // MARK: Small things

    static func json(_ value: JSONValue) -> Response { .bytes(value.serialized(), contentType: "application/json") }

    /// RFC 7234 5.5 as the distribution specification profiles it: `299 - "text"`.
    static func warning(_ text: String) -> String { "299 - \"\(text.filter { $0 != "\"" && $0 != "\\" && !$0.isNewline })\"" }

    private static func seconds(since start: NIODeadline) -> Double { Double((NIODeadline.now() - start).nanoseconds) / 1e9 }

    private static func newID() -> String { (try? Uploads.randomName()) ?? "" }

    /// A client's own request ID, when it is one: it goes into the log and back to the client.
    private static func checkedID(_ text: String) -> String? {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != 34 && $0 != 92 }) ? text : nil
    }
}

extension RegistryPath {
    fileprivate var isUpload: Bool { if case .upload = self { true } else { false } }
}
