internal import ClientUI
internal import EngineClient
internal import Glibc
internal import JSON
internal import Linux

/// Contexts: named endpoints, in Docker's files (`contexts/meta/<SHA-256 of the name>/meta.json` of the configuration's
/// directory), so that both clients know the same ones.
struct ContextStore {
    /// The configuration's directory.
    let directory: String

    /// The context that is always there: the endpoint of flags and environment.
    static let standard = "default"

    func metadataPath(_ name: String) -> String { "\(directory)/contexts/meta/\(NameDigest.hexadecimal(name))" }
    func tlsPath(_ name: String) -> String { "\(directory)/contexts/tls/\(NameDigest.hexadecimal(name))" }

    /// Docker's rule for names.
    static func check(_ name: String) throws {
        if name == standard { throw Failure("\(quoted(standard)) is a reserved context name") }
        let isGood =
            name.utf8.count >= 2
            && name.utf8.enumerated().allSatisfy { index, byte in
                switch byte {
                case 48...57, 65...90, 97...122: true
                case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "-"): index > 0
                default: false
                }
            }
        if !isGood {
            throw Failure(
                "context name \(quoted(name)) is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"")
        }
    }

    func exists(_ name: String) -> Bool { Files.exists("\(metadataPath(name))/meta.json") }

    func read(_ name: String) throws -> StoredContext {
        let path = "\(metadataPath(name))/meta.json"
        do { return try StoredContext(JSONValue(parsing: Files.read(path)), path: path) } catch let error as SystemError
            where error.code == ENOENT
        {
            throw Failure("context \(quoted(name)): context not found: open \(path): no such file or directory")
        } catch let error as SystemError { throw Failure("context \(quoted(name)): \(error)") } catch let error as JSONError {
            throw Failure("context \(quoted(name)): \(path): \(error)")
        }
    }

    /// All but the standard one, by name. What cannot be read is left out.
    func all() -> [StoredContext] {
        let metas = "\(directory)/contexts/meta"
        return ((try? Files.list(metas)) ?? []).compactMap { entry in
            let path = "\(metas)/\(entry)/meta.json"
            return (try? Files.read(path)).flatMap { try? StoredContext(JSONValue(parsing: $0), path: path) }
        }
        .sorted { $0.name < $1.name }
    }

    func write(_ context: StoredContext) throws {
        let path = metadataPath(context.name)
        try Files.makeDirectories(path)
        try Files.replace("\(path)/meta.json", with: context.document.serialized(), mode: 0o644)
    }

    func remove(_ name: String) throws {
        for path in [metadataPath(name), tlsPath(name)] where Files.exists(path) { try Files.removeTree(path) }
    }
}

/// One context, as its file has it; members that this client does not know are kept.
struct StoredContext {
    let name: String
    private(set) var document: JSONValue

    init(_ document: JSONValue, path: String) throws {
        guard let name = document["Name"]?.stringValue, !name.isEmpty else { throw Failure("\(path): not a context") }
        self.name = name
        self.document = document
    }

    init(name: String, description: String, host: String) {
        self.name = name
        let metadata: JSONValue = description.isEmpty ? [:] : ["Description": .string(description)]
        document = [
            "Name": .string(name), "Metadata": metadata, "Endpoints": ["docker": ["Host": .string(host), "SkipTLSVerify": false]],
        ]
    }

    var description: String { document["Metadata"]?["Description"]?.stringValue ?? "" }
    var host: String { document["Endpoints"]?["docker"]?["Host"]?.stringValue ?? "" }
    /// The server need not prove who it is.
    var skipsVerification: Bool { document["Endpoints"]?["docker"]?["SkipTLSVerify"]?.boolValue ?? false }

    func named(_ name: String) throws -> StoredContext { try StoredContext(changed(document, ["Name"], .string(name)), path: name) }

    mutating func setDescription(_ text: String) { document = changed(document, ["Metadata", "Description"], .string(text)) }
    /// As Docker writes it: without a host, the endpoint is the standard one.
    mutating func setEndpoint(_ host: String, skipsVerification: Bool) {
        var endpoint = document["Endpoints"]?["docker"]?.objectValue ?? JSONObject()
        endpoint["Host"] = host.isEmpty ? nil : .some(.string(host))
        endpoint["SkipTLSVerify"] = .some(.bool(skipsVerification))
        document = changed(document, ["Endpoints", "docker"], .object(endpoint))
    }

    private func changed(_ value: JSONValue, _ path: ArraySlice<String>, _ new: JSONValue) -> JSONValue {
        guard let first = path.first else { return new }
        var object = value.objectValue ?? JSONObject()
        object[first] = changed(object[first] ?? [:], path.dropFirst(), new)
        return .object(object)
    }
}
