public import Linux
public import OCIImageSpec

/// An image as the store knows it; a copy that doesn't change.
public struct Image: Sendable, Hashable {
    /// The digest of its config: what people call the image's ID.
    public let id: Digest
    public let config: ImageConfig
    /// The digest of its manifest.
    public let manifestDigest: Digest
    /// Bottom first.
    public let layers: [Layer]
    /// Names with tags, sorted.
    public let references: [ImageReference]
    /// Names by manifest digest, sorted: where it was pulled from or pushed to.
    public let repoDigests: [ImageReference]
    /// When it was made, from its config; `Timestamp.never` when that doesn't say.
    public let createdAt: Timestamp
    /// When it last got a name here.
    public let lastTaggedAt: Timestamp?
    /// The image it was built on, when it was built here.
    public let parent: Digest?

    /// Bytes of all files in all layers.
    public var size: Int64 { layers.reduce(0) { $0 + $1.size } }
    /// The chain ID of its topmost layer; nil for an image without layers.
    public var topLayer: Digest? { layers.last?.chainID }
}

/// One unpacked, read-only layer.
public struct Layer: Sendable, Hashable {
    /// Digest of the layer's uncompressed tar stream.
    public let diffID: Digest
    /// Digest of this layer and all below (OCI image spec, "Layer ChainID"): its name in the store.
    public let chainID: Digest
    /// Chain ID of the layer below.
    public let parent: Digest?
    /// The unpacked directory, absolute: a lowerdir for overlayfs.
    public let directory: String
    /// Bytes of its regular files.
    public let size: Int64
    /// Bytes of its uncompressed tar stream.
    public let tarSize: Int64
}

/// One line of an image's history.
public struct ImageHistoryLine: Sendable, Hashable {
    /// Known only where an image of this store has just these layers and this history, and for the topmost line.
    public let id: Digest?
    public let created: Timestamp
    public let createdBy: String
    public let comment: String
    /// Names of the image `id`.
    public let references: [ImageReference]
    /// Bytes of the layer that it made, 0 for a change of configuration.
    public let size: Int64
}

/// One step of a deletion, in the order in which it was done.
public enum ImageDeletionStep: Sendable, Hashable {
    /// A name was taken away.
    case untagged(ImageReference)
    /// An image's config, or a layer nobody else used (by chain ID), was deleted.
    case deleted(Digest)
}

/// A container that uses an image, as the engine tells the store.
public struct ImageUser: Sendable, Hashable {
    /// The container's ID.
    public let containerID: String
    public let isRunning: Bool

    public init(containerID: String, isRunning: Bool) {
        self.containerID = containerID
        self.isRunning = isRunning
    }
}

/// An image that `load` found in an archive.
public struct LoadedImage: Sendable, Hashable {
    public let id: Digest
    /// Names that it got; empty for an image without names.
    public let references: [ImageReference]
    /// What the names that are others' now meant before.
    public let replaced: [ImageReference: Digest]
    /// It was here, and could not be used because something of it was missing; now it can.
    public let wasDamaged: Bool
}
