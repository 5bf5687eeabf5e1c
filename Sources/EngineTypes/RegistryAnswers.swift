/// Who asks a registry: `X-Registry-Auth` (base 64 of this as JSON), the values of `X-Registry-Config`, and the body of `POST /auth`.
public struct AuthConfig: Codable, Sendable, Hashable {
    public var username: String?
    public var password: String?
    /// Base 64 of `username:password`: the older form of the two, read when they are missing.
    public var auth: String?
    public var email: String?
    public var serveraddress: String?
    /// A refresh token in place of a password.
    public var identitytoken: String?
    /// A token that the registry gets as it is.
    public var registrytoken: String?

    public init(
        username: String? = nil, password: String? = nil, serveraddress: String? = nil, identitytoken: String? = nil,
        registrytoken: String? = nil
    ) {
        self.username = username
        self.password = password
        self.serveraddress = serveraddress
        self.identitytoken = identitytoken
        self.registrytoken = registrytoken
    }

    /// `username:password` of the older form; nil for what is no such text.
    public static func split(auth: String) -> (username: String, password: String)? {
        guard let bytes = Base64.decode(auth), let text = String(validating: bytes, as: UTF8.self), let colon = text.firstIndex(of: ":")
        else { return nil }
        // Old files end in zero bytes.
        let password = text[text.index(after: colon)...].prefix { $0 != "\0" }
        return (String(text[..<colon]), String(password))
    }
}

/// The answer to `POST /auth`.
public struct AuthResponse: Codable, Sendable, Hashable {
    public var IdentityToken: String
    public var Status: String

    public init(IdentityToken: String, Status: String) {
        self.IdentityToken = IdentityToken
        self.Status = Status
    }
}
