internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import NIOCore
internal import NIOHTTP1
internal import RegistryClient

// Who asks a registry through the daemon. Clients send the credentials with each call; the daemon keeps none.
extension Call {
    /// Those of `X-Registry-Auth`; anonymous without it. As dockerd has it, a header that cannot be read counts as none: old
    /// clients send all kinds.
    func registryCredentials() -> RegistryCredentials {
        guard let text = request.headers.first(name: "X-Registry-Auth") else { return .anonymous }
        return Self.decoded(text).map { RegistryCredentials($0) } ?? .anonymous
    }

    /// Those of `X-Registry-Auth`, or of the body, where clients before 1.24 had them. Pushing wants one of the two.
    func registryCredentialsOrBody() async throws -> RegistryCredentials {
        if request.headers.contains(name: "X-Registry-Auth") { return registryCredentials() }
        do {
            let buffer = try await request.body.collect(limit: 1 << 20)
            return RegistryCredentials(
                try JSON.decode(AuthConfig.self, from: Array(buffer.readableBytesView), likeGo: true))
        } catch { throw APIError.invalid("bad parameters and missing X-Registry-Auth: \(error)") }
    }

    /// Those of `X-Registry-Config`, by registry as the client knows it (`https://index.docker.io/v1/`, `localhost:5000`).
    func registryConfig() -> [String: RegistryCredentials] {
        guard let text = request.headers.first(name: "X-Registry-Config"), let all: [String: AuthConfig] = Self.decoded(text) else {
            return [:]
        }
        return all.mapValues { RegistryCredentials($0) }
    }

    private static func decoded<Value: Decodable>(_ header: String, as type: Value.Type = Value.self) -> Value? {
        guard let bytes = Base64.decode(header) else { return nil }
        return try? JSON.decode(Value.self, from: bytes, likeGo: true)
    }

    private static func decoded(_ header: String) -> AuthConfig? { decoded(header, as: AuthConfig.self) }
}

extension RegistryCredentials {
    init(_ auth: AuthConfig) {
        let older = auth.username == nil ? auth.auth.flatMap { AuthConfig.split(auth: $0) } : nil
        self.init(
            username: auth.username ?? older?.username ?? "", password: auth.password ?? older?.password ?? "",
            identityToken: auth.identitytoken ?? "", registryToken: auth.registrytoken ?? "", serverAddress: auth.serveraddress ?? "")
    }
}
