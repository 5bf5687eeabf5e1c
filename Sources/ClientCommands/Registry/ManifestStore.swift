internal import ClientUI
internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec

/// One image of a list of manifests, in the document of Docker's client: name, descriptor with platform, and the manifest itself.
struct ManifestEntry {
    private(set) var document: JSONValue

    init(document: JSONValue) { self.document = document }

    init(name: ImageReference, mediaType: String, digest: String, bytes: [UInt8], manifest: JSONValue, platform: JSONObject) {
        let descriptor: JSONValue = [
            "mediaType": .string(mediaType), "digest": .string(digest), "size": .integer(Int64(bytes.count)), "platform": .object(platform),
        ]
        document = [
            "Ref": .string("\(name)"), "Descriptor": descriptor, "Raw": .string(Base64.encode(bytes)),
            mediaType == MediaType.ociManifest ? "OCIManifest" : "SchemaV2Manifest": manifest,
        ]
    }

    var name: String { document["Ref"]?.stringValue ?? "" }
    var descriptor: JSONValue { document["Descriptor"] ?? .null }
    var mediaType: String { descriptor["mediaType"]?.stringValue ?? "" }
    var digest: String { descriptor["digest"]?.stringValue ?? "" }
    var bytes: [UInt8] { document["Raw"]?.stringValue.flatMap { Base64.decode($0) } ?? [] }
    var manifest: JSONValue { document["OCIManifest"] ?? document["SchemaV2Manifest"] ?? .null }

    var platform: JSONObject {
        get { descriptor["platform"]?.objectValue ?? JSONObject() }
        set {
            guard var object = document.objectValue, var descriptor = object["Descriptor"]?.objectValue else { return }
            descriptor["platform"] = .object(newValue)
            object["Descriptor"] = .object(descriptor)
            document = .object(object)
        }
    }
}

/// Lists that are being made, in Docker's files: `manifests/LIST/IMAGE` of the configuration's directory.
struct ManifestStore {
    private let root: String

    init(_ context: Context) { root = "\(context.configuration.directory)/manifests" }

    private func directory(_ list: ImageReference) -> String { "\(root)/\(Self.fileName("\(list)"))" }

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

    func entry(_ name: ImageReference, of list: ImageReference) throws -> ManifestEntry {
        let path = "\(directory(list))/\(Self.fileName("\(name)"))"
        do { return ManifestEntry(document: try JSONValue(parsing: try Files.read(path))) } catch let error as SystemError
            where error.code == ENOENT
        {
            throw Failure("No such manifest: \(name)")
        }
    }

    /// In the order of their names.
    func entries(of list: ImageReference) throws -> [ManifestEntry] {
        guard exists(list) else { throw Failure("\(list) not found") }
        return try Files.list(directory(list)).sorted().map { file in
            ManifestEntry(document: try JSONValue(parsing: try Files.read("\(directory(list))/\(file)")))
        }
    }

    func keep(_ entry: ManifestEntry, of list: ImageReference) throws {
        try Files.makeDirectories(directory(list))
        try Files.replace("\(directory(list))/\(Self.fileName(entry.name))", with: entry.document.serialized(), mode: 0o644)
    }

    func remove(_ list: ImageReference) throws {
        guard exists(list) else { throw Failure("No such manifest: \(list)") }
        try Files.removeTree(directory(list))
    }
}
