internal import Archive
internal import Linux
public import OCIImageSpec
internal import Synchronization

// docker save and docker load.
extension ImageStore {
    /// Reads an archive of `docker save` (1.10 and later) or an OCI layout, plain, gzip or zstd. All images or none.
    /// With a platform only images for that are taken, and it is an error when there are none; without, an index gives its image
    /// for this machine. `progress` gets the bytes read so far.
    public func load(from descriptor: Int32, platform: Platform? = nil, progress: ((Int64) -> Void)? = nil) throws -> [LoadedImage] {
        var images: [Image] = []
        // Once nothing is held any more.
        defer { for image in images { applyPolicy(to: image) } }
        return try load(ArchiveLoader(store: self, platform: platform), descriptor, progress, &images)
    }

    private func load(
        _ loader: consuming ArchiveLoader, _ descriptor: Int32, _ progress: ((Int64) -> Void)?, _ images: inout [Image]
    ) throws -> [LoadedImage] {
        defer { loader.discard() }
        let damaged = damagedImages
        try loader.read(CountingSource(FileSource(descriptor), progress))
        let plans = try loader.plans()
        for plan in plans { _ = try loader.check(plan) }
        var loaded: [LoadedImage] = []
        try loader.flush(plans)
        // Layers of an image that then fails go with the loader's lease.
        for plan in plans {
            let layers = try loader.takeLayers(plan)
            let references = plan.tags.map(\.withDefaultTag)
            let before = state.withLock { state in state.references.filter { references.contains($0.key) } }
            let image = try createImage(
                configBytes: plan.configBytes, manifestBytes: plan.manifestBytes, layers: layers, parent: nil, tags: plan.tags)
            images.append(image)
            loaded.append(
                LoadedImage(
                    id: image.id, references: references, replaced: before.filter { $0.value != image.id },
                    wasDamaged: damaged.contains(image.id)))
        }
        return loaded
    }

    /// Writes an archive that `docker load`, skopeo and every OCI tool read. `names` as `image(_:)` takes them; a
    /// repository without a tag means all of its tags.
    public func save(names: [String], to descriptor: Int32) throws {
        if names.isEmpty { throw ImageError(.invalid, "no image names given") }
        // Documents as well as layers: a deletion meanwhile takes nothing of what is being written.
        let lease = LayerLease(store: self)
        let selection = try state.withLock { state in
            let selection = try select(names, state)
            for image in selection.map(\.image) {
                for digest in image.layers.map(\.chainID) + [image.id, image.manifestDigest] { lease.add(digest, &state) }
            }
            return selection
        }
        try withExtendedLifetime(lease) { try ArchiveSaver(store: self, sink: FileSink(descriptor)).save(selection) }
    }

    /// Each image once, with the names under which it was asked for.
    private func select(_ names: [String], _ state: State) throws -> [ArchiveSaver.Selection] {
        var result: [ArchiveSaver.Selection] = []
        func add(_ id: Digest, _ tags: [ImageReference]) throws {
            if let index = result.firstIndex(where: { $0.image.id == id }) {
                result[index].tags += tags.filter { !result[index].tags.contains($0) }
            } else {
                result.append(.init(image: try makeImage(id, state), tags: tags))
            }
        }
        for name in names {
            if let reference = try? ImageReference(name), reference.tag == nil, reference.digest == nil {
                let tags = state.references.filter { $0.key.name == reference.name && $0.key.digest == nil }.sorted { $0.key < $1.key }
                if !tags.isEmpty {
                    for (tag, id) in tags { try add(id, [tag]) }
                    continue
                }
            }
            let (id, reference) = try resolve(name, state)
            try add(id, reference.map { $0.digest == nil ? [$0] : [] } ?? [])
        }
        return result
    }

    /// A layer whose stream, as this store can give it out, has this digest. One that has lost its directory or its stream
    /// is not meant: that has to come anew.
    func layerRecord(stream digest: Digest, under lease: LayerLease? = nil) -> LayerRecord? {
        state.withLock { state in
            let found = state.layers.values.first { record in
                let isMade = record.blob == nil && (record.diffID == digest || record.dropped?.contains { $0.digest == digest } ?? false)
                let kept = record.blobs.first { $0.digest == digest }
                let isHere = kept.map { files.hasBlob($0) } ?? (isMade && files.hasStreams(of: record))
                return isHere && files.hasLayer(record.chainID)
            }
            if let found { lease?.add(found.chainID, &state) }
            return found
        }
    }

    /// The layer of a diff ID on another parent: overlayfs' directories are per chain, so that it is unpacked once more.
    func copyLayer(_ diffID: Digest, on parent: Digest?, under lease: LayerLease) throws -> Layer {
        let chainID = try Layer.chainID(diffID, on: parent)
        let known = state.withLock { state in
            let layer = try? self.layer(chainID, state)
            if layer != nil { lease.add(chainID, &state) }
            return layer
        }
        if let known { return known }
        guard let record = state.withLock({ state in state.layers.values.first { $0.diffID == diffID } }) else {
            throw ImageError(.failed, "layer \(diffID) went away while loading")
        }
        if let blob = record.blob {
            let file = try OwnedFD.open(files.blob(blob.digest))
            return try commit(try ingest(FileSource(file.raw)), parent: parent, under: lease)
        }
        let pipe = RingPipe()
        let original = Layer(record, files)
        let worker = try Worker { [self] in
            let sink = PipeSink(pipe)
            do {
                try writeStream(of: original, to: sink)
                try sink.finish()
            } catch {
                pipe.end(error)
                throw error
            }
        }
        let unpacked = Result { try ingest(pipe) }
        pipe.closeReading()
        try? worker.join()
        let layer = try unpacked.get()
        return try commit(layer, parent: parent, under: lease)
    }
}

/// The writing end of a pipe between threads as a sink.
private final class PipeSink: ByteSink {
    private let pipe: RingPipe

    init(_ pipe: RingPipe) { self.pipe = pipe }

    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let goesOn = pipe.write { space in
                let count = min(space.count, rest.count)
                space.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
                rest = rest.dropFirst(count)
                return count
            }
            if !goesOn { throw ImageError(.failed, "write layer: its reader is gone") }
        }
    }

    func finish() throws { pipe.end() }
}

/// Reports how far reading has come.
private final class CountingSource: ByteSource {
    private let source: any ByteSource
    private let progress: ((Int64) -> Void)?
    private var total: Int64 = 0

    init(_ source: any ByteSource, _ progress: ((Int64) -> Void)?) {
        self.source = source
        self.progress = progress
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let count = try source.read(into: buffer)
        total += Int64(count)
        progress?(total)
        return count
    }
}
