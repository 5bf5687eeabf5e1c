import Glibc
import HTTPServer
import JSON
import NIOCore
import NIOHTTP1
import OCIImageSpec
import Testing

@testable import RegistryClient

/// A registry that wants a token of a server which is itself.
private func tokenRegistry(expiresIn: Int = 300, token: @escaping @Sendable (FakeRegistry.Asked, FakeRegistry) -> String?)
    -> FakeRegistry.Answer
{
    { asked, registry in
        if asked.target.hasPrefix("/token") {
            guard let token = token(asked, registry) else {
                return refusal(.unauthorized, "UNAUTHORIZED", "incorrect username or password")
            }
            return .bytes(
                Array(#"{"token":"\#(token)","expires_in":\#(expiresIn),"refresh_token":"r3fresh"}"#.utf8), contentType: "application/json")
        }
        guard asked.authorization.hasPrefix("Bearer good") else {
            let challenge = #"Bearer realm="http://\#(registry.authority)/token",service="svc",scope="repository:team/app:pull""#
            return refusal(.unauthorized, "UNAUTHORIZED", "authentication required", headers: ["WWW-Authenticate": challenge])
        }
        return asked.target == "/v2/" ? Response(status: .ok) : manifestAnswer()
    }
}

@Suite struct Authorization {
    @Test func oneTokenServesMany() async throws {
        try await withRepository(tokenRegistry { _, _ in "good" }) { repository, registry in
            _ = try await repository.manifest(.tag("1"))
            _ = try await repository.manifest(.digest(manifestDigest))
            let token = "GET /token?scope=repository%3Ateam%2Fapp%3Apull&service=svc"
            #expect(
                registry.lines == [
                    "GET /v2/team/app/manifests/1", token, "GET /v2/team/app/manifests/1", "GET /v2/team/app/manifests/\(manifestDigest)",
                ])
            #expect(registry.requests[1].authorization == "" && registry.requests[3].authorization == "Bearer good")
            #expect(registry.requests[0].headers.first(name: "User-Agent") == "test/1")
        }
    }

    @Test func usersAreToldToTheTokenServerAlone() async throws {
        let user = RegistryCredentials(username: "me", password: "pw")
        try await withRepository(credentials: user, tokenRegistry { _, _ in "good" }) { repository, registry in
            _ = try await repository.manifest(.tag("1"))
            let token = try #require(registry.requests.first { $0.target.hasPrefix("/token") })
            #expect(token.target == "/token?account=me&scope=repository%3Ateam%2Fapp%3Apull&service=svc")
            #expect(token.authorization == "Basic bWU6cHc=")
            #expect(registry.requests.filter { $0.authorization.hasPrefix("Basic") }.count == 1)
        }
    }

    @Test func identityTokensGoByPost() async throws {
        try await withRepository(credentials: RegistryCredentials(identityToken: "id+1"), tokenRegistry { _, _ in "good" }) {
            repository, registry in
            _ = try await repository.manifest(.tag("1"))
            let token = try #require(registry.requests.first { $0.target == "/token" })
            #expect(token.method == .POST)
            #expect(
                token.body
                    == "grant_type=refresh_token&refresh_token=id%2B1&client_id=docker&service=svc&scope=repository%3Ateam%2Fapp%3Apull")
        }
    }

    @Test func registryTokensGoAsTheyAre() async throws {
        try await withRepository(credentials: RegistryCredentials(registryToken: "good-own"), tokenRegistry { _, _ in nil }) {
            repository, registry in
            _ = try await repository.manifest(.tag("1"))
            #expect(registry.requests.map(\.authorization) == ["Bearer good-own"])
        }
    }

    @Test func tokensThatHaveLostTheirForceAreRenewed() async throws {
        try await withRepository(tokenRegistry { _, registry in registry.count("token") == 0 ? "old" : "good" }) { repository, registry in
            // The first token is refused: a second one is not asked for in the same call.
            let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
            #expect(error?.code == .unauthorized)
            _ = try await repository.manifest(.tag("1"))
            #expect(registry.requests.filter { $0.target.hasPrefix("/token") }.count == 2)
        }
    }

    @Test func scopesFollowTheCall() async throws {
        try await withRepository(tokenRegistry { _, _ in "good" }) { repository, registry in
            _ = try await repository.manifest(.tag("1"))
            _ = try? await repository.mountBlob(manifestDigest, from: "other")
            let scopes = registry.lines.filter { $0.hasPrefix("GET /token") }
            #expect(scopes.count == 2)
            #expect(scopes.last == "GET /token?scope=repository%3Ateam%2Fapp%3Apull%2Cpush&scope=repository%3Aother%3Apull&service=svc")
        }
    }

    @Test func basic() async throws {
        let answer: FakeRegistry.Answer = { asked, _ in
            asked.authorization == "Basic bWU6cHc="
                ? manifestAnswer()
                : refusal(.unauthorized, "UNAUTHORIZED", "no", headers: ["WWW-Authenticate": "Basic realm=\"r\""])
        }
        try await withRepository(credentials: RegistryCredentials(username: "me", password: "pw"), answer) { repository, registry in
            _ = try await repository.manifest(.tag("1"))
            _ = try await repository.manifest(.tag("1"))
            #expect(registry.requests.count == 3)
        }
        try await withRepository(answer) { repository, registry in
            let error = await #expect(throws: RegistryError.self) { try await repository.manifest(.tag("1")) }
            let address = "http://\(registry.authority)/v2/team/app/manifests/1"
            #expect(error == RegistryError(.unauthorized, "Get \"\(address)\": no basic auth credentials"))
            #expect(registry.requests.count == 1)
        }
    }

    @Test func manyWaitForOneToken() async throws {
        let answer = tokenRegistry { _, _ in "good" }
        try await withRepository(answer) { repository, registry in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<20 { group.addTask { _ = try await repository.manifest(.tag("1")) } }
                try await group.waitForAll()
            }
            #expect(registry.requests.filter { $0.target.hasPrefix("/token") }.count == 1)
        }
    }

    @Test func mirrorsLearnNoCredentials() async throws {
        let secured: FakeRegistry.Answer = { asked, _ in
            asked.authorization.isEmpty
                ? refusal(.unauthorized, "UNAUTHORIZED", "", headers: ["WWW-Authenticate": "Basic realm=\"r\""]) : manifestAnswer()
        }
        try await FakeRegistry.run(secured) { mirror in
            try await FakeRegistry.run(secured) { registry in
                var settings = RegistrySettings()
                settings.mirrors = [registry.authority: ["http://\(mirror.authority)"]]
                try await withClient(settings) { client in
                    let user = RegistryCredentials(username: "me", password: "pw")
                    let name = try ImageReference("\(registry.authority)/team/app")
                    _ = try await client.repository(named: name, credentials: user).manifest(.tag("1"))
                    #expect(mirror.requests.map(\.authorization) == [""])
                    #expect(registry.requests.last?.authorization == "Basic bWU6cHc=")
                }
            }
        }
    }
}

@Suite struct LoggingIn {
    private func logIn(
        _ user: RegistryCredentials, _ answer: @escaping FakeRegistry.Answer, _ body: (FakeRegistry, Result<String, any Error>) -> Void
    )
        async throws
    {
        try await FakeRegistry.run(answer) { registry in
            try await withClient { client in
                var user = user
                user.serverAddress = registry.authority
                let result: Result<String, any Error>
                do { result = .success(try await client.logIn(user)) } catch { result = .failure(error) }
                body(registry, result)
            }
        }
    }

    @Test func refreshTokensComeBack() async throws {
        try await logIn(RegistryCredentials(username: "me", password: "pw"), tokenRegistry { _, _ in "good" }) { registry, result in
            #expect((try? result.get()) == "r3fresh")
            let token = registry.requests.first { $0.target.hasPrefix("/token") }
            #expect(
                token?.target
                    == "/token?account=me&client_id=docker&offline_token=true&scope=repository%3Ateam%2Fapp%3Apull&service=svc")
        }
    }

    @Test func refusals() async throws {
        try await logIn(RegistryCredentials(username: "me", password: "no"), tokenRegistry { _, _ in nil }) { registry, result in
            #expect(
                throws: RegistryError(
                    .unauthorized, "Get \"http://\(registry.authority)/v2/\": unauthorized: incorrect username or password")
            ) {
                try result.get()
            }
        }
        let basic: FakeRegistry.Answer = { _, _ in
            refusal(.unauthorized, "UNAUTHORIZED", "", headers: ["WWW-Authenticate": "Basic realm=\"r\""])
        }
        try await logIn(RegistryCredentials(username: "me", password: "no"), basic) { registry, result in
            #expect(
                throws: RegistryError(
                    .unauthorized, "login attempt to http://\(registry.authority)/v2/ failed with status: 401 Unauthorized")
            ) {
                try result.get()
            }
        }
    }

    @Test(arguments: [
        ("", "docker.io"), ("https://index.docker.io/v1/", "docker.io"), ("registry-1.docker.io", "docker.io"), ("reg:5000", "reg:5000"),
        ("https://reg.example/v2/", "reg.example"), ("localhost/x", "localhost"),
    ])
    func domains(_ server: String, _ expected: String) { #expect(RegistryClient.domain(ofServer: server) == expected) }
}

@Suite struct Searching {
    @Test func othersThanHub() async throws {
        let answer: FakeRegistry.Answer = { _, _ in
            .bytes(
                Array(#"{"num_results":1,"results":[{"name":"a/b","description":"d","star_count":7,"is_official":true}]}"#.utf8),
                contentType: "application/json")
        }
        try await FakeRegistry.run(answer) { registry in
            var settings = RegistrySettings()
            settings.searchIndex = "http://\(registry.authority)"
            try await withClient(settings) { client in
                let user = RegistryCredentials(username: "me", password: "pw")
                let found = try await client.search("\(registry.authority)/x y", limit: 3, credentials: user)
                #expect(found == [SearchResult(name: "a/b", description: "d", stars: 7, isOfficial: true, isAutomated: false)])
                _ = try await client.search("library/z", limit: 25, credentials: .anonymous)
                #expect(registry.lines == ["GET /v1/search?q=x%20y&n=3", "GET /v1/search?q=z&n=25"])
                #expect(registry.requests.map(\.authorization) == ["Basic bWU6cHc=", ""])
            }
        }
    }
}
