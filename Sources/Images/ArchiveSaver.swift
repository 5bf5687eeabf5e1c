internal import Archive
internal import JSON
internal import Linux
internal import OCIImageSpec
internal import Synchronization

/// Writes an OCI layout that is also docker save's format: `manifest.json` and `repositories` point into `blobs/`.
struct ArchiveSaver {
    struct Selection {
        let image: Image
        var tags: [ImageReference]
    }

    private let store: ImageStore
    private let writer: TarWriter

    init(store: ImageStore, sink: any ByteSink) {
        self.store = store
        writer = TarWriter(sink)
    }

    func save(_ selections: [Selection]) throws {
        var written: Set<Digest> = []
        var saved: [SavedImage] = []
        var manifests: [Descriptor] = []
        for directory in ["blobs/", "blobs/sha256/"] {
            try writer.add(TarEntry(kind: .directory, path: Array(directory.utf8), mode: 0o755))
        }
        for selection in selections {
            let image = selection.image
            var layerPaths: [String] = []
            let (streams, manifest) = try store.savable(image)
            for (layer, descriptor) in zip(image.layers, streams) {
                if written.insert(descriptor.digest).inserted { try write(layer, descriptor) }
                layerPaths.append(ArchiveLoader.blobPath(descriptor.digest))
            }
            for bytes in [try store.files.read(image.id), manifest] {
                let digest = try ContentHash.digest(of: bytes)
                if written.insert(digest).inserted { try add(ArchiveLoader.blobPath(digest), bytes) }
            }
            manifests += try descriptors(selection, manifest)
            saved.append(
                SavedImage(config: ArchiveLoader.blobPath(image.id), repoTags: selection.tags.map(\.familiar), layers: layerPaths))
        }
        try add("index.json", try JSON.encode(Index(manifests: manifests)))
        try add("manifest.json", try JSON.encode(saved))
        try add("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
        try add("repositories", repositories(selections))
        try writer.finish()
    }

    private func add(_ path: String, _ content: [UInt8]) throws {
        try writer.add(TarEntry(kind: .file, path: Array(path.utf8), mode: 0o644), content: content)
    }

    private func descriptors(_ selection: Selection, _ bytes: [UInt8]) throws -> [Descriptor] {
        let mediaType = (try? JSON.decode(Manifest.self, from: bytes))?.mediaType ?? MediaType.ociManifest
        let plain = Descriptor(
            mediaType: mediaType, digest: try ContentHash.digest(of: bytes), size: Int64(bytes.count),
            platform: selection.image.config.platform)
        if selection.tags.isEmpty { return [plain] }
        return selection.tags.map { tag in
            var descriptor = plain
            descriptor.annotations = ["io.containerd.image.name": tag.description, "org.opencontainers.image.ref.name": tag.tag ?? ""]
            return descriptor
        }
    }

    /// docker's oldest index: repository → tag → topmost layer's name.
    private func repositories(_ selections: [Selection]) -> [UInt8] {
        var result: [String: [String: String]] = [:]
        for selection in selections {
            for tag in selection.tags {
                result[tag.familiarName, default: [:]][tag.tag ?? "latest"] =
                    selection.image.layers.last?.diffID.hex ?? selection.image.id.hex
            }
        }
        return (try? JSON.encode(result)) ?? Array("{}".utf8)
    }

    // MARK: Layers

    /// Writes the stream that came, or the plain one, made again.
    private func write(_ layer: Layer, _ descriptor: Descriptor) throws {
        let entry = {
            var entry = TarEntry(kind: .file, path: Array(ArchiveLoader.blobPath(descriptor.digest).utf8), mode: 0o644)
            entry.size = descriptor.size
            return entry
        }()
        try writer.add(entry)
        let sink = EntrySink(writer)
        if descriptor.digest == layer.diffID { return try store.writeStream(of: layer, to: sink) }
        // Never pass on, under a digest, what no longer has it.
        let hashing = try HashSink(next: sink)
        try store.copy(blob: descriptor.digest, to: hashing)
        guard hashing.hash.count == descriptor.size, hashing.hash.finish() == descriptor.digest else {
            throw ImageError(.damaged, "stream \(descriptor.digest) of layer \(layer.chainID) is not what it was")
        }
    }
}

/// An archive's current entry as a sink.
private final class EntrySink: ByteSink {
    private let writer: TarWriter

    init(_ writer: TarWriter) { self.writer = writer }

    func write(_ bytes: UnsafeRawBufferPointer) throws { try writer.write(bytes) }

    func finish() throws {}
}
