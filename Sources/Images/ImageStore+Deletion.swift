internal import Linux
internal import Logging
public import OCIImageSpec
internal import RecordStore
internal import Synchronization

// Taking names away, deleting images and what nobody needs any more. The rules and words are Docker's.
extension ImageStore {
    /// docker rmi. `users` tells which containers use an image (by its ID); it is called under the store's lock and must
    /// not call the store.
    ///
    /// A name is taken away; with the last one the image goes, and with it the images it was built on that have no name
    /// and nothing else built on them (unless `noPrune`).
    /// - Parameter check: throws for an image that is not to be deleted, also under the lock. With it an image that is lost is none.
    public func delete(
        _ nameOrID: String, force: Bool = false, noPrune: Bool = false, check: ((ImageConfig) throws -> Void)? = nil,
        users: @escaping (Digest) -> [ImageUser] = { _ in [] }
    ) throws
        -> [ImageDeletionStep]
    {
        var garbage = Garbage()
        let steps: [ImageDeletionStep] = try state.withLock { state in
            if let check {
                try state.images[resolve(nameOrID, state).id].map { try check($0.config) }
            } else if let steps = try forgetLost(nameOrID, &state) {
                return steps
            }
            var deletion = Deletion(force: force, prunes: !noPrune, users: users)
            try plan(nameOrID, &deletion, &state)
            garbage = try carryOut(deletion, &state)
            return deletion.steps + garbage.layers.map { .deleted($0.chainID) }
        }
        sweep(garbage)
        return steps
    }

    /// docker image prune: images without a name and nothing built on them (with `all`, also named ones) that no container
    /// uses and for which `matches` says yes. Returns the steps and the bytes freed.
    public func prune(
        all: Bool = false, users: @escaping (Digest) -> [ImageUser] = { _ in [] }, matching matches: (Image) -> Bool = { _ in true }
    ) throws
        -> (steps: [ImageDeletionStep], reclaimed: Int64)
    {
        var steps: [ImageDeletionStep] = []
        var reclaimed: Int64 = 0
        for image in list() where (all || image.references.isEmpty && image.repoDigests.isEmpty) && matches(image) {
            var garbage = Garbage()
            state.withLock { state in
                guard isUnneeded(image.id, users, state) else { return }
                var deletion = Deletion(force: true, prunes: true, users: users)
                deletion.untag(references(of: image.id, state), &state)
                guard (try? planImage(image.id, &deletion, &state, isQuiet: true)) != nil, let done = try? carryOut(deletion, &state) else {
                    return
                }
                garbage = done
                steps += deletion.steps + garbage.layers.map { .deleted($0.chainID) }
            }
            reclaimed += garbage.layers.reduce(0) { $0 + $1.size }
            sweep(garbage)
        }
        return (steps, reclaimed)
    }

    /// Deletes one image without a name that no image is built on, and that no container and nothing in progress uses. Those that it
    /// was built on stay. Returns the steps and the bytes freed; nil when it is needed.
    public func deleteUnneeded(_ id: Digest, users: @escaping (Digest) -> [ImageUser]) throws
        -> (steps: [ImageDeletionStep], reclaimed: Int64)?
    {
        var deletion = Deletion(force: true, prunes: false, users: users)
        let garbage: Garbage? = try state.withLock { state in
            guard isUnneeded(id, users, state), references(of: id, state).isEmpty else { return nil }
            try planImage(id, &deletion, &state, isQuiet: false)
            return try carryOut(deletion, &state)
        }
        guard let garbage else { return nil }
        sweep(garbage)
        return (deletion.steps + garbage.layers.map { .deleted($0.chainID) }, garbage.layers.reduce(0) { $0 + $1.size })
    }

    private func isUnneeded(_ id: Digest, _ users: (Digest) -> [ImageUser], _ state: State) -> Bool {
        state.images[id] != nil && state.leases[id] == nil && users(id).isEmpty && children(of: id, state).isEmpty
    }

    /// What one deletion has decided so far. The state already follows it; the records do when it is carried out.
    struct Deletion {
        let force: Bool
        let prunes: Bool
        let users: (Digest) -> [ImageUser]
        var steps: [ImageDeletionStep] = []
        var references: [ImageReference: Digest] = [:]
        var images: [Digest: StoredImage] = [:]

        mutating func untag(_ names: [ImageReference], _ state: inout State) {
            for name in names {
                references[name] = state.references.removeValue(forKey: name)
                steps.append(.untagged(name))
            }
        }
    }

    /// Files that nothing refers to any more.
    struct Garbage {
        var layers: [LayerRecord] = []
        var blobs: [Digest] = []
        /// Where it lies until it is removed: it has no name in the store any more.
        var remains: [String] = []
    }

    private func plan(_ nameOrID: String, _ deletion: inout Deletion, _ state: inout State) throws {
        let (id, reference) = try resolve(nameOrID, state)
        var names = references(of: id, state)
        let isSingle = Set(names.map(\.name)).count <= 1 && names.count { $0.digest == nil } <= 1
        var removedName = false
        let backup = state
        do {
            if let reference {
                if isSingle && !deletion.force, let user = deletion.users(id).first {
                    throw ImageError(
                        .conflict,
                        "conflict: unable to remove repository reference \"\(nameOrID)\" (must force) - container \(user.containerID.prefix(12)) is using its referenced image \(id.short)"
                    )
                }
                deletion.untag([reference].filter { state.references[$0] != nil }, &state)
                names = references(of: id, state)
                // Digests of a repository go with its last tag.
                if reference.digest == nil && !names.contains(where: { $0.name == reference.name && $0.digest == nil }) {
                    deletion.untag(names.filter { $0.name == reference.name }, &state)
                    names = references(of: id, state)
                }
                if !names.isEmpty { return }
                removedName = true
            } else if isSingle {
                try checkConflicts(id, deletion, state, countsNames: false)
                deletion.untag(names, &state)
            }
            try planImage(id, &deletion, &state, isQuiet: removedName)
        } catch {
            state = backup
            throw error
        }
    }

    private func planImage(_ id: Digest, _ deletion: inout Deletion, _ state: inout State, isQuiet: Bool, isParent: Bool = false) throws {
        do { try checkConflicts(id, deletion, state, countsNames: true, isParent: isParent) } catch {
            // The name is gone, which is what was asked for; the image stays for those who need it.
            if isQuiet { return }
            throw error
        }
        deletion.untag(references(of: id, state), &state)
        guard let stored = state.images.removeValue(forKey: id) else { return }
        deletion.images[id] = stored
        deletion.steps.append(.deleted(id))
        if deletion.prunes, let parent = stored.record.parent { try planImage(parent, &deletion, &state, isQuiet: true, isParent: true) }
    }

    private func checkConflicts(_ id: Digest, _ deletion: Deletion, _ state: State, countsNames: Bool, isParent: Bool = false) throws {
        func conflict(_ remedy: String, _ reason: String) -> ImageError {
            ImageError(.conflict, "conflict: unable to delete \(id.short) (\(remedy)) - \(reason)")
        }
        let users = deletion.users(id)
        if let user = users.first(where: \.isRunning) {
            throw conflict("cannot be forced", "image is being used by running container \(user.containerID.prefix(12))")
        }
        // A build goes on with what it has just made.
        if isParent && state.leases[id] != nil { throw conflict("cannot be forced", "image is being used by a build") }
        if !children(of: id, state).isEmpty { throw conflict("cannot be forced", "image has dependent child images") }
        if deletion.force && !isParent { return }
        if countsNames && !references(of: id, state).isEmpty {
            throw conflict("must be forced", "image is referenced in multiple repositories")
        }
        if let user = users.first {
            throw conflict("must be forced", "image is being used by stopped container \(user.containerID.prefix(12))")
        }
    }

    private func references(of id: Digest, _ state: State) -> [ImageReference] { state.references.filter { $0.value == id }.keys.sorted() }

    private func children(of id: Digest, _ state: State) -> [Digest] { state.images.filter { $0.value.record.parent == id }.map(\.key) }

    /// Records first: a crash after this leaves files that nothing refers to, which the next start removes.
    private func carryOut(_ deletion: Deletion, _ state: inout State) throws -> Garbage {
        do {
            try records.transaction { transaction in
                for name in deletion.references.keys { try referenceTable.delete(name.description, in: transaction) }
                for id in deletion.images.keys { try imageTable.delete(id.description, in: transaction) }
            }
        } catch {
            state.images.merge(deletion.images) { $1 }
            state.references.merge(deletion.references) { $1 }
            throw error
        }
        let candidates = deletion.images.values.flatMap { $0.layers.reversed() }
        return collect(layers: candidates, blobs: deletion.images.flatMap { [$0.key, $0.value.record.manifest] }, &state)
    }

    /// Takes out of the state, and takes the names of, those layers and blobs that nothing holds; the streams of layers go
    /// with them.
    func collect(layers: [Digest], blobs: [Digest], _ state: inout State) -> Garbage {
        var garbage = takeUnused(layers: layers, &state)
        garbage.blobs = Set(blobs + garbage.layers.flatMap(\.blobs).map(\.digest)).subtracting(usedBlobs(state)).sorted()
        detach(&garbage)
        return garbage
    }

    /// Takes those layers out of the state that no image, no lease and no other layer holds.
    private func takeUnused(layers candidates: [Digest], _ state: inout State) -> Garbage {
        // While an image can't be read, nobody knows what it needs.
        guard var held = layersOfLostImages(state) else { return Garbage() }
        held.formUnion(state.images.values.flatMap(\.layers))
        for leased in state.leases.keys {
            var next: Digest? = leased
            while let current = next, held.insert(current).inserted { next = state.layers[current]?.parent }
        }
        var children: [Digest: Int] = [:]
        for parent in state.layers.values.compactMap(\.parent) { children[parent, default: 0] += 1 }
        var garbage = Garbage()
        var waiting = candidates.filter { !held.contains($0) }
        // From the top down, in whatever order they come: a layer goes after those that stand on it.
        while let index = waiting.firstIndex(where: { state.layers[$0] != nil && children[$0, default: 0] == 0 }) {
            guard let record = state.layers.removeValue(forKey: waiting.remove(at: index)) else { continue }
            if let parent = record.parent { children[parent, default: 1] -= 1 }
            garbage.layers.append(record)
        }
        return garbage
    }

    func usedBlobs(_ state: State) -> Set<Digest> {
        Set(state.images.flatMap { [$0.key, $0.value.record.manifest] }).union(state.layers.values.flatMap(\.blobs).map(\.digest))
            .union(state.lostImages.flatMap { [$0.key, $0.value.manifest] }).union(state.leases.keys)
    }

    /// Deletes layers of work that failed, as far as nothing else uses them.
    func removeUnused(layers: [Digest]) {
        sweep(state.withLock { collect(layers: layers, blobs: [], &$0) })
    }

    /// Takes the names of garbage away, while the lock still keeps others from finding it and building on it. What can't be
    /// taken is not lost: nothing refers to it, and the next start tries again.
    private func detach(_ garbage: inout Garbage) {
        for path in garbage.layers.map({ files.layer($0.chainID) }) + garbage.blobs.map({ files.blob($0) }) where Files.exists(path) {
            do { garbage.remains.append(try files.detach(path)) } catch {
                logger.warning("cannot remove content", metadata: ["path": "\(path)", "error": "\(error)"])
            }
        }
    }

    /// Removes files that have no name any more; without the lock, because it may take long.
    func sweep(_ garbage: Garbage) {
        for path in garbage.remains {
            do { try Files.removeTree(path) } catch {
                logger.warning("cannot remove content", metadata: ["path": "\(path)", "error": "\(error)"])
            }
        }
    }
}
