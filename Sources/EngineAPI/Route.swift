internal import HTTPServer
internal import NIOHTTP1

/// One row of the route table.
struct Route: Sendable {
    typealias Handler = @Sendable (Call) async throws -> Response

    enum Action: Sendable {
        case handler(Handler)
        /// Answers 501.
        case notBuilt
        /// Answers 503, as a dockerd that is in no swarm.
        case noSwarm
        /// Answers 503 to one who wants to leave the swarm.
        case notInSwarm
    }

    let method: HTTPMethod
    /// As in the reference: `/containers/{id}/json`. A parameter written `{name*}` may contain slashes.
    let pattern: String
    let since: APIVersion
    let action: Action

    init(_ method: HTTPMethod, _ pattern: String, since: String = "1.22", _ handler: @escaping Handler) {
        self.init(method, pattern, since: since, action: .handler(handler))
    }

    init(_ method: HTTPMethod, _ pattern: String, since: String = "1.22", action: Action) {
        self.method = method
        self.pattern = pattern
        self.since = APIVersion(since)
        self.action = action
    }

    /// The pattern in the reference's spelling.
    var path: String { pattern.replacing("*}", with: "}") }

    /// The state in docs/api-coverage.md.
    var state: String {
        switch action {
        case .handler: "done"
        case .notBuilt: "501"
        case .noSwarm, .notInSwarm: "503"
        }
    }
}

/// Finds routes: those without parameters in one look-up, the others in the table's order among those with the same
/// method and first path segment.
struct Router: Sendable {
    private struct Key: Hashable {
        let method: String
        let text: String
    }

    private enum Piece: Sendable {
        case literal(String)
        case parameter(String)
        case path(String)
    }

    private struct Candidate: Sendable {
        let route: Route
        let pieces: [Piece]
    }

    private var fixed: [Key: Route] = [:]
    private var patterns: [Key: [Candidate]] = [:]

    init(routes: [Route]) {
        for route in routes {
            guard route.pattern.contains("{") else {
                fixed[Key(method: route.method.rawValue, text: route.pattern)] = route
                continue
            }
            let pieces = route.pattern.split(separator: "/").map { part -> Piece in
                guard part.hasPrefix("{") else { return .literal(String(part)) }
                let name = part.dropFirst().dropLast()
                return name.hasSuffix("*") ? .path(String(name.dropLast())) : .parameter(String(name))
            }
            let first = route.pattern.split(separator: "/").first ?? ""
            patterns[Key(method: route.method.rawValue, text: String(first)), default: []].append(Candidate(route: route, pieces: pieces))
        }
    }

    /// The route of a path without version, and its decoded parameters.
    func match(_ method: HTTPMethod, _ path: Substring) -> (route: Route, parameters: [String: String])? {
        if let route = fixed[Key(method: method.rawValue, text: String(path))] { return (route, [:]) }
        let segments = path.split(separator: "/")
        guard path.hasPrefix("/"), let first = segments.first else { return nil }
        for candidate in patterns[Key(method: method.rawValue, text: String(first))] ?? [] {
            if let parameters = Self.match(candidate.pieces, segments) { return (candidate.route, parameters) }
        }
        return nil
    }

    private static func match(_ pieces: [Piece], _ segments: [Substring]) -> [String: String]? {
        var parameters: [String: String] = [:]
        var position = 0
        for (index, piece) in pieces.enumerated() {
            let behind = pieces.count - index - 1
            guard position + behind < segments.count else { return nil }
            switch piece {
            case .literal(let text):
                guard segments[position] == text else { return nil }
                position += 1
            case .parameter(let name):
                parameters[name] = Percent.decode(segments[position])
                position += 1
            case .path(let name):
                let end = segments.count - behind
                parameters[name] = segments[position..<end].map { Percent.decode($0) }.joined(separator: "/")
                position = end
            }
        }
        return position == segments.count ? parameters : nil
    }
}
