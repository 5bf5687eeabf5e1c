internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
internal import OCIImageSpec

/// A repository's `index.json`: its manifests and their tags. A manifest with several tags stands there once for each, one
/// without tags once without a name; so other tools find each by its tag or digest.
///
/// A manifest's subject is kept in an annotation of its descriptor, its artifact type and annotations where the image
/// specification has them, so that referrers are found without reading manifests. What other tools have written into a layout
/// is completed from the manifests themselves (`FileStorage.index`).
struct RepositoryIndex: Sendable {
    var manifests: [Digest: ManifestEntry] = [:]
    /// The digest that each tag names.
    var tags: [String: Digest] = [:]
    /// Manifests that stand there without our annotation: their subjects aren't known yet.
    var unread: Set<Digest> = []

    static let tagKey = "org.opencontainers.image.ref.name"
    /// The subject's digest; empty when there is none.
    private static let subjectKey = "org.clipper.registry.subject"

    init() {}

    init(parsing bytes: [UInt8]) throws {
        for descriptor in try JSONValue(parsing: bytes)["manifests"]?.arrayValue ?? [] {
            guard let text = descriptor["digest"]?.stringValue, let digest = try? Digest(text) else { continue }
            var annotations: [String: String] = [:]
            for member in descriptor["annotations"]?.objectValue?.members ?? [] { annotations[member.name] = member.value.stringValue }
            let tag = annotations.removeValue(forKey: Self.tagKey)
            let subject = annotations.removeValue(forKey: Self.subjectKey)
            var entry =
                manifests[digest]
                ?? ManifestEntry(
                    digest: digest, mediaType: descriptor["mediaType"]?.stringValue ?? MediaType.ociManifest,
                    size: Int(descriptor["size"]?.intValue ?? 0), subject: subject.flatMap { try? Digest($0) },
                    artifactType: descriptor["artifactType"]?.stringValue, annotations: annotations)
            if subject == nil { unread.insert(digest) }
            if let tag {
                entry.tags.insert(tag)
                tags[tag] = digest
            }
            manifests[digest] = entry
        }
    }

    func serialized() -> [UInt8] {
        var descriptors: [JSONValue] = []
        for entry in manifests.values.sorted(by: { $0.digest < $1.digest }) {
            if entry.tags.isEmpty { descriptors.append(descriptor(entry, tag: nil)) }
            for tag in entry.tags.sorted() { descriptors.append(descriptor(entry, tag: tag)) }
        }
        let document: JSONValue = ["schemaVersion": 2, "mediaType": .string(MediaType.ociIndex), "manifests": .array(descriptors)]
        return document.serialized()
    }

    private func descriptor(_ entry: ManifestEntry, tag: String?) -> JSONValue {
        var object = entry.descriptor
        var annotations = JSONObject(entry.annotations.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: .string($0.value)) })
        if let tag { annotations[Self.tagKey] = .string(tag) }
        if !unread.contains(entry.digest) { annotations[Self.subjectKey] = .string(entry.subject?.description ?? "") }
        object["annotations"] = annotations.isEmpty ? nil : .object(annotations)
        return .object(object)
    }

    // MARK: Changes

    mutating func insert(_ manifest: ManifestEntry, tags new: [String]) {
        unread.remove(manifest.digest)
        var entry = manifest
        entry.tags = manifests[manifest.digest]?.tags ?? []
        manifests[manifest.digest] = entry
        for tag in new {
            untag(tag)
            tags[tag] = manifest.digest
            manifests[manifest.digest]?.tags.insert(tag)
        }
    }

    mutating func untag(_ tag: String) {
        guard let digest = tags.removeValue(forKey: tag) else { return }
        manifests[digest]?.tags.remove(tag)
    }

    /// False when it isn't there.
    mutating func remove(_ digest: Digest) -> Bool {
        guard let entry = manifests.removeValue(forKey: digest) else { return false }
        for tag in entry.tags { tags[tag] = nil }
        unread.remove(digest)
        return true
    }
}

extension ManifestEntry {
    /// Its descriptor (image spec, "Descriptors"), annotations included.
    var descriptor: JSONObject {
        var object = JSONObject()
        object.append("mediaType", .string(mediaType))
        object.append("digest", .string(digest.description))
        object.append("size", .integer(Int64(size)))
        if let artifactType { object.append("artifactType", .string(artifactType)) }
        if !annotations.isEmpty {
            object.append(
                "annotations",
                .object(JSONObject(annotations.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: .string($0.value)) })))
        }
        return object
    }

    /// Takes subject, artifact type and annotations from the manifest itself. Type as the referrers API wants it: a manifest
    /// without `artifactType` has its config's media type, an index without has none.
    mutating func complete(from document: JSONValue) {
        subject = document["subject"]?["digest"]?.stringValue.flatMap { try? Digest($0) }
        let own = document["artifactType"]?.stringValue
        artifactType = own?.isEmpty ?? true ? document["config"]?["mediaType"]?.stringValue : own
        annotations = [:]
        for member in document["annotations"]?.objectValue?.members ?? [] { annotations[member.name] = member.value.stringValue }
    }
}

/// The indexes read last, each with what tells whether its file is still the same.
struct IndexCache {
    struct Signature: Equatable {
        let inode: UInt
        let size: Int
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            inode = UInt(status.st_ino)
            size = Int(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    private var entries: [String: (signature: Signature, index: RepositoryIndex, used: UInt64)] = [:]
    private var clock: UInt64 = 0
    private static let capacity = 128

    mutating func find(_ name: String, _ signature: Signature) -> RepositoryIndex? {
        guard let entry = entries[name], entry.signature == signature else { return nil }
        clock += 1
        entries[name]?.used = clock
        return entry.index
    }

    mutating func keep(_ name: String, _ signature: Signature, _ index: RepositoryIndex) {
        clock += 1
        if entries.count >= Self.capacity, entries[name] == nil, let oldest = entries.min(by: { $0.value.used < $1.value.used }) {
            entries[oldest.key] = nil
        }
        entries[name] = (signature, index, clock)
    }
}
