internal import Archive
internal import JSON
internal import Linux
internal import OCIImageSpec

/// docker save's `manifest.json`: one element for each image.
struct SavedImage: Codable, Sendable {
    var config: String
    var repoTags: [String]?
    /// Paths in the archive, bottom first.
    var layers: [String]

    enum CodingKeys: String, CodingKey {
        case config = "Config"
        case repoTags = "RepoTags"
        case layers = "Layers"
    }
}

/// Reads an image archive in one pass: what looks like a document is kept, everything else is unpacked as a layer while
/// it streams by, because the documents that say what it is mostly come last.
final class ArchiveLoader {
    /// A file of the archive.
    private enum Member {
        case document([UInt8])
        case layer(IngestedLayer)
        /// A layer of this diff ID, which the store has; it was skipped.
        case known(Digest)
        case link(String)
        /// Not a layer. Matters only if an image names it.
        case failed(any Error)
    }

    /// An image as the archive describes it, with the members that are its layers.
    struct Plan {
        var configBytes: [UInt8]
        var manifestBytes: [UInt8]?
        var layerPaths: [String]
        var tags: [ImageReference]
    }

    /// Larger ones are no configs and manifests of anybody.
    private static let documentLimit: Int64 = 8 << 20

    private let store: ImageStore
    /// Only images for this platform; nil for all, and of an index for this machine's.
    private let platform: Platform?
    private var members: [String: Member] = [:]
    private var documentBytes: Int64 = 0
    /// Holds what the archive's images are made of until they are recorded: layers that were here, and those taken.
    private let lease: LayerLease

    init(store: ImageStore, platform: Platform? = nil) {
        self.store = store
        self.platform = platform
        lease = LayerLease(store: store)
    }

    /// Removes what was unpacked and not taken.
    func discard() {
        for case .layer(let layer) in members.values { try? Files.removeTree(layer.workDirectory) }
    }

    // MARK: Reading

    func read(_ source: any ByteSource) throws {
        do {
            let reader = TarReader(try DecompressingSource(source, limits: store.limits), limits: store.limits.archive)
            while let entry = try reader.next() { try read(entry, reader) }
            try reader.drain()
        } catch let error as ArchiveError {
            throw ImageError(error.code == .unsupported ? .notImplemented : .invalid, "invalid archive: \(error)")
        }
    }

    private func read(_ entry: TarEntry, _ reader: TarReader) throws {
        guard let path = Self.clean(entry.pathText) else { throw ImageError(.invalid, "invalid archive: path \(entry.pathText)") }
        switch entry.kind {
        case .file: members[path] = try readFile(path, entry, reader)
        case .symbolicLink:
            let base = path.split(separator: "/").dropLast().joined(separator: "/")
            members[path] = Self.clean("\(base)/\(entry.linkTargetText)").map { .link($0) }
        case .hardLink: members[path] = Self.clean(entry.linkTargetText).map { .link($0) }
        default: break
        }
    }

    private func readFile(_ path: String, _ entry: TarEntry, _ reader: TarReader) throws -> Member {
        if let known = knownBlob(path) { return .known(known) }
        guard entry.sparseMap == nil else { return .failed(ImageError(.invalid, "invalid archive: \(path) is a sparse file")) }
        let source = EntrySource(reader)
        let first = try source.peek()
        let name = path.split(separator: "/").last ?? ""
        let isDocument =
            first == UInt8(ascii: "{") || first == UInt8(ascii: "[") || entry.size < 512 || name == "json" || name.hasSuffix(".json")
        if isDocument && entry.size <= Self.documentLimit {
            documentBytes += entry.size
            guard documentBytes <= store.limits.documentBytes else {
                throw ImageError(.invalid, "invalid archive: more than \(store.limits.documentBytes) bytes of documents")
            }
            return .document(try source.readAll())
        }
        do { return .layer(try store.ingest(source)) } catch {
            // The outer stream's end is everybody's; a file that is no layer is only the matter of who wants it as one.
            if let error = error as? ArchiveError, error.code != .truncated || !source.isBroken { return .failed(error) }
            throw error
        }
    }

    /// `blobs/sha256/<hex>` of a layer that is here already.
    private func knownBlob(_ path: String) -> Digest? {
        let parts = path.split(separator: "/")
        guard parts.count == 3, parts[0] == "blobs", let digest = try? Digest("\(parts[1]):\(parts[2])") else { return nil }
        return store.layerRecord(stream: digest, under: lease)?.diffID
    }

    /// Without `.`, empty and `..` components; nil when it leads out.
    private static func clean(_ path: String) -> String? {
        var result: [Substring] = []
        for part in path.split(separator: "/") where part != "." {
            if part != ".." { result.append(part) } else if result.popLast() == nil { return nil }
        }
        return result.joined(separator: "/")
    }

    private func member(_ path: String) -> Member? {
        var next = Self.clean(path)
        for _ in 0..<16 {
            guard let name = next, let member = members[name] else { return nil }
            guard case .link(let target) = member else { return member }
            next = target
        }
        return nil
    }

    private func document(_ path: String) throws -> [UInt8] {
        guard case .document(let bytes)? = member(path) else { throw ImageError(.invalid, "invalid archive: \(path) is missing") }
        return bytes
    }

    private func parse<T: Decodable>(_ type: T.Type, _ path: String) throws -> T {
        let bytes = try document(path)
        do { return try JSON.decode(type, from: bytes) } catch {
            throw ImageError(.invalid, "invalid archive: \(path): \((error as? DecodingError)?.summary ?? "\(error)")")
        }
    }

    // MARK: Plans

    /// What the archive holds, for the platform that is wanted.
    func plans() throws -> [Plan] {
        let plans = try allPlans()
        guard let platform else { return plans }
        let fitting = try plans.filter { try ImageStore.parseConfig($0.configBytes).platform.satisfies(platform) }
        if fitting.isEmpty { throw ImageError(.invalid, "invalid archive: no image for \(platform)") }
        return fitting
    }

    private func allPlans() throws -> [Plan] {
        // Of one that tells both ways, the index alone tells of several platforms.
        if members["manifest.json"] != nil && (platform == nil || members["index.json"] == nil) { return try savedPlans() }
        if members["index.json"] != nil { return try layoutPlans() }
        if members["repositories"] != nil {
            throw ImageError(.notImplemented, "not implemented: archives of docker save before 1.10, which have no manifest.json")
        }
        throw ImageError(.invalid, "invalid archive: does not contain a manifest.json or index.json")
    }

    private func savedPlans() throws -> [Plan] {
        let manifests = try manifestsByConfig()
        return try parse([SavedImage].self, "manifest.json").map { saved in
            let config = try document(saved.config)
            let tags = try (saved.repoTags ?? []).map { text in
                do { return try ImageReference(text) } catch { throw ImageError(.invalid, "invalid archive: name \(text): \(error)") }
            }
            let manifest = try manifests[ContentHash.digest(of: config)]
            return Plan(configBytes: config, manifestBytes: manifest, layerPaths: saved.layers, tags: tags)
        }
    }

    /// Newer archives carry the registry's manifests beside `manifest.json`: kept, so that an image keeps its digest.
    private func manifestsByConfig() throws -> [Digest: [UInt8]] {
        guard members["index.json"] != nil else { return [:] }
        var result: [Digest: [UInt8]] = [:]
        for descriptor in try parse(Index.self, "index.json").manifests {
            guard case .document(let bytes)? = member(Self.blobPath(descriptor.digest)),
                let manifest = try? JSON.decode(Manifest.self, from: bytes),
                try ContentHash.digest(of: bytes) == descriptor.digest
            else { continue }
            result[manifest.config.digest] = bytes
        }
        return result
    }

    private func layoutPlans() throws -> [Plan] {
        var plans: [Plan] = []
        for descriptor in try parse(Index.self, "index.json").manifests {
            let name = descriptor.annotations?["io.containerd.image.name"] ?? descriptor.annotations?["org.opencontainers.image.ref.name"]
            // `latest` alone names no repository.
            let tags = name.flatMap { $0.contains("/") || $0.contains(":") ? try? ImageReference($0) : nil }
            if let plan = try layoutPlan(descriptor, tags.map { [$0] } ?? [], depth: 0) { plans.append(plan) }
        }
        if plans.isEmpty { throw ImageError(.invalid, "invalid archive: no image for \(platform ?? .host)") }
        return plans
    }

    private func layoutPlan(_ descriptor: Descriptor, _ tags: [ImageReference], depth: Int) throws -> Plan? {
        let bytes = try verified(descriptor)
        if MediaType.indexes.contains(descriptor.mediaType) {
            guard depth < 4 else { throw ImageError(.invalid, "invalid archive: indexes nested too deep") }
            let index = try decode(Index.self, bytes, descriptor)
            return try (platform ?? .host).choose(from: index.manifests).flatMap { try layoutPlan($0, tags, depth: depth + 1) }
        }
        guard MediaType.manifests.contains(descriptor.mediaType) else { return nil }
        let manifest = try decode(Manifest.self, bytes, descriptor)
        return Plan(
            configBytes: try verified(manifest.config), manifestBytes: bytes, layerPaths: manifest.layers.map { Self.blobPath($0.digest) },
            tags: tags)
    }

    private func verified(_ descriptor: Descriptor) throws -> [UInt8] {
        let bytes = try document(Self.blobPath(descriptor.digest))
        guard try ContentHash.digest(of: bytes) == descriptor.digest else {
            throw ImageError(.invalid, "invalid archive: content of \(descriptor.digest) has another digest")
        }
        return bytes
    }

    private func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], _ descriptor: Descriptor) throws -> T {
        do { return try JSON.decode(type, from: bytes) } catch {
            throw ImageError(.invalid, "invalid archive: \(descriptor.digest): \((error as? DecodingError)?.summary ?? "\(error)")")
        }
    }

    static func blobPath(_ digest: Digest) -> String { "blobs/\(digest.algorithm.rawValue)/\(digest.hex)" }

    // MARK: Layers

    /// Checks every layer against the config before the first one is taken.
    func check(_ plan: Plan) throws -> ImageConfig {
        let config = try ImageStore.parseConfig(plan.configBytes)
        let diffIDs = config.rootfs.diffIDs
        guard diffIDs.count == plan.layerPaths.count else {
            throw ImageError(.invalid, "invalid archive: config names \(diffIDs.count) layers, manifest \(plan.layerPaths.count)")
        }
        for (index, path) in plan.layerPaths.enumerated() {
            let diffID = try diffID(path)
            guard diffID == diffIDs[index] else {
                throw ImageError(.invalid, "invalid diffID for layer \(index): expected \"\(diffIDs[index])\", got \"\(diffID)\"")
            }
            if path.hasPrefix("blobs/"), case .layer(let layer)? = member(path), Self.blobPath(layer.blob.digest) != path {
                throw ImageError(.invalid, "invalid archive: content of \(path) has digest \(layer.blob.digest)")
            }
        }
        return config
    }

    private func diffID(_ path: String) throws -> Digest {
        switch member(path) {
        case .layer(let layer): return layer.diffID
        case .known(let diffID): return diffID
        case .failed(let error): throw ImageError(.invalid, "invalid archive: layer \(path): \(error)")
        case .document(let bytes):
            // A layer so small that it looked like a document.
            let layer = try ingest(MemorySource(bytes), path)
            return layer.diffID
        case .link, nil: throw ImageError(.invalid, "invalid archive: layer \(path) is missing")
        }
    }

    private func ingest(_ source: any ByteSource, _ path: String) throws -> IngestedLayer {
        do {
            let layer = try store.ingest(source)
            members[Self.clean(path) ?? path] = .layer(layer)
            return layer
        } catch let error as ArchiveError { throw ImageError(.invalid, "invalid archive: layer \(path): \(error)") }
    }

    /// Puts all that was unpacked on the disk, once for all images.
    func flush(_ plans: [Plan]) throws {
        var described: Set<String> = []
        for plan in plans {
            var parent: Digest?
            for path in plan.layerPaths {
                let chainID = try Layer.chainID(try diffID(path), on: parent)
                // One that two images have on different parents goes to the first, and the second gets a copy.
                if case .layer(let layer)? = member(path), described.insert(layer.workDirectory).inserted {
                    try store.files.describe(try store.record(layer, parent: parent), in: layer.workDirectory)
                }
                parent = chainID
            }
        }
        if !described.isEmpty { try store.files.flush() }
    }

    /// Takes the layers into the store, bottom first.
    func takeLayers(_ plan: Plan) throws -> [Layer] {
        var layers: [Layer] = []
        for path in plan.layerPaths {
            let layer = try takeLayer(path, parent: layers.last?.chainID)
            layers.append(layer)
        }
        try store.files.settle()
        return layers
    }

    private func takeLayer(_ path: String, parent: Digest?) throws -> Layer {
        switch member(path) {
        case .layer(let layer):
            // Once in the store it is found by its digest, should another image have it on another parent.
            for (name, value) in members {
                if case .layer(let other) = value, other.workDirectory == layer.workDirectory { members[name] = .known(layer.diffID) }
            }
            return try store.takeFlushed(layer, parent: parent, under: lease)
        case .known(let diffID): return try store.copyLayer(diffID, on: parent, under: lease)
        default: throw ImageError(.invalid, "invalid archive: layer \(path) is missing")
        }
    }
}

/// The current entry's data as a source.
private final class EntrySource: ByteSource {
    private let reader: TarReader
    /// What was read to look at, and is not given out yet.
    private var head: [UInt8] = []
    /// The archive around it ended or failed.
    private(set) var isBroken = false

    init(_ reader: TarReader) { self.reader = reader }

    /// The first byte; 0 for an empty entry.
    func peek() throws -> UInt8 {
        head = [0]
        let count = try head.withUnsafeMutableBytes { try reader.read(into: $0) }
        head.removeLast(1 - count)
        return head.first ?? 0
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if let first = head.popLast() {
            buffer[0] = first
            return 1
        }
        do { return try reader.read(into: buffer) } catch {
            isBroken = true
            throw error
        }
    }

    func readAll() throws -> [UInt8] {
        var result = head
        while try reader.withData({ result.append(contentsOf: $0) }) != nil {}
        return result
    }
}
