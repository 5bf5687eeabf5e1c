internal import ClientUI
internal import EngineClient
internal import Glibc
internal import JSON
internal import Linux

/// What the user has set down for all commands: `config.json` of the directory that `--config`, `CLIPPER_CONFIG` or
/// `DOCKER_CONFIG` names, else `~/.docker`. Docker's file and keys; a file that is not there sets nothing.
///
/// Taken from it: `detachKeys`, `psFormat`, `imagesFormat`, `networksFormat`, `volumesFormat`, `HttpHeaders`, `proxies`; beside
/// it the contexts that `--context` and `DOCKER_CONTEXT` name. `currentContext` is left alone: it tells where the `docker`
/// client goes, and without `-H` Clipper's goes to Clipper's daemon.
struct ClientConfiguration {
    let directory: String
    /// Why the file could not be used, to be told on stderr.
    let warning: String?
    private let document: JSONValue

    /// - Parameter directory: the value of `--config`; nil when not given.
    init(directory: String?) {
        let chosen = directory ?? Self.environmentDirectory
        let path = "\(chosen)/config.json"
        self.directory = chosen
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

    /// Where the engine of a context listens.
    func host(ofContext name: String) throws -> String {
        let metas = "\(directory)/contexts/meta"
        for entry in (try? Files.list(metas)) ?? [] {
            guard let bytes = try? Files.read("\(metas)/\(entry)/meta.json"), let meta = try? JSONValue(parsing: bytes),
                meta["Name"]?.stringValue == name
            else { continue }
            guard let host = meta["Endpoints"]?["docker"]?["Host"]?.stringValue, !host.isEmpty else {
                throw Failure("context \"\(name)\": no endpoint of an engine is set in it")
            }
            return host
        }
        throw Failure("context \"\(name)\": context not found: open \(metas): no context of that name")
    }
}
