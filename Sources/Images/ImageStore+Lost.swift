internal import Linux
internal import Logging
internal import OCIImageSpec
internal import RecordStore
internal import Synchronization

// Images that the records have and that can't be used, because a layer or a document of theirs is missing or not what it
// was. They are kept with their names, until what is missing comes back or somebody deletes them.
extension ImageStore {
    /// Images that can't be used as they are: lost ones, and those of which a layer's directory or stream is missing.
    var damagedImages: Set<Digest> {
        state.withLock { state in
            let broken = Set(
                state.layers.values.filter { !files.hasLayer($0.chainID) || !files.hasStreams(of: $0) }.map(\.chainID))
            let images = broken.isEmpty ? [] : state.images.filter { !broken.isDisjoint(with: $0.value.layers) }.map(\.key)
            return Set(state.lostImages.keys).union(images)
        }
    }

    /// Lost images whose parts are all there again, with their names.
    func findAgain(_ state: inout State) throws {
        for (id, record) in state.lostImages {
            if state.images[id] == nil {
                guard let image = try? readImage(id, record, state) else { continue }
                state.images[id] = image
            }
            state.lostImages[id] = nil
            for (name, _) in state.lostReferences.filter({ $0.value == id }) {
                state.lostReferences[name] = nil
                if state.references[name] == nil { state.references[name] = id }
            }
            logger.notice("image found again", metadata: ["image": "\(id)"])
        }
    }

    /// Makes images that use a layer lost ones, when it has to go.
    func lose(layer chainID: Digest, _ state: inout State) {
        state.layers[chainID] = nil
        for (id, image) in state.images where image.layers.contains(chainID) { lose(image: id, &state) }
    }

    func lose(image id: Digest, _ state: inout State) {
        guard let image = state.images.removeValue(forKey: id) else { return }
        state.lostImages[id] = image.record
        for (name, owner) in state.references where owner == id {
            state.references[name] = nil
            state.lostReferences[name] = id
        }
    }

    /// The layers that lost images need, as far as they are here; nil when one of them doesn't tell.
    func layersOfLostImages(_ state: State) -> Set<Digest>? {
        var result: Set<Digest> = []
        for id in state.lostImages.keys {
            guard let chain = try? chainIDs(ofLost: id) else { return nil }
            result.formUnion(chain)
        }
        return result
    }

    /// The chain IDs of an image's layers, bottom first, as its config tells them.
    func chainIDs(ofLost id: Digest) throws -> [Digest] {
        var chain: [Digest] = []
        for diffID in try Self.parseConfig(try files.read(id)).rootfs.diffIDs {
            chain.append(try Layer.chainID(diffID, on: chain.last))
        }
        return chain
    }

    /// docker rmi of an image that is lost: its records go, on request only. nil when the name means none.
    func forgetLost(_ nameOrID: String, _ state: inout State) throws -> [ImageDeletionStep]? {
        guard !state.lostImages.isEmpty, (try? resolve(nameOrID, state)) == nil else { return nil }
        let name = (try? ImageReference(nameOrID))?.withDefaultTag
        let id = name.flatMap { state.lostReferences[$0] } ?? (try? Digest(nameOrID)) ?? Digest(sha256Hex: nameOrID)
        guard let id, state.lostImages[id] != nil else { return nil }
        let others = state.lostReferences.filter { $0.value == id }.keys.sorted()
        let isByName = name.flatMap { state.lostReferences[$0] } != nil
        let names = isByName ? others.filter { $0 == name } : others
        let takesImage = names.count == others.count
        try records.transaction { transaction in
            for name in names { try referenceTable.delete(name.description, in: transaction) }
            if takesImage { try imageTable.delete(id.description, in: transaction) }
        }
        for name in names { state.lostReferences[name] = nil }
        if takesImage { state.lostImages[id] = nil }
        return names.map { .untagged($0) } + (takesImage ? [.deleted(id)] : [])
    }
}
