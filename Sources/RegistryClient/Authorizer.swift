internal import AsyncHTTPClient
internal import JSON
internal import NIOCore
internal import NIOHTTP1

/// Turns what a registry asks for into an `Authorization` header: the token given, Basic, or a token of the server that the
/// challenge names (distribution's token specification, and its OAuth2 form for refresh tokens).
struct Authorizer: Sendable {
    let session: RegistrySession
    let tokens: TokenStore
    let endpoint: RegistryEndpoint
    let user: RegistryCredentials

    /// What the endpoint is known to want; nil when it isn't known or needs nothing.
    func header(for call: RegistryCall) async throws -> String? {
        guard call.address.hasSameOrigin(as: endpoint.address) else { return nil }
        if !user.registryToken.isEmpty { return "Bearer \(user.registryToken)" }
        guard let challenge = await tokens.challenge(of: endpoint) else { return nil }
        // What the call must be allowed is known for repositories alone; for others the registry has to say it.
        if challenge.scheme == "bearer" && call.scopes.isEmpty { return nil }
        return try await answer(to: challenge, scopes: call.scopes, refused: nil)
    }

    /// The answer to a 401; nil when there is none.
    func header(for call: RegistryCall, challenged response: HTTPClientResponse, refused: String?) async throws -> String? {
        if !user.registryToken.isEmpty { return nil }
        let challenges = response.headers["WWW-Authenticate"].flatMap { AuthenticationChallenge.parse($0) }
        guard let challenge = challenges.first(where: { $0.scheme == "bearer" }) ?? challenges.first(where: { $0.scheme == "basic" }) else {
            return nil
        }
        // The token was good and does not suffice: another one like it would not either.
        if challenge.parameters["error"] == "insufficient_scope" && refused != nil { return nil }
        await tokens.keep(challenge, of: endpoint)
        return try await answer(to: challenge, scopes: Self.union(call.scopes, challenge.scopes), refused: refused)
    }

    private func answer(to challenge: AuthenticationChallenge, scopes: [String], refused: String?) async throws -> String? {
        guard challenge.scheme == "bearer" else {
            if let basic = Self.basic(user) { return basic }
            throw RegistryError(.unauthorized, "no basic auth credentials")
        }
        guard let text = challenge.realm, let realm = WebAddress(text) else {
            throw RegistryError(.unauthorized, "unauthorized: malformed realm of the token server: \(challenge.realm ?? "none")")
        }
        let request = TokenRequest(realm: realm, service: challenge.service ?? "", scopes: scopes, user: user)
        let key = TokenStore.Key(realm: realm, service: request.service, scopes: scopes, user: user)
        let (session, endpoint) = (session, endpoint)
        let token = try await tokens.token(key, refused: refused.map { String($0.dropFirst("Bearer ".count)) }) {
            try await request.send(session, endpoint).token
        }
        return "Bearer \(token)"
    }

    /// Nil without a user.
    static func basic(_ user: RegistryCredentials) -> String? {
        guard !user.username.isEmpty || !user.password.isEmpty else { return nil }
        var request = HTTPClientRequest(url: "")
        request.setBasicAuth(username: user.username, password: user.password)
        return request.headers.first(name: "Authorization")
    }

    /// The actions of the same resource together: `repository:a:pull` is part of `repository:a:pull,push`.
    static func union(_ wanted: [String], _ challenged: [String]) -> [String] {
        var result = wanted
        for scope in challenged {
            let parts = Self.split(scope)
            let isPart = result.contains { other in
                let other = Self.split(other)
                return other.resource == parts.resource && other.actions.isSuperset(of: parts.actions)
            }
            if !isPart { result.append(scope) }
        }
        return result
    }

    private static func split(_ scope: String) -> (resource: Substring, actions: Set<Substring>) {
        guard let colon = scope.lastIndex(of: ":") else { return (scope[...], []) }
        return (scope[..<colon], Set(scope[scope.index(after: colon)...].split(separator: ",")))
    }
}

/// One request to a token server.
struct TokenRequest: Sendable {
    let realm: WebAddress
    let service: String
    let scopes: [String]
    let user: RegistryCredentials
    /// Asks for a refresh token too: what `login` keeps in place of a password.
    var isOffline = false

    /// How we call ourselves; some servers know only this one.
    private static let clientID = "docker"

    struct Answer: Sendable {
        let token: TokenStore.Token
        /// Empty when none was given.
        let refreshToken: String
    }

    func send(_ session: RegistrySession, _ endpoint: RegistryEndpoint) async throws -> Answer {
        let deadline = NIODeadline.now() + .seconds(60)
        let response: HTTPClientResponse
        if user.identityToken.isEmpty {
            var headers: HTTPHeaders = [:]
            if let basic = Authorizer.basic(user) { headers.add(name: "Authorization", value: basic) }
            response = try await session.once(.GET, address, headers: headers, endpoint: endpoint, deadline: deadline)
        } else {
            let headers: HTTPHeaders = ["Content-Type": "application/x-www-form-urlencoded"]
            let body = HTTPClientRequest.Body.bytes(ByteBuffer(string: form))
            response = try await session.once(.POST, realm, headers: headers, body: body, endpoint: endpoint, deadline: deadline)
        }
        guard response.status == .ok else { throw try await RegistryFailure(response).error }
        let bytes: [UInt8]
        do { bytes = Array(try await response.body.collect(upTo: 1 << 20).readableBytesView) } catch {
            throw try ConnectionFailure(error, to: realm)
        }
        return try Self.read(bytes)
    }

    /// With Basic credentials, by GET.
    var address: WebAddress {
        var address = realm
        if !user.username.isEmpty { address = address.adding("account", user.username) }
        if isOffline { address = address.adding("client_id", Self.clientID).adding("offline_token", "true") }
        for scope in scopes { address = address.adding("scope", scope) }
        return service.isEmpty ? address : address.adding("service", service)
    }

    /// With a refresh token, by POST (OAuth2).
    var form: String {
        var fields = [("grant_type", "refresh_token"), ("refresh_token", user.identityToken), ("client_id", Self.clientID)]
        if !service.isEmpty { fields.append(("service", service)) }
        if !scopes.isEmpty { fields.append(("scope", scopes.joined(separator: " "))) }
        return fields.map { "\($0)=\(WebAddress.escaped($1))" }.joined(separator: "&")
    }

    static func read(_ bytes: [UInt8]) throws(RegistryError) -> Answer {
        let document: JSONValue
        do { document = try JSONValue(parsing: bytes) } catch {
            throw RegistryError(.unauthorized, "unauthorized: unable to decode token response: \(error)")
        }
        // Empty strings occur in both members.
        let text = [document["token"], document["access_token"]].compactMap { $0?.stringValue }.first { !$0.isEmpty }
        guard let text else {
            throw RegistryError(.unauthorized, "unauthorized: authorization server did not include a token in the response")
        }
        // A minute is the specification's default and the least that counts; a little earlier, as the token has to arrive there.
        let seconds = max(document["expires_in"]?.intValue ?? 60, 60)
        let token = TokenStore.Token(text: text, expiry: .now + .seconds(min(seconds, 86_400)) - .seconds(10))
        return Answer(token: token, refreshToken: document["refresh_token"]?.stringValue ?? "")
    }
}
