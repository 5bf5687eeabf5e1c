internal import ClientUI
internal import EngineClient
internal import Glibc
internal import JSON
internal import Linux

/// What the user has set down for all commands: `config.json` of the directory that `--config`, `CLIPPER_CONFIG` or
/// `DOCKER_CONFIG` names, else `~/.docker`. Docker's file and keys; a file that is not there sets nothing.
///
/// Taken from it: `detachKeys`, `psFormat`, `imagesFormat`, `networksFormat`, `volumesFormat`, `HttpHeaders`, `proxies`, `auths`,
/// `credsStore`, `credHelpers` (`RegistryAuth`); beside it the contexts that `--context` and `DOCKER_CONTEXT` name. `currentContext` tells where the `docker` client goes, and is
/// Clipper's only when it is installed as `docker`; else `clipper context use` writes to a file beside it, `clipper.json`.
struct ClientConfiguration {
    let directory: String
    /// The file itself.
    let path: String
    /// Why the file could not be used, to be told on stderr.
    let warning: String?
    private let document: JSONValue
    /// Where the current context stands.
    private let contextFile: String

    /// - Parameters:
    ///   - directory: the value of `--config`; nil when not given.
    ///   - program: the name the client is called by.
    init(directory: String?, program: String) {
        let chosen = directory ?? Self.environmentDirectory
        path = "\(chosen)/config.json"
        self.directory = chosen
        contextFile = program == "docker" ? path : "\(chosen)/clipper.json"
        var document = JSONValue.null
        var warning: String?
        do {
            document = try JSONValue(parsing: try Files.read(path))
            if document.objectValue == nil { warning = "WARNING: Error loading config file: \(path): not a JSON object" }
        } catch let error as SystemError {
            if error.code != ENOENT && error.code != ENOTDIR { warning = "WARNING: Error loading config file: \(error)" }
        } catch { warning = "WARNING: Error loading config file: \(path): \(error)" }
        self.document = document
        self.warning = warning
    }

    private static var environmentDirectory: String {
        for name in ["CLIPPER_CONFIG", "DOCKER_CONFIG"] {
            if let value = Context.environment(name), !value.isEmpty { return value }
        }
        return (Context.environment("HOME") ?? "") + "/.docker"
    }

    /// Nil when not set.
    var detachKeys: String? { text("detachKeys") }

    /// The format of a list without `--format`: `psFormat`, `imagesFormat`, `networksFormat`, `volumesFormat`.
    func format(_ key: String) -> String { text(key) ?? "" }

    /// Headers that go with every request. `User-Agent` stays the client's, as with Docker.
    var headers: [(String, String)] {
        (document["HttpHeaders"]?.objectValue?.members ?? []).compactMap { member in
            member.name.lowercased() == "user-agent" ? nil : member.value.stringValue.map { (member.name, $0) }
        }
    }

    /// The name of the helper that keeps credentials (`docker-credential-NAME`); nil when the file itself does.
    var credentialsStore: String? { text("credsStore") }

    /// The helpers of single registries.
    var credentialHelpers: [String: String] {
        var helpers: [String: String] = [:]
        for member in document["credHelpers"]?.objectValue?.members ?? [] { helpers[member.name] = member.value.stringValue }
        return helpers
    }

    /// Where the file lies when `path` is a symbolic link: a file that is written anew takes the place of what the link names.
    var resolvedPath: String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private func text(_ key: String) -> String? { document[key]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } }

    /// Proxy variables for containers and builds, in both spellings, as `NAME=value`.
    /// - Parameter host: the endpoint as the user gave it; its own entry comes before `default`.
    func proxyVariables(host: String) -> [(name: String, value: String)] {
        guard let proxies = document["proxies"], let settings = proxies[host] ?? proxies["default"] else { return [] }
        let names = [
            ("httpProxy", "HTTP_PROXY"), ("httpsProxy", "HTTPS_PROXY"), ("ftpProxy", "FTP_PROXY"), ("noProxy", "NO_PROXY"),
            ("allProxy", "ALL_PROXY"),
        ]
        return names.flatMap { key, variable -> [(name: String, value: String)] in
            guard let value = settings[key]?.stringValue, !value.isEmpty else { return [] }
            return [(variable, value), (variable.lowercased(), value)]
        }
    }

    /// The context that `context use` has chosen; nil when none.
    var currentContext: String? {
        guard let bytes = try? Files.read(contextFile), let name = (try? JSONValue(parsing: bytes))?["currentContext"]?.stringValue else {
            return nil
        }
        return name.isEmpty || name == ContextStore.standard ? nil : name
    }

    /// Writes it down, or takes it away; all else that the file says stays.
    func setCurrentContext(_ name: String?) throws {
        var object = JSONObject()
        if Files.exists(contextFile) {
            guard let known = try JSONValue(parsing: Files.read(contextFile)).objectValue else {
                throw Failure("\(contextFile): not a JSON object")
            }
            object = known
        }
        object = JSONObject(object.members.filter { $0.name != "currentContext" })
        if let name { object.append("currentContext", .string(name)) }
        try Files.makeDirectories(directory)
        try Files.replace(contextFile, with: JSONValue.object(object).serialized(indent: 4), mode: 0o600)
    }
}
