internal import JSON
internal import Linux
public import Logging
public import OCIImageSpec
public import RecordStore
internal import Synchronization

/// All images of one daemon. Thread-safe; every call blocks until its work is done. The lock is held for decisions
/// and records only: hashing, unpacking and removing files happen outside of it.
public final class ImageStore: Sendable {
    /// What the records say of an image; the rest is in its config.
    struct ImageRecord: Codable, Sendable {
        var manifest: Digest
        var topLayer: Digest?
        var parent: Digest?
        /// RFC 3339.
        var taggedAt: String?
    }

    struct ReferenceRecord: Codable, Sendable {
        var image: Digest
    }

    struct StoredImage: Sendable {
        var record: ImageRecord
        let config: ImageConfig
        let layers: [Digest]
    }

    struct State: Sendable {
        var images: [Digest: StoredImage] = [:]
        var references: [ImageReference: Digest] = [:]
        var layers: [Digest: LayerRecord] = [:]
        /// How many leases hold a layer or a blob, by digest.
        var leases: [Digest: Int] = [:]
        /// Images and names that the records have and that can't be used now: a layer or a document is missing. They come
        /// back with what is missing.
        var lostImages: [Digest: ImageRecord] = [:]
        var lostReferences: [ImageReference: Digest] = [:]
    }

    let files: ContentFiles
    let records: RecordStore
    let imageTable: RecordTable<ImageRecord>
    let referenceTable: RecordTable<ReferenceRecord>
    let logger: Logger
    let limits: UnpackLimits
    let blobPolicy: BlobPolicy
    let state = Mutex(State())

    /// Opens the store under `root`, making it when it doesn't exist; cleans up what a crash left.
    public init(root: String, records: RecordStore, logger: Logger, limits: UnpackLimits = .standard, blobPolicy: BlobPolicy = .keep) throws
    {
        self.limits = limits
        self.blobPolicy = blobPolicy
        files = ContentFiles(root: root)
        self.records = records
        self.logger = logger
        imageTable = try records.table("images_image")
        referenceTable = try records.table("images_reference")
        try files.makeDirectories()
        try start()
    }

    // MARK: Looking up

    /// The image of a name (`busybox`, `x:tag`, `x@sha256:…`), an ID or the beginning of one that is unique.
    /// Throws `ImageError.notFound`: `No such image: x:latest`.
    public func image(_ nameOrID: String) throws -> Image { try state.withLock { try makeImage(try resolve(nameOrID, $0).id, $0) } }

    /// All images, newest first. Includes those without a name.
    public func list() -> [Image] {
        let images = state.withLock { state in state.images.keys.compactMap { try? makeImage($0, state) } }
        return images.sorted { ($1.createdAt, $1.id.hex) < ($0.createdAt, $0.id.hex) }
    }

    /// Which image a name or ID means, and the reference by which it was found (nil when it was the ID).
    func resolve(_ text: String, _ state: State) throws -> (id: Digest, reference: ImageReference?) {
        if let digest = try? Digest(text), state.images[digest] != nil { return (digest, nil) }
        if let digest = Digest(sha256Hex: text), state.images[digest] != nil { return (digest, nil) }
        let reference = try? ImageReference(text).withDefaultTag
        if let reference {
            if let id = state.references[reference] { return (id, reference) }
            if let digest = reference.digest, let id = imageWithManifest(digest, named: reference.name, state) {
                return (id, reference.with(digest: digest))
            }
        }
        let hex = text.hasPrefix("sha256:") ? String(text.dropFirst(7)) : text
        if !hex.isEmpty, hex.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }) {
            let matches = state.images.keys.filter { $0.hex.hasPrefix(hex) }
            if matches.count > 1 { throw ImageError(.conflict, "ambiguous image ID: \(text) begins \(matches.count) of them") }
            if let id = matches.first { return (id, nil) }
        }
        if let reference { throw ImageError(.notFound, "No such image: \(reference.familiar)") }
        if text.hasPrefix("sha256:") || Digest(sha256Hex: text) != nil { throw ImageError(.notFound, "No such image: \(text)") }
        do { _ = try ImageReference(text) } catch { throw ImageError(.invalid, error.description) }
        throw ImageError(.notFound, "No such image: \(text)")
    }

    private func imageWithManifest(_ digest: Digest, named name: String, _ state: State) -> Digest? {
        state.references.first { $0.key.name == name && state.images[$0.value]?.record.manifest == digest }?.value
    }

    func makeImage(_ id: Digest, _ state: State) throws -> Image {
        guard let stored = state.images[id] else { throw ImageError(.notFound, "No such image: \(id)") }
        let references = state.references.filter { $0.value == id }.keys
        return Image(
            id: id, config: stored.config, manifestDigest: stored.record.manifest, layers: try layers(stored.layers, state),
            references: references.filter { $0.digest == nil }.sorted(), repoDigests: references.filter { $0.digest != nil }.sorted(),
            createdAt: stored.config.created.flatMap { Timestamp($0) } ?? .never,
            lastTaggedAt: stored.record.taggedAt.flatMap { Timestamp($0) },
            parent: stored.record.parent)
    }

    // MARK: Layers

    /// The unpacked directories, top first: overlayfs' lowerdirs.
    public func layerDirectories(of image: Image) -> [String] { image.layers.reversed().map(\.directory) }

    /// The layer of a chain ID.
    public func layer(_ chainID: Digest) throws -> Layer { try state.withLock { try layer(chainID, $0) } }

    /// The layers of a chain, bottom first, from the topmost one's chain ID; none for nil.
    public func layers(upTo chainID: Digest?) throws -> [Layer] {
        try state.withLock { state in
            var result: [Layer] = []
            var next = chainID
            while let current = next {
                let layer = try layer(current, state)
                result.append(layer)
                next = layer.parent
            }
            return result.reversed()
        }
    }

    func layer(_ chainID: Digest, _ state: State) throws -> Layer {
        guard let record = state.layers[chainID] else { throw ImageError(.notFound, "layer does not exist: \(chainID)") }
        return Layer(record, files)
    }

    func layers(_ chain: [Digest], _ state: State) throws -> [Layer] { try chain.map { try layer($0, state) } }
}
