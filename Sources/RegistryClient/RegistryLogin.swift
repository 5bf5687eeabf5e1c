internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1

// Logging in: the registry is asked whether credentials are good. Nothing is kept.
extension RegistryClient {
    /// Answers the refresh token that is to be kept in place of the password; empty when the registry gives none.
    ///
    /// The registry is `credentials.serverAddress`: a host, or an address; Docker Hub when it is empty or Hub's index. Throws
    /// `RegistryError` in dockerd's words, `unauthorized` when the registry does not accept the credentials.
    public func logIn(_ credentials: RegistryCredentials) async throws -> String {
        let session = RegistrySession(self)
        var last = RegistryError(.unreachable, "no endpoint of \(credentials.serverAddress)")
        let domain = Self.domain(ofServer: credentials.serverAddress)
        for endpoint in await endpoints(of: domain, withMirrors: false, session) {
            do {
                let token = try await logIn(credentials, endpoint, session)
                if !endpoint.verifiesCertificate { note(endpoint, answersFor: domain) }
                return token
            } catch let failure as ConnectionFailure {
                last = RegistryError(.unreachable, failure.description)
                forgetEndpoint(of: domain)
            }
        }
        throw last
    }

    /// `https://index.docker.io/v1/` is Docker Hub; else the host of an address.
    static func domain(ofServer server: String) -> String {
        let host = WebAddress(server)?.authority ?? String(server.prefix { $0 != "/" })
        return ["", "docker.io", "index.docker.io", "registry-1.docker.io"].contains(host) ? "docker.io" : host
    }

    private func logIn(_ user: RegistryCredentials, _ endpoint: RegistryEndpoint, _ session: RegistrySession) async throws -> String {
        let address = endpoint.url("")
        // Without credentials first: what the registry asks for is known then, and nothing is sent to one that wants none.
        let asked = try await session.once(.GET, address, headers: [:], endpoint: endpoint)
        let challenges = asked.headers["WWW-Authenticate"].flatMap { AuthenticationChallenge.parse($0) }
        if asked.status == .ok {
            try await RegistrySession.drain(asked)
            return ""
        }
        guard asked.status == .unauthorized else { throw try await Self.refusal(asked, address) }
        var (header, refreshToken) = (Authorizer.basic(user), "")
        if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
            guard let realm = bearer.realm.flatMap({ WebAddress($0) }) else { throw try await Self.refusal(asked, address) }
            var request = TokenRequest(realm: realm, service: bearer.service ?? "", scopes: bearer.scopes, user: user)
            request.isOffline = true
            do {
                let answer = try await request.send(session, endpoint)
                (header, refreshToken) = ("Bearer \(answer.token.text)", answer.refreshToken)
            } catch let error as RegistryError { throw RegistryError(error.code, "Get \"\(address)\": \(error.message)") }
        }
        guard let header else { throw RegistryError(.unauthorized, "Get \"\(address)\": no basic auth credentials") }
        try await RegistrySession.drain(asked)
        let answer = try await session.once(.GET, address, headers: ["Authorization": header], endpoint: endpoint)
        guard answer.status == .ok else { throw try await Self.refusal(answer, address) }
        try await RegistrySession.drain(answer)
        return refreshToken
    }

    private static func refusal(_ response: HTTPClientResponse, _ address: WebAddress) async throws -> RegistryError {
        try await RegistrySession.drain(response)
        return RegistryError(
            response.status == .unauthorized ? .unauthorized : response.status == .forbidden ? .denied : .failed,
            "login attempt to \(address) failed with status: \(response.status.code) \(response.status.reasonPhrase)")
    }
}
