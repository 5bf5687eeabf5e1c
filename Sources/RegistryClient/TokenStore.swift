/// Tokens of all registries, and what registries are known to ask for. One request for one token, however many wait for it.
actor TokenStore {
    struct Key: Hashable {
        let realm: WebAddress
        let service: String
        let scopes: [String]
        let user: RegistryCredentials
    }

    struct Token: Sendable {
        let text: String
        let expiry: ContinuousClock.Instant
    }

    private var tokens: [Key: Token] = [:]
    private var running: [Key: Task<Token, any Error>] = [:]
    private var challenges: [String: AuthenticationChallenge] = [:]

    /// The token that is kept and good for a while, or a new one.
    /// - Parameter refused: a token that the registry did not accept: not this one again.
    func token(_ key: Key, refused: String?, fetch: @escaping @Sendable () async throws -> Token) async throws -> String {
        if let token = tokens[key], token.text != refused, token.expiry > .now { return token.text }
        let task =
            running[key]
            ?? Task {
                let result: Result<Token, any Error>
                do { result = .success(try await fetch()) } catch { result = .failure(error) }
                self.end(key, result)
                return try result.get()
            }
        running[key] = task
        return try await task.value.text
    }

    private func end(_ key: Key, _ result: Result<Token, any Error>) {
        running[key] = nil
        tokens[key] = try? result.get()
        if tokens.count > 1_000 { tokens = tokens.filter { $0.value.expiry > .now } }
        // Forgetting means asking once more.
        if tokens.count > 10_000 { tokens = [:] }
    }

    /// What an endpoint asked for last.
    func challenge(of endpoint: RegistryEndpoint) -> AuthenticationChallenge? { challenges[endpoint.description] }

    func keep(_ challenge: AuthenticationChallenge, of endpoint: RegistryEndpoint) {
        if challenges.count > 10_000 { challenges = [:] }
        challenges[endpoint.description] = challenge
    }
}
