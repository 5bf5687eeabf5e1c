internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec
internal import Synchronization

/// Repositories on disk: `repositories/NAME/_layout` is an OCI image layout (`oci-layout`, `index.json`, `blobs`).
/// No component of a repository name may begin with `_`, so layouts and nested names never meet.
///
/// A blob is written elsewhere, fsynced, and then linked to its name; `index.json` is replaced whole. So a crash leaves
/// either the old or the new state. Changes of an index are made one at a time.
final class RegistryStore: Sendable {
    private let root: String
    private let changing = Mutex(())

    init(root: String) throws {
        self.root = root
        try Files.makeDirectories("\(root)/repositories")
    }

    private func layout(_ name: String) -> String { "\(root)/repositories/\(name)/_layout" }

    func blobPath(_ name: String, _ digest: Digest) -> String { "\(layout(name))/blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }

    func hasBlob(_ name: String, _ digest: Digest) -> Bool { Files.exists(blobPath(name, digest)) }

    private func prepare(_ name: String, _ algorithm: Digest.Algorithm) throws {
        try Files.makeDirectories("\(layout(name))/blobs/\(algorithm.rawValue)")
        let marker = "\(layout(name))/oci-layout"
        if !Files.exists(marker) { try Files.replace(marker, with: Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8), mode: 0o644) }
    }

    /// Gives a durable file its place as a blob. The file's name goes away.
    func adopt(_ file: String, as digest: Digest, in name: String) throws {
        try prepare(name, digest.algorithm)
        let path = blobPath(name, digest)
        _ = try retrying("rename", path) { rename(file, path) }
        try Files.syncDirectory(Files.parent(of: path))
    }

    /// Makes a blob of one repository one of another, sharing its storage. False when the source doesn't have it.
    func mount(_ digest: Digest, from source: String, to name: String) throws -> Bool {
        let (old, new) = (blobPath(source, digest), blobPath(name, digest))
        guard Files.exists(old) else { return false }
        try prepare(name, digest.algorithm)
        if link(old, new) != 0 && errno != EEXIST { throw SystemError("link", new) }
        try Files.syncDirectory(Files.parent(of: new))
        return true
    }

    func removeBlob(_ name: String, _ digest: Digest) throws {
        guard unlink(blobPath(name, digest)) == 0 else { throw RegistryError.unknownBlob(digest) }
    }

    // MARK: Manifests

    private static let tagKey = "org.opencontainers.image.ref.name"

    /// The descriptors in a repository's index; nil when there is no such repository.
    private func index(_ name: String) throws -> [JSONValue]? {
        let bytes: [UInt8]
        do { bytes = try Files.read("\(layout(name))/index.json") } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return Files.isDirectory(layout(name)) ? [] : nil }
            throw error
        }
        return try JSONValue(parsing: bytes)["manifests"]?.arrayValue ?? []
    }

    private func writeIndex(_ name: String, _ descriptors: [JSONValue]) throws {
        let document: JSONValue = [
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": .array(descriptors),
        ]
        try Files.replace("\(layout(name))/index.json", with: document.serialized(), mode: 0o644)
    }

    private static func tag(of descriptor: JSONValue) -> String? { descriptor["annotations"]?[tagKey]?.stringValue }

    private static func matches(_ descriptor: JSONValue, _ reference: RegistryPath.Reference) -> Bool {
        switch reference {
        case .tag(let wanted): tag(of: descriptor) == wanted
        case .digest(let digest): descriptor["digest"]?.stringValue == digest.description
        }
    }

    /// The digest and media type a tag or digest stands for.
    func find(_ name: String, _ reference: RegistryPath.Reference) throws -> (digest: Digest, mediaType: String) {
        guard let descriptors = try index(name) else { throw RegistryError.unknownName(name) }
        guard let found = descriptors.first(where: { Self.matches($0, reference) }), let text = found["digest"]?.stringValue else {
            throw RegistryError.unknownManifest(reference)
        }
        return (try RegistryPath.digest(text), found["mediaType"]?.stringValue ?? "application/vnd.oci.image.manifest.v1+json")
    }

    /// Stores a manifest, and its tag. A tag that existed moves; what it named stays reachable by digest.
    func putManifest(_ name: String, _ bytes: [UInt8], _ digest: Digest, mediaType: String, tag: String?) throws {
        try changing.withLock { _ in
            try prepare(name, digest.algorithm)
            let path = blobPath(name, digest)
            if !Files.exists(path) { try Files.replace(path, with: bytes, mode: 0o644) }
            var descriptors = try index(name) ?? []
            var plain: JSONObject = JSONObject()
            plain.append("mediaType", .string(mediaType))
            plain.append("digest", .string(digest.description))
            plain.append("size", .integer(Int64(bytes.count)))
            var moved: JSONValue?
            descriptors.removeAll { descriptor in
                if let tag, Self.tag(of: descriptor) == tag {
                    moved = descriptor
                    return true
                }
                return descriptor["digest"]?.stringValue == digest.description && (Self.tag(of: descriptor) == nil)
            }
            if case .object(var object)? = moved, object["digest"]?.stringValue != digest.description,
                !descriptors.contains(where: { $0["digest"] == object["digest"] })
            {
                object["annotations"] = nil
                descriptors.append(.object(object))
            }
            if let tag { plain.append("annotations", [Self.tagKey: .string(tag)]) }
            if tag != nil || !descriptors.contains(where: { $0["digest"]?.stringValue == digest.description }) {
                descriptors.append(.object(plain))
            }
            try writeIndex(name, descriptors)
        }
    }

    /// By tag: the tag goes, the manifest stays reachable by digest. By digest: the manifest and all its tags go.
    func removeManifest(_ name: String, _ reference: RegistryPath.Reference) throws {
        try changing.withLock { _ in
            guard var descriptors = try index(name) else { throw RegistryError.unknownName(name) }
            guard let found = descriptors.first(where: { Self.matches($0, reference) }) else {
                throw RegistryError.unknownManifest(reference)
            }
            descriptors.removeAll { Self.matches($0, reference) }
            if case .tag = reference, case .object(var object) = found, !descriptors.contains(where: { $0["digest"] == object["digest"] }) {
                object["annotations"] = nil
                descriptors.append(.object(object))
            }
            try writeIndex(name, descriptors)
            if case .digest(let digest) = reference { _ = unlink(blobPath(name, digest)) }
        }
    }

    func tags(_ name: String) throws -> [String] {
        guard let descriptors = try index(name) else { throw RegistryError.unknownName(name) }
        return descriptors.compactMap { Self.tag(of: $0) }
    }

    /// All repositories that have an index.
    func repositories() throws -> [String] {
        var found: [String] = []
        func walk(_ name: String) throws {
            let directory = name.isEmpty ? "\(root)/repositories" : "\(root)/repositories/\(name)"
            for entry in try Files.list(directory) where Files.isDirectory("\(directory)/\(entry)") {
                if entry == "_layout" {
                    if Files.exists("\(directory)/_layout/index.json") { found.append(name) }
                } else {
                    try walk(name.isEmpty ? entry : "\(name)/\(entry)")
                }
            }
        }
        try walk("")
        return found
    }
}
