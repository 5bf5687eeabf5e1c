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
            for (layer, descriptor) in zip(image.layers, try store.streams(of: image)) {
                if written.insert(descriptor.digest).inserted { try write(layer, descriptor) }
                layerPaths.append(ArchiveLoader.blobPath(descriptor.digest))
            }
            for digest in [image.id, image.manifestDigest] where written.insert(digest).inserted {
                try add(ArchiveLoader.blobPath(digest), try store.files.read(digest))
            }
            manifests += try descriptors(selection)
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

    private func descriptors(_ selection: Selection) throws -> [Descriptor] {
        let bytes = try store.files.read(selection.image.manifestDigest)
        let mediaType = (try? JSON.decode(Manifest.self, from: bytes))?.mediaType ?? MediaType.ociManifest
        let plain = Descriptor(
            mediaType: mediaType, digest: selection.image.manifestDigest, size: Int64(bytes.count),
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

    /// Writes a layer's stream: the one that came, or what the directory makes, which is then hashed beside.
    private func write(_ layer: Layer, _ descriptor: Descriptor) throws {
        let entry = {
            var entry = TarEntry(kind: .file, path: Array(ArchiveLoader.blobPath(descriptor.digest).utf8), mode: 0o644)
            entry.size = descriptor.size
            return entry
        }()
        try writer.add(entry)
        let hashing = try HashSink(next: EntrySink(writer))
        if Files.exists(store.files.blob(descriptor.digest)) {
            try copy(store.files.blob(descriptor.digest), to: hashing)
        } else {
            do { try ImageStore.archive(layer.directory, to: hashing) } catch let error as ArchiveError where error.code == .malformed {
                throw changed(layer)
            }
        }
        guard hashing.hash.count == descriptor.size, hashing.hash.finish() == descriptor.digest else { throw changed(layer) }
    }

    private func copy(_ path: String, to sink: HashSink) throws {
        let file = try OwnedFD.open(path)
        let source = FileSource(file.raw)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { buffer.deallocate() }
        while true {
            let count = try source.read(into: buffer)
            if count == 0 { return }
            try sink.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// Never pass on, under a digest, what no longer has it.
    private func changed(_ layer: Layer) -> ImageError {
        ImageError(.damaged, "layer \(layer.chainID) is not what it was: something changed \(layer.directory)")
    }
}

/// An archive's current entry as a sink.
private final class EntrySink: ByteSink {
    private let writer: TarWriter

    init(_ writer: TarWriter) { self.writer = writer }

    func write(_ bytes: UnsafeRawBufferPointer) throws { try writer.write(bytes) }

    func finish() throws {}
}
