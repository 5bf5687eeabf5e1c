internal import ClientUI
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec

/// One image of a list of manifests: what Docker's client keeps of it and shows.
struct ManifestEntry {
    /// The image's, with its domain.
    let name: String
    let mediaType: String
    let digest: String
    var platform: Platform
    /// The manifest as the registry has it.
    let bytes: [UInt8]

    var isOCI: Bool { mediaType == MediaType.ociManifest }

    /// `descriptor` of a list.
    var listed: JSONValue {
        get throws {
            [
                "mediaType": .string(mediaType), "size": .integer(Int64(bytes.count)), "digest": .string(digest),
                "platform": try JSON.value(platform),
            ]
        }
    }

    /// The document of Docker's client: name, descriptor, and the manifest twice, encoded and as it is.
    var document: String {
        get throws {
            let descriptor: JSONValue = [
                "mediaType": .string(mediaType), "digest": .string(digest), "size": .integer(Int64(bytes.count)),
                "platform": try JSON.value(platform),
            ]
            let members = [
                ("Ref", JSONValue.string(name).text()), ("Descriptor", descriptor.text()),
                ("Raw", JSONValue.string(Base64.encode(bytes)).text()),
                (isOCI ? "OCIManifest" : "SchemaV2Manifest", String(decoding: bytes, as: UTF8.self)),
            ]
            return "{" + members.map { "\"\($0)\":\($1)" }.joined(separator: ",") + "}"
        }
    }
}

extension ManifestEntry {
    /// Reads a document of Docker's client; those of 20.10 have the manifest as it is alone, without the white space it had.
    init(document: JSONValue) throws {
        let descriptor = document["Descriptor"]
        guard let name = document["Ref"]?.stringValue, let type = descriptor?["mediaType"]?.stringValue,
            let digest = descriptor?["digest"]?.stringValue
        else { throw Failure("not the document of an image in a list of manifests") }
        let bytes: [UInt8]
        if let raw = document["Raw"]?.stringValue.flatMap({ Base64.decode($0) }), !raw.isEmpty {
            bytes = raw
        } else {
            guard let manifest = document["OCIManifest"] ?? document["SchemaV2Manifest"] else { throw Failure("\(name) has no payload") }
            bytes = manifest.serialized(indent: type == MediaType.ociManifest ? 2 : 3)
            let made = "sha256:" + NameDigest.hexadecimal(String(decoding: bytes, as: UTF8.self))
            if made != digest { throw Failure("internal digest mismatch for \(name): expected \(digest), got \(made)") }
        }
        self.init(name: name, mediaType: type, digest: digest, platform: Platform(document: descriptor?["platform"]), bytes: bytes)
    }
}

extension Platform {
    /// Of an image's configuration or a list's descriptor, in which each member may be missing.
    init(document: JSONValue?) {
        func text(_ member: String) -> String? { document?[member]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } }
        let features = (document?["os.features"]?.arrayValue ?? []).compactMap(\.stringValue)
        self.init(
            os: text("os") ?? "", architecture: text("architecture") ?? "", variant: text("variant"), osVersion: text("os.version"),
            osFeatures: features.isEmpty ? nil : features)
    }
}

/// Lists that are being made, in Docker's files: `manifests/LIST/IMAGE` of the configuration's directory.
struct ManifestStore {
    private let root: String

    init(_ context: Context) { root = "\(context.configuration.directory)/manifests" }

    private func directory(_ list: ImageReference) -> String { "\(root)/\(Self.fileName("\(list)"))" }

    private func path(_ name: String, of list: ImageReference) -> String { "\(directory(list))/\(Self.fileName(name))" }

    private static func fileName(_ name: String) -> String {
        String(
            name.map { character -> Character in
                switch character {
                case ":": "-"
                case "/": "_"
                default: character
                }
            })
    }

    func exists(_ list: ImageReference) -> Bool { Files.isDirectory(directory(list)) }

    /// Nil when the list has no such image, or there is no such list.
    func entry(_ name: ImageReference, of list: ImageReference) throws -> ManifestEntry? {
        let path = path("\(name)", of: list)
        do { return try read(path) } catch let error as SystemError where error.code == ENOENT { return nil }
    }

    /// In the order of their names.
    func entries(of list: ImageReference) throws -> [ManifestEntry] {
        guard exists(list) else { throw Failure("No such manifest: \(list)") }
        return try Files.list(directory(list)).sorted().map { try read("\(directory(list))/\($0)") }
    }

    private func read(_ path: String) throws -> ManifestEntry {
        let bytes = try Files.read(path)
        do { return try ManifestEntry(document: try JSONValue(parsing: bytes)) } catch { throw Failure("\(path): \(message(of: error))") }
    }

    func keep(_ entry: ManifestEntry, of list: ImageReference) throws {
        try Files.makeDirectories(directory(list))
        // As Docker's client writes it: without the white space between.
        let document = try JSONValue(parsing: try entry.document).text()
        try Files.replace(path(entry.name, of: list), with: Array(GoJSON.htmlSafe(document).utf8), mode: 0o644)
    }

    func remove(_ list: ImageReference) throws {
        guard exists(list) else { throw Failure("No such manifest: \(list)") }
        try Files.removeTree(directory(list))
    }
}
