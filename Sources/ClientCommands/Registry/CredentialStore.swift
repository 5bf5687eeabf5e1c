internal import ClientUI
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux

/// Where `login` keeps credentials. Servers are named as `RegistryAuth.server` does.
protocol CredentialStore {
    /// Nil when none are kept.
    func find(_ server: String) throws -> AuthConfig?
    func keep(_ credentials: AuthConfig, for server: String) throws
    func forget(_ server: String) throws
    /// All, by server.
    func all() throws -> [String: AuthConfig]
}

extension ClientConfiguration {
    /// The helper for one registry, else the one for all, else the file itself.
    func credentialStore(for server: String) -> any CredentialStore {
        let file = CredentialFile(path: path, resolvedPath: resolvedPath)
        guard let name = credentialHelpers[server] ?? credentialsStore else { return file }
        return CredentialHelper(name: name, file: file)
    }

    /// What is not for one registry alone.
    var credentialStores: [any CredentialStore] {
        let file = CredentialFile(path: path, resolvedPath: resolvedPath)
        return credentialsStore.map { [CredentialHelper(name: $0, file: file)] } ?? [file]
    }
}

/// `auths` of config.json: unencrypted.
struct CredentialFile: CredentialStore {
    let path: String
    /// What is written when the file is a symbolic link.
    let resolvedPath: String

    func find(_ server: String) throws -> AuthConfig? {
        let auths = try read()["auths"]?.objectValue ?? JSONObject()
        if let entry = auths[server] { return try Self.credentials(entry, server, path) }
        // Old files have `https://HOST/v1/`.
        let older = auths.members.first { RegistryAuth.hostname($0.name) == server }
        return try older.map { try Self.credentials($0.value, $0.name, path) }
    }

    func all() throws -> [String: AuthConfig] {
        var all: [String: AuthConfig] = [:]
        for member in try read()["auths"]?.objectValue?.members ?? [] {
            all[member.name] = try Self.credentials(member.value, member.name, path)
        }
        return all
    }

    func keep(_ credentials: AuthConfig, for server: String) throws {
        try change { auths in
            var entry = JSONObject()
            if let user = credentials.username, let password = credentials.password, !user.isEmpty || !password.isEmpty {
                entry["auth"] = .string(Base64.encode(Array("\(user):\(password)".utf8)))
            }
            for (name, value) in [
                ("email", credentials.email), ("identitytoken", credentials.identitytoken), ("registrytoken", credentials.registrytoken),
            ] {
                if let value, !value.isEmpty { entry[name] = .string(value) }
            }
            auths[server] = .object(entry)
        }
    }

    func forget(_ server: String) throws {
        guard try read()["auths"]?.objectValue?[server] != nil else { return }
        try change { $0[server] = nil }
    }

    private static func credentials(_ entry: JSONValue, _ server: String, _ path: String) throws -> AuthConfig {
        var found = AuthConfig()
        do { found = try JSON.decode(from: entry, likeGo: true) } catch { throw Failure("\(path): auths of \(server): \(error)") }
        if let auth = found.auth, !auth.isEmpty {
            guard let (username, password) = AuthConfig.split(auth: auth) else { throw Failure("\(path): invalid auth configuration file") }
            found.username = username
            found.password = password
        }
        found.auth = nil
        found.serveraddress = server
        return found
    }

    private func read() throws -> JSONValue {
        do { return try JSONValue(parsing: try Files.read(path)) } catch let error as SystemError where error.code == ENOENT {
            return .null
        } catch { throw Failure("\(path): \(error)") }
    }

    /// Writes the file whole under a lock, so that two logins at once lose nothing; all else that it says stays.
    private func change(_ body: (inout JSONObject) throws -> Void) throws {
        try Files.makeDirectories(Files.parent(of: resolvedPath), mode: 0o700)
        let lock = try OwnedFD.open(Files.parent(of: resolvedPath), O_RDONLY | O_DIRECTORY)
        try retrying("lock", path) { flock(lock.raw, LOCK_EX) }
        let document = try read()
        guard document.isNull || document.objectValue != nil else { throw Failure("\(path): not a JSON object") }
        var object = document.objectValue ?? JSONObject()
        var auths = object["auths"]?.objectValue ?? JSONObject()
        try body(&auths)
        object["auths"] = .object(auths)
        try Files.replace(resolvedPath, with: JSONValue.object(object).serialized(indent: 4), mode: 0o600)
    }
}
