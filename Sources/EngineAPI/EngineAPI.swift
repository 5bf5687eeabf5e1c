// EngineAPI: the Docker Engine API (1.22 to 1.50) over the engine's services.
//
// `EngineAPI.handle` is the HTTPServer's handler: it strips and checks the version prefix, finds the `Route` in a
// table (Routes+*.swift, one file per kind of object) and calls it with a `Call`: the request, its version, the path's
// parameters, the query. A route decodes, calls one of the narrow protocols in Backends.swift, and encodes.
// Errors leave as `{"message": …}` with the status from one table (`APIError`). What isn't built answers 501 by name;
// docs/api-coverage.md lists every path, and a test compares it with the table. Used by clipperd.
public import HTTPServer
public import Logging
internal import NIOCore
internal import NIOHTTP1

/// The Engine API, ready to be an HTTP server's handler.
public struct EngineAPI: Sendable {
    let backends: Backends
    let logger: Logger
    private let router: Router
    private let listings = ContainerListings()
    private let headers: HTTPHeaders
    private let minimum: APIVersion

    /// `serverVersion` is the daemon's version, told in the Server header; `isExperimental` is told in one of its own.
    /// `minimumVersion`: the oldest version that clients may speak, which `checkMinimum` lets pass; nil is the oldest there is.
    public init(
        backends: Backends, serverVersion: String, minimumVersion: String? = nil, isExperimental: Bool = false, logger: Logger
    ) {
        minimum = minimumVersion.map { APIVersion($0) } ?? .oldest
        self.backends = backends
        self.logger = logger
        router = Router(routes: Self.routes + Self.ownRoutes)
        headers = [
            "Api-Version": "\(APIVersion.newest)", "Docker-Experimental": "\(isExperimental)", "Ostype": "linux",
            "Server": "Clipper/\(serverVersion) (linux)",
        ]
    }

    /// Throws for what cannot be the oldest version that clients may speak.
    public static func checkMinimum(_ version: String) throws(UnspokenVersion) { try APIVersion.checkMinimum(version) }

    /// All routes of the reference, in its order. `ownRoutes` are beside them.
    static let routes: [Route] =
        containerRoutes + execRoutes + imageRoutes + buildRoutes + systemRoutes + networkRoutes + volumeRoutes + otherRoutes

    /// What the HTTP server has to know beforehand: these requests may be answered with a stream both ways.
    public static func mayHijack(method: String, target: String) -> Bool {
        let path = target.prefix { $0 != "?" }
        if method == "GET" { return path.hasSuffix("/attach/ws") }
        guard method == "POST" else { return false }
        return path.hasSuffix("/attach") || (path.hasSuffix("/start") && path.contains("/exec/"))
    }

    /// Answers one request; throws only `CancellationError`.
    @Sendable public func handle(_ request: Request) async throws -> Response {
        var response: Response
        do {
            response = try await dispatch(request)
        } catch let error as CancellationError {
            throw error
        } catch {
            response = APIError.response(to: error, logger: logger, request: request)
        }
        response.headers.add(contentsOf: headers)
        return response
    }

    private func dispatch(_ request: Request) async throws -> Response {
        let path = request.path
        var version = APIVersion.newest
        var rest = path
        if let (prefix, remainder) = APIVersion.split(path) {
            version = prefix
            rest = remainder
            try version.checkSupported(minimum: minimum)
        }
        guard let match = router.match(request.method, rest), version >= match.route.since else { throw APIError.pageNotFound }
        switch match.route.action {
        case .handler(let handler):
            return try await handler(
                Call(
                    request: request, version: version, parameters: match.parameters, query: request.query, backends: backends,
                    listings: listings, logger: logger))
        case .notBuilt:
            throw APIError(.notImplemented, "not implemented: \(match.route.method) \(match.route.path)")
        case .notInSwarm: throw APIError(.serviceUnavailable, "This node is not part of a swarm")
        case .noSwarm:
            throw APIError(.serviceUnavailable, APIError.notAManager)
        }
    }
}
