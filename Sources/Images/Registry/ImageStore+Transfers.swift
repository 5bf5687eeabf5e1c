internal import Linux
internal import OCIImageSpec
internal import RecordStore
internal import Synchronization

// What transfers ask of the store.
extension ImageStore {
    /// The image that a name means; nil when it means none.
    func imageID(named reference: ImageReference) -> Digest? { state.withLock { $0.references[reference] } }

    /// Gives an image further names, by tag or digest. False when it is not here, or not whole: then it must come anew.
    func addNames(_ names: [ImageReference], to id: Digest) throws -> Bool {
        if damagedImages.contains(id) { return false }
        return try state.withLock { state in
            guard var stored = state.images[id] else { return false }
            let added = names.filter { state.references[$0] != id }
            if added.contains(where: { $0.digest == nil }) { stored.record.taggedAt = Timestamp.now().description }
            try records.transaction { transaction in
                try imageTable.put(id.description, stored.record, in: transaction)
                for name in added { try referenceTable.put(name.description, ReferenceRecord(image: id), in: transaction) }
            }
            state.images[id] = stored
            for name in added { give(name, to: id, &state) }
            return true
        }
    }

    /// Tags of a repository, sorted, with their images.
    func tags(of name: String) -> [(reference: ImageReference, image: Digest)] {
        state.withLock { state in
            state.references.filter { $0.key.name == name && $0.key.digest == nil }.sorted { $0.key < $1.key }
                .map { (reference: $0.key, image: $0.value) }
        }
    }

    /// A layer that is here with its directory and its streams, as far as a look can tell.
    func wholeLayer(_ chainID: Digest) -> Layer? {
        state.withLock { state in
            guard let record = state.layers[chainID], files.hasLayer(chainID), files.hasStreams(of: record) else { return nil }
            return try? layer(chainID, state)
        }
    }

    /// The packed streams that a layer came as and that were dropped.
    func dropped(_ layer: Layer) -> [Descriptor] {
        (state.withLock { $0.layers[layer.chainID]?.dropped } ?? []).filter { $0.digest != layer.diffID }
    }

    /// The stream that a layer came as, when it is on disk; with a digest that stream.
    func blob(of layer: Layer, _ digest: Digest? = nil) -> Descriptor? {
        let blobs = state.withLock { $0.layers[layer.chainID]?.blobs ?? [] }
        return blobs.first { (digest == nil || $0.digest == digest) && files.hasBlob($0) }
    }
}

extension Layer {
    /// The chain IDs of layers on one another, bottom first.
    static func chainIDs(of diffIDs: [Digest]) throws -> [Digest] {
        var chain: [Digest] = []
        for diffID in diffIDs { chain.append(try chainID(diffID, on: chain.last)) }
        return chain
    }
}
