internal import Glibc
internal import JSON
internal import Linux
internal import Logging
internal import OCIImageSpec
internal import RecordStore
internal import Synchronization

// What a start finds, whatever happened before.
extension ImageStore {
    /// Empties `tmp`, reads layers, images and names, and removes what a crash left without owner. What can't be read
    /// stays or is set aside; while anything is amiss, nothing is removed.
    func start() throws {
        for name in try Files.list("\(files.root)/tmp") { try Files.removeTree("\(files.root)/tmp/\(name)") }
        var state = State()
        var isSound = try readLayers(into: &state)
        if records.setAside != nil {
            isSound = false
            try recoverImages(from: &state)
        }
        isSound = try readImages(into: &state) && isSound
        if isSound { try removeOrphans(&state) }
        let result = state
        self.state.withLock { $0 = result }
    }

    private func readLayers(into state: inout State) throws -> Bool {
        var isSound = true
        for name in try Files.list("\(files.root)/layers") {
            let path = "\(files.root)/layers/\(name)"
            do {
                guard let chainID = Digest(sha256Hex: name) else { throw ImageError(.damaged, "not the name of a layer") }
                let record = try files.record(of: chainID)
                guard files.hasLayer(chainID) else { throw ImageError(.damaged, "its directory is missing") }
                // Of a drop that a crash ended.
                if record.skeleton == nil { _ = unlink(files.skeleton(chainID)) }
                state.layers[chainID] = record
            } catch {
                isSound = false
                let target = try files.setAside(path)
                logger.error("layer set aside: its record can't be read", metadata: ["path": "\(target)", "error": "\(error)"])
            }
        }
        return isSound
    }

    private func readImages(into state: inout State) throws -> Bool {
        let (images, damagedImages) = try imageTable.readable()
        let (references, damagedReferences) = try referenceTable.readable()
        var isSound = damagedImages.isEmpty && damagedReferences.isEmpty
        for error in damagedImages + damagedReferences { logger.error("record can't be read", metadata: ["error": "\(error)"]) }
        for (key, record) in images {
            guard let id = try? Digest(key) else {
                isSound = false
                logger.error("image with a name that is no digest", metadata: ["image": "\(key)"])
                continue
            }
            do { state.images[id] = try readImage(id, record, state) } catch {
                isSound = false
                state.lostImages[id] = record
                logger.error("image can't be read", metadata: ["image": "\(key)", "error": "\(error)"])
            }
        }
        for (key, record) in references {
            guard let reference = try? ImageReference(key) else {
                isSound = false
                logger.error("name that is none", metadata: ["name": "\(key)"])
                continue
            }
            if state.images[record.image] != nil {
                state.references[reference] = record.image
            } else {
                state.lostReferences[reference] = record.image
                logger.error("name without its image", metadata: ["name": "\(key)", "image": "\(record.image)"])
            }
        }
        return isSound
    }

    func readImage(_ id: Digest, _ record: ImageRecord, _ state: State) throws -> StoredImage {
        let config = try Self.parseConfig(try files.read(id))
        let layers = try chain(upTo: record.topLayer, state)
        guard layers.count == config.rootfs.diffIDs.count else {
            throw ImageError(.damaged, "its config names \(config.rootfs.diffIDs.count) layers, and there are \(layers.count)")
        }
        return StoredImage(record: record, config: config, layers: layers)
    }

    private func chain(upTo top: Digest?, _ state: State) throws -> [Digest] {
        var result: [Digest] = []
        var next = top
        while let current = next {
            guard let record = state.layers[current] else { throw ImageError(.damaged, "layer \(current) is missing") }
            result.append(current)
            next = record.parent
        }
        return result.reversed()
    }

    /// The database was set aside: images are found again by their configs, without their names.
    private func recoverImages(from state: inout State) throws {
        for name in try Files.list("\(files.root)/blobs/sha256") {
            guard let id = Digest(sha256Hex: name), let bytes = try? files.read(id, limit: 1 << 20), bytes.first == UInt8(ascii: "{"),
                let config = try? Self.parseConfig(bytes)
            else { continue }
            var parent: Digest?
            for diffID in config.rootfs.diffIDs { parent = try Layer.chainID(diffID, on: parent) }
            guard let layers = try? chain(upTo: parent, state), layers.count == config.rootfs.diffIDs.count else { continue }
            let descriptors = layers.compactMap { state.layers[$0] }.map {
                $0.blob ?? Descriptor(mediaType: MediaType.ociLayer, digest: $0.diffID, size: $0.tarSize)
            }
            let manifest = Manifest(
                config: Descriptor(mediaType: MediaType.ociConfig, digest: id, size: Int64(bytes.count)), layers: descriptors)
            let record = ImageRecord(manifest: try files.put(try JSON.encode(manifest)), topLayer: parent, parent: nil, taggedAt: nil)
            try imageTable.put(id.description, record)
            logger.warning("image found again after the database was set aside", metadata: ["image": "\(id)"])
        }
    }

    /// Layers and blobs of work that was never recorded.
    private func removeOrphans(_ state: inout State) throws {
        let held = Set(state.images.values.flatMap(\.layers))
        for id in state.layers.keys where !held.contains(id) {
            state.layers[id] = nil
            try Files.removeTree(try files.detach(files.layer(id)))
        }
        let used = usedBlobs(state)
        for name in try Files.list("\(files.root)/blobs/sha256") {
            guard let digest = Digest(sha256Hex: name), !used.contains(digest) else { continue }
            try Files.removeTree(files.blob(digest))
        }
    }
}
