internal import ClientUI
internal import EngineTypes
internal import JSON
internal import OCIImageSpec

/// What the user has logged in with, as the headers by which the daemon is told: the one place that finds credentials.
///
/// As Docker's client: the credential helper of the registry (`credHelpers`), else that of all registries (`credsStore`), else what
/// stands in config.json itself (`auths`).
struct RegistryAuth {
    let configuration: ClientConfiguration

    /// Docker Hub, as credentials know it.
    static let hub = "https://index.docker.io/v1/"

    /// `X-Registry-Auth` for an image of a registry; that of nobody when the user has not logged in there.
    /// - Parameter image: a reference as the user wrote it.
    func header(for image: String) throws -> String { Self.header(try credentials(for: image)) }

    func credentials(for image: String) throws -> AuthConfig {
        // What is no reference is the daemon's to refuse.
        guard let reference = try? ImageReference(image) else { return AuthConfig() }
        return try credentials(server: Self.server(of: reference)) ?? AuthConfig()
    }

    /// What is kept for a registry; nil when nothing is.
    func credentials(server: String) throws -> AuthConfig? { try configuration.credentialStore(for: server).find(server) }

    /// `X-Registry-Config` for a build, which may need any registry: all that is kept. A helper that fails is left out with a
    /// warning, as Docker has it: the build may not need it.
    func allHeader(warn: (String) -> Void) -> String {
        var all: [String: AuthConfig] = [:]
        for store in configuration.credentialStores {
            do { all.merge(try store.all()) { $1 } } catch { warn("WARNING: \(message(of: error))") }
        }
        for (server, _) in configuration.credentialHelpers {
            do { if let found = try credentials(server: server) { all[server] = found } } catch { warn("WARNING: \(message(of: error))") }
        }
        let members = all.sorted { $0.key < $1.key }.map { JSONObject.Member(name: $0.key, value: Self.document($0.value)) }
        return Self.encoded(.object(JSONObject(members)))
    }

    /// The name under which credentials of a reference's registry are kept.
    static func server(of reference: ImageReference) -> String { reference.domain == "docker.io" ? hub : reference.domain }

    /// The name under which credentials are kept, for a registry as the user names it: a host, or an address with scheme and path.
    static func server(named text: String) -> String {
        let host = hostname(text)
        return text.isEmpty || ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(host) ? hub : host
    }

    /// `https://registry.example:5000/v1/` as `registry.example:5000`.
    static func hostname(_ address: String) -> String {
        var rest = address[...]
        for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
        return String(rest.prefix { $0 != "/" })
    }

    static func header(_ credentials: AuthConfig) -> String { encoded(document(credentials)) }

    private static func encoded(_ document: JSONValue) -> String {
        // The URL's alphabet: the header of Docker's own clients.
        String(
            Base64.encode(document.serialized()).map { character -> Character in
                switch character {
                case "+": "-"
                case "/": "_"
                default: character
                }
            })
    }

    /// The API's document; members that are not set are left out.
    static func document(_ credentials: AuthConfig) -> JSONValue {
        let members = [
            ("username", credentials.username), ("password", credentials.password), ("email", credentials.email),
            ("serveraddress", credentials.serveraddress), ("identitytoken", credentials.identitytoken),
            ("registrytoken", credentials.registrytoken),
        ]
        return .object(
            JSONObject(
                members.compactMap { name, value in
                    value.flatMap { $0.isEmpty ? nil : JSONObject.Member(name: name, value: .string($0)) }
                }))
    }
}

extension Context {
    var registryAuth: RegistryAuth { RegistryAuth(configuration: configuration) }
}
