public import Logging
public import OCIImageSpec
public import RecordStore

/// All images of one daemon. Thread-safe; every call blocks until its work is done.
public final class ImageStore: Sendable {
    /// Opens the store under `root`, making it when it doesn't exist; cleans up what a crash left.
    public init(root: String, records: RecordStore, logger: Logger) throws {}

    /// The image of a name (`busybox`, `x:tag`, `x@sha256:…`), an ID or the beginning of one that is unique.
    /// Throws `ImageError.notFound`: `No such image: x:latest`.
    public func image(_ nameOrID: String) throws -> Image { throw ImageError(.notImplemented, "not implemented: image") }

    /// All images, newest first. Includes those without a name.
    public func list() -> [Image] { [] }

    /// The unpacked directories, top first: overlayfs' lowerdirs.
    public func layerDirectories(of image: Image) -> [String] { image.layers.reversed().map(\.directory) }

    /// The layer of a chain ID.
    public func layer(_ chainID: Digest) throws -> Layer { throw ImageError(.notImplemented, "not implemented: layer") }

    /// The layers of a chain, bottom first, from the topmost one's chain ID.
    public func layers(upTo chainID: Digest?) throws -> [Layer] { throw ImageError(.notImplemented, "not implemented: layers") }

    /// A new empty directory on the store's file system for a writable layer that `adoptLayer` may take. The caller
    /// removes it when it is not adopted; what is left over goes at the next start.
    public func makeScratchDirectory() throws -> String { throw ImageError(.notImplemented, "not implemented: makeScratchDirectory") }

    /// Makes an overlayfs upper directory the next layer on `parent` (a chain ID). The directory is moved into the store
    /// (it must be on the same file system and is gone afterwards, also when the store has the same layer already).
    public func adoptLayer(directory: String, parent: Digest?) throws -> Layer { throw ImageError(.notImplemented, "not implemented: adoptLayer") }

    /// Takes a layer's tar stream, plain, gzip or zstd, from a descriptor until its end, and unpacks it on `parent`.
    public func importLayer(from descriptor: Int32, parent: Digest?) throws -> Layer {
        throw ImageError(.notImplemented, "not implemented: importLayer")
    }

    /// Records an image over layers of this store. `config.rootfs` is filled in from the layers. `parent` is the image
    /// it was built on. Each tag is taken from the image that had it.
    public func createImage(config: ImageConfig, layers: [Layer], parent: Digest? = nil, tags: [ImageReference] = []) throws -> Image {
        throw ImageError(.notImplemented, "not implemented: createImage")
    }

    /// docker import: a root file system's tar stream as an image of one layer.
    public func importRootfs(
        from descriptor: Int32, config: RunConfig?, message: String, platform: Platform = .host, reference: ImageReference?
    ) throws -> Image { throw ImageError(.notImplemented, "not implemented: importRootfs") }

    /// Reads an archive of `docker save` (old or new form) or an OCI layout, plain, gzip or zstd. All images or none.
    /// `progress` gets the bytes read so far.
    public func load(from descriptor: Int32, progress: ((Int64) -> Void)? = nil) throws -> [LoadedImage] {
        throw ImageError(.notImplemented, "not implemented: load")
    }

    /// Writes an archive that `docker load`, skopeo and every OCI tool read. `names` as `image(_:)` takes them.
    public func save(names: [String], to descriptor: Int32) throws { throw ImageError(.notImplemented, "not implemented: save") }

    /// Gives an image another name. A name without a tag means `latest`.
    public func tag(_ nameOrID: String, as reference: ImageReference) throws { throw ImageError(.notImplemented, "not implemented: tag") }

    /// docker rmi. `users` tells which containers use an image (by its ID).
    public func delete(_ nameOrID: String, force: Bool = false, noPrune: Bool = false, users: (Digest) -> [ImageUser] = { _ in [] }) throws
        -> [ImageDeletionStep]
    { throw ImageError(.notImplemented, "not implemented: delete") }

    /// docker image prune: images without a name (with `all`, also named ones) that no container uses and for which
    /// `matches` says yes. Returns the steps and the bytes freed.
    public func prune(all: Bool = false, users: (Digest) -> [ImageUser] = { _ in [] }, matching matches: (Image) -> Bool = { _ in true }) throws
        -> (steps: [ImageDeletionStep], reclaimed: Int64)
    { throw ImageError(.notImplemented, "not implemented: prune") }

    /// docker history, newest line first.
    public func history(of image: Image) -> [ImageHistoryLine] { [] }

    /// Protects layers from deletion until the lease goes away.
    public func lease(_ layers: [Layer]) throws -> LayerLease { throw ImageError(.notImplemented, "not implemented: lease") }
}

/// Keeps layers from being deleted for as long as it lives, or until `end`.
public final class LayerLease: Sendable {
    private let onEnd: @Sendable () -> Void

    init(onEnd: @escaping @Sendable () -> Void) { self.onEnd = onEnd }

    deinit { onEnd() }
}
