internal import Glibc
internal import HTTPServer
internal import JSON
internal import Linux
internal import NIOHTTP1
internal import OCIImageSpec

/// Bearer tokens of a token server (Docker Registry v2 authentication via central service; JWT, RFC 7519): a client without a
/// token is told where to get one, for what service and scope. A token's signature must be by one of the configured keys, its
/// issuer and audience must be the configured ones, and its time must not have run out.
struct TokenAuthentication: Authenticator {
    /// Where clients get tokens.
    let realm: String
    /// This registry's name to the token server, and the audience that a token must have.
    let service: String
    /// Who must have signed; nil: not looked at.
    let issuer: String?
    let keys: [PublicKey]
    /// Seconds by which the clocks may differ.
    let leeway: Int64

    var challengesBase: Bool { true }

    init(_ configuration: RegistryConfiguration.Token) throws {
        realm = configuration.realm
        service = configuration.service
        issuer = configuration.issuer
        leeway = Int64(configuration.leeway)
        var keys: [PublicKey] = []
        for path in configuration.publicKeys { keys += try PublicKey.keys(pem: path) }
        if let path = configuration.jwks { keys += try PublicKey.keys(jwks: path) }
        self.keys = keys
    }

    func challenge(_ wish: Wish, _ failure: AuthenticationFailure?) -> String {
        var text = "Bearer realm=\"\(realm)\",service=\"\(service)\""
        if !wish.scope.isEmpty { text += ",scope=\"\(wish.scope)\"" }
        if let error = failure?.error, !error.isEmpty { text += ",error=\"\(error)\"" }
        return text
    }

    func identify(_ request: Request) async throws(AuthenticationFailure) -> Identity {
        guard let header = request.headers.first(name: "Authorization") else { return .anonymous }
        guard header.lowercased().hasPrefix("bearer ") else {
            throw AuthenticationFailure(error: "invalid_token", description: "no bearer token")
        }
        return try verified(String(header.dropFirst(7)), now: Int64(time(nil)))
    }

    /// What a token says, when it holds at `now` (seconds since 1970).
    func verified(_ token: String, now: Int64) throws(AuthenticationFailure) -> Identity {
        func refused(_ reason: String) -> AuthenticationFailure { AuthenticationFailure(error: "invalid_token", description: reason) }
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, token.utf8.count <= 64 << 10, let head = Base64.decode(parts[0]), let body = Base64.decode(parts[1]),
            let signature = Base64.decode(parts[2]), let header = try? JSONValue(parsing: head), let claims = try? JSONValue(parsing: body)
        else { throw refused("malformed token") }
        let signed = Array("\(parts[0]).\(parts[1])".utf8)
        guard let algorithm = header["alg"]?.stringValue, header["crit"] == nil else { throw refused("token without algorithm") }
        // A key set names its keys; what has no name is tried as well.
        let id = header["kid"]?.stringValue
        let named = keys.filter { $0.id != nil && $0.id == id }
        let candidates = named.isEmpty ? keys.filter { $0.id == nil || id == nil } : named
        guard candidates.contains(where: { $0.verifies(signature, of: signed, algorithm: algorithm) }) else {
            throw refused("signature of token does not hold")
        }
        if let issuer, claims["iss"]?.stringValue != issuer { throw refused("token of another issuer") }
        let audiences = claims["aud"]?.stringValue.map { [$0] } ?? claims["aud"]?.arrayValue?.compactMap(\.stringValue) ?? []
        guard audiences.contains(service) else { throw refused("token for another service") }
        guard let expires = claims["exp"]?.doubleValue, Double(now) < expires + Double(leeway) else { throw refused("token has expired") }
        if let start = claims["nbf"]?.doubleValue, Double(now) < start - Double(leeway) { throw refused("token is not valid yet") }
        let grants = (claims["access"]?.arrayValue ?? []).map { entry in
            Identity.Grant(
                type: entry["type"]?.stringValue ?? "", name: entry["name"]?.stringValue ?? "",
                actions: Set((entry["actions"]?.arrayValue ?? []).compactMap(\.stringValue)))
        }
        let subject = claims["sub"]?.stringValue
        return Identity(user: subject?.isEmpty ?? true ? nil : subject, grants: grants)
    }
}
