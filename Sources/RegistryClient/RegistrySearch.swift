internal import AsyncHTTPClient
internal import JSON
internal import NIOCore
internal import NIOHTTP1

/// A repository that was found by words.
public struct SearchResult: Sendable, Hashable {
    public let name: String
    public let description: String
    public let stars: Int
    public let isOfficial: Bool
    public let isAutomated: Bool

    public init(name: String, description: String, stars: Int, isOfficial: Bool, isAutomated: Bool) {
        self.name = name
        self.description = description
        self.stars = stars
        self.isOfficial = isOfficial
        self.isAutomated = isAutomated
    }
}

// Searching: the first registry protocol's `GET /v1/search`, which Docker Hub's index still answers and others offer.
extension RegistryClient {
    /// - Parameter term: words, or `HOST/words` for another registry.
    public func search(_ term: String, limit: Int, credentials: RegistryCredentials) async throws -> [SearchResult] {
        if term.contains("://") {
            throw RegistryError(.failed, "invalid repository name (ex: \"registry.domain.tld/myrepos\")")
        }
        let session = RegistrySession(self)
        let (domain, words) = Self.split(term)
        var bases: [RegistryEndpoint] = []
        if domain == "docker.io" {
            guard let index = WebAddress(session.settings.searchIndex) else {
                throw RegistryError(.unsupported, "invalid address of the search index: \(session.settings.searchIndex)")
            }
            bases = [RegistryEndpoint(index, verifiesCertificate: await !session.settings.isInsecure(index.authority), isMirror: false)]
        } else {
            bases = await endpoints(of: domain, withMirrors: false, session)
        }
        var last = RegistryError(.unreachable, "no endpoint of \(domain)")
        for endpoint in bases {
            do { return try await search(words, limit, endpoint, session, credentials) } catch let failure as ConnectionFailure {
                last = RegistryError(.unreachable, failure.description)
            }
        }
        throw last
    }

    /// The registry that a term names, and the rest.
    static func split(_ term: String) -> (domain: String, words: String) {
        guard let slash = term.firstIndex(of: "/") else { return ("docker.io", term) }
        let host = term[..<slash]
        let rest = String(term[term.index(after: slash)...])
        if host == "docker.io" || host == "index.docker.io" { return ("docker.io", rest) }
        guard host.contains(".") || host.contains(":") || host == "localhost" else {
            return ("docker.io", host == "library" ? rest : term)
        }
        return (String(host), rest)
    }

    private func search(
        _ words: String, _ limit: Int, _ endpoint: RegistryEndpoint, _ session: RegistrySession, _ user: RegistryCredentials
    ) async throws -> [SearchResult] {
        let base = endpoint.address
        let address = WebAddress(usesTLS: base.usesTLS, authority: base.authority, target: "/v1/search")
            .adding("q", words).adding("n", "\(limit)")
        var headers: HTTPHeaders = [:]
        if let basic = Authorizer.basic(user) { headers.add(name: "Authorization", value: basic) }
        let call = RegistryCall(.GET, address, scopes: [], headers: headers)
        let response = try await session.send(call, to: endpoint, as: .anonymous)
        guard response.status == .ok else {
            try await RegistrySession.drain(response)
            throw RegistryError(.failed, "Unexpected status code \(response.status.code)")
        }
        let bytes = try await HTTPRepository.collect(response, 16 << 20, address)
        guard let found = (try? JSONValue(parsing: bytes))?["results"]?.arrayValue else {
            throw RegistryError(.invalid, "error decoding registry search results: no list of results")
        }
        return found.map { row in
            SearchResult(
                name: row["name"]?.stringValue ?? "", description: row["description"]?.stringValue ?? "",
                stars: Int(row["star_count"]?.intValue ?? 0), isOfficial: row["is_official"]?.boolValue ?? false,
                isAutomated: row["is_automated"]?.boolValue ?? false)
        }
    }
}
