internal import Archive
internal import JSON
internal import Linux
public import OCIImageSpec
internal import RecordStore
internal import Synchronization

// New images and names.
extension ImageStore {
    /// Records an image over layers of this store. `config.rootfs` is filled in from the layers. `parent` is the image
    /// it was built on. Each tag is taken from the image that had it.
    public func createImage(config: ImageConfig, layers: [Layer], parent: Digest? = nil, tags: [ImageReference] = []) throws -> Image {
        var config = config
        config.rootfs = .init(diffIDs: layers.map(\.diffID))
        return try createImage(configBytes: try JSON.encode(config), manifestBytes: nil, layers: layers, parent: parent, tags: tags)
    }

    /// The same with documents that exist already, byte for byte. Without a manifest one is made.
    func createImage(configBytes: [UInt8], manifestBytes: [UInt8]?, layers: [Layer], parent: Digest?, tags: [ImageReference]) throws
        -> Image
    {
        let config = try Self.parseConfig(configBytes)
        let id = try ContentHash.digest(of: configBytes)
        let manifestBytes = try manifestBytes ?? makeManifest(id, Int64(configBytes.count), layers)
        let manifest = try ContentHash.digest(of: manifestBytes)
        // Another image's deletion must not take the documents before this one is recorded.
        let lease = lease(blobs: [id, manifest])
        defer { withExtendedLifetime(lease) {} }
        _ = try files.put(configBytes)
        _ = try files.put(manifestBytes)
        let record = ImageRecord(manifest: manifest, topLayer: layers.last?.chainID, parent: parent, taggedAt: nil)
        return try state.withLock { state in
            // Under the lock: nobody deletes a layer between this look and the record that keeps it.
            for layer in layers { _ = try self.layer(layer.chainID, state) }
            if let parent, state.images[parent] == nil { throw ImageError(.notFound, "No such image: \(parent)") }
            var stored = state.images[id] ?? StoredImage(record: record, config: config, layers: layers.map(\.chainID))
            if let lost = state.lostImages[id] { stored.record = lost }
            if !Files.exists(files.blob(stored.record.manifest)) { stored.record.manifest = manifest }
            if stored.record.parent == nil && parent != id { stored.record.parent = parent }
            if !tags.isEmpty { stored.record.taggedAt = Timestamp.now().description }
            let names = tags.map(\.withDefaultTag)
            try records.transaction { transaction in
                try imageTable.put(id.description, stored.record, in: transaction)
                for name in names { try referenceTable.put(name.description, ReferenceRecord(image: id), in: transaction) }
            }
            state.images[id] = stored
            for name in names { give(name, to: id, &state) }
            try findAgain(&state)
            return try makeImage(id, state)
        }
    }

    static func parseConfig(_ bytes: [UInt8]) throws -> ImageConfig {
        do { return try JSON.decode(ImageConfig.self, from: bytes) } catch {
            throw ImageError(.invalid, "invalid image config: \((error as? DecodingError)?.summary ?? "\(error)")")
        }
    }

    /// A manifest for layers as this store can give them out: the stream that came, or the directory's plain tar.
    func makeManifest(_ config: Digest, _ size: Int64, _ layers: [Layer]) throws -> [UInt8] {
        let descriptors = state.withLock { state in layers.map { descriptor(of: $0, state) } }
        let manifest = Manifest(config: Descriptor(mediaType: MediaType.ociConfig, digest: config, size: size), layers: descriptors)
        return try JSON.encode(manifest)
    }

    func descriptor(of layer: Layer, _ state: State) -> Descriptor {
        state.layers[layer.chainID]?.blob ?? Descriptor(mediaType: MediaType.ociLayer, digest: layer.diffID, size: layer.tarSize)
    }

    /// Bytes of what is kept of a layer beside its directory: streams and skeleton.
    private func keptBytes(of layer: Layer) -> Int64 {
        let record = state.withLock { $0.layers[layer.chainID] }
        return (record?.skeleton ?? 0) + (record?.blobs ?? []).reduce(0) { $0 + $1.size }
    }

    /// What an image's manifest is, and the bytes that the store keeps of its content: manifest, config, layers' streams and skeletons.
    /// Throws when the manifest cannot be read or the config is not there.
    public func content(of image: Image) throws -> (manifest: Descriptor, bytes: Int64) {
        let bytes = try files.read(image.manifestDigest)
        let manifest = try? JSON.decode(Manifest.self, from: bytes)
        let config = try files.size(of: image.id)
        let streams = image.layers.reduce(Int64(0)) { sum, layer in sum + keptBytes(of: layer) }
        let descriptor = Descriptor(
            mediaType: manifest?.mediaType ?? MediaType.ociManifest, digest: image.manifestDigest, size: Int64(bytes.count))
        return (descriptor, Int64(bytes.count) + config + streams)
    }

    /// The manifest that lists the streams by which an image can be given out: the one that it came with, or when streams were
    /// dropped one that names the plain ones.
    func savable(_ image: Image) throws -> (streams: [Descriptor], manifest: [UInt8]) {
        let (streams, bytes) = (try streams(of: image), try files.read(image.manifestDigest))
        let named = try? JSON.decode(Manifest.self, from: bytes).layers.map(\.digest)
        if named == streams.map(\.digest) { return (streams, bytes) }
        let config = Descriptor(mediaType: MediaType.ociConfig, digest: image.id, size: Int64(try files.read(image.id).count))
        return (streams, try JSON.encode(Manifest(config: config, layers: streams)))
    }

    /// The streams by which an image's layers are given out, bottom first: as its manifest names them, or the plain one of a
    /// layer whose streams were dropped. Throws `ImageError.damaged` when the store
    /// can't give one of them out.
    func streams(of image: Image) throws -> [Descriptor] {
        let named: [Descriptor]
        do { named = try JSON.decode(Manifest.self, from: try files.read(image.manifestDigest)).layers } catch {
            throw ImageError(.damaged, "manifest \(image.manifestDigest) of image \(image.id.short) cannot be read: \(error)")
        }
        guard named.count == image.layers.count else {
            throw ImageError(.damaged, "manifest \(image.manifestDigest) names \(named.count) layers, the image has \(image.layers.count)")
        }
        return try state.withLock { state in
            try zip(image.layers, named).map { layer, wanted in
                let record = state.layers[layer.chainID]
                if record?.blob == nil, wanted.digest == layer.diffID { return wanted }
                if let record, !record.has(wanted), record.skeleton != nil, files.hasStreams(of: record) {
                    return Descriptor(mediaType: MediaType.ociLayer, digest: layer.diffID, size: layer.tarSize)
                }
                guard let blob = record?.blobs.first(where: { $0.digest == wanted.digest }), files.hasBlob(blob) else {
                    throw ImageError(
                        .damaged, "stream \(wanted.digest) of layer \(layer.chainID.short) is missing: load or pull the image again")
                }
                return wanted
            }
        }
    }

    /// docker import: a root file system's tar stream as an image of one layer.
    public func importRootfs(
        from descriptor: Int32, config: RunConfig?, message: String, platform: Platform = .host, reference: ImageReference?
    ) throws -> Image {
        try importRootfs(FileSource(descriptor), config: config, message: message, platform: platform, reference: reference)
    }

    func importRootfs(
        _ source: any ByteSource, config: RunConfig?, message: String, platform: Platform, reference: ImageReference?
    ) throws -> Image {
        if reference?.digest != nil { throw ImageError(.invalid, "cannot import digest reference") }
        let layer = try commit(try ingest(source), parent: nil)
        do {
            let now = Timestamp.now().description
            var image = ImageConfig(platform: platform, config: config ?? RunConfig(), created: now)
            image.comment = message
            image.history = [.init(created: now, comment: message)]
            let imported = try createImage(config: image, layers: [layer], tags: reference.map { [$0] } ?? [])
            applyPolicy(to: imported)
            return imported
        } catch {
            removeUnused(layers: [layer.chainID])
            throw error
        }
    }

    /// Gives an image another name. A name without a tag means `latest`.
    public func tag(_ nameOrID: String, as reference: ImageReference) throws {
        if reference.digest != nil { throw ImageError(.invalid, "refusing to create a tag with a digest reference") }
        let name = reference.withDefaultTag
        try state.withLock { state in
            let id = try resolve(nameOrID, state).id
            guard var stored = state.images[id] else { throw ImageError(.notFound, "No such image: \(nameOrID)") }
            stored.record.taggedAt = Timestamp.now().description
            try records.transaction { transaction in
                try imageTable.put(id.description, stored.record, in: transaction)
                try referenceTable.put(name.description, ReferenceRecord(image: id), in: transaction)
            }
            state.images[id] = stored
            give(name, to: id, &state)
        }
    }

    func give(_ name: ImageReference, to id: Digest, _ state: inout State) {
        state.references[name] = id
        state.lostReferences[name] = nil
    }
}
