internal import Linux
internal import OCIImageSpec
internal import RegistryClient
internal import Synchronization

/// One pull: what the registry's name means, its layers side by side, then the image and its names, all at once.
struct ImagePull: Sendable {
    let transfers: ImageTransfers
    let repository: any RegistryRepository
    /// With a tag or a digest.
    let reference: ImageReference
    let platform: Platform?
    let report: TransferReport

    private var store: ImageStore { transfers.store }

    func run() async throws -> PulledImage {
        let selector: ManifestSelector = reference.digest.map { .digest($0) } ?? .tag(reference.tag ?? "latest")
        let reader = RemoteImageReader(repository: repository, reference: reference, platform: platform)
        let remote = try await reader.read(selector)
        report(.message(id: "\(selector)", "Pulling from \(reference.path)"))
        let pulled = try await record(remote, reader)
        report(.message(id: nil, "Digest: \(remote.topDigest)"))
        return pulled
    }

    private func record(_ remote: RemoteImage, _ reader: RemoteImageReader) async throws -> PulledImage {
        let id = remote.manifest.config.digest
        let names = [reference.digest == nil ? reference : nil, reference.with(digest: remote.topDigest)].compactMap(\.self)
        let isNew = store.imageID(named: names[0]) != id
        if try await onThread({ [store] in try store.addNames(names, to: id) }) {
            return PulledImage(image: try store.image(id.description), reference: names[0], isNew: isNew)
        }
        let (configBytes, config) = try await reader.config(of: remote, limits: transfers.limits)
        let chain = try Layer.chainIDs(of: config.rootfs.diffIDs)
        // What is not part of an image at the end goes with the lease.
        let lease = store.lease(blobs: chain + [id, try ContentHash.digest(of: remote.manifestBytes)])
        defer { withExtendedLifetime(lease) {} }
        let layers = try await fetchLayers(remote.manifest.layers, config.rootfs.diffIDs, chain)
        let image = try await onThread { [store, history = transfers.history, name = reference.name] in
            try history.addOrigin(name, of: remote.manifest.layers.map(\.digest))
            // Layers that were here already may have come packed otherwise: then the image gets a manifest of what is here.
            let isAsItCame = zip(layers, remote.manifest.layers).allSatisfy { store.blob(of: $0, $1.digest) != nil }
            return try store.createImage(
                configBytes: configBytes, manifestBytes: isAsItCame ? remote.manifestBytes : nil, layers: layers, parent: nil, tags: names)
        }
        return PulledImage(image: image, reference: names[0], isNew: isNew)
    }

    // MARK: Layers

    private func fetchLayers(_ descriptors: [Descriptor], _ diffIDs: [Digest], _ chain: [Digest]) async throws -> [Layer] {
        var holds: [(index: Int, hold: LayerHold)] = []
        var layers: [Int: Layer] = [:]
        for (index, descriptor) in descriptors.enumerated() {
            if let layer = store.wholeLayer(chain[index]) {
                report(.layer(descriptor.digest, .exists))
                layers[index] = layer
                continue
            }
            holds.append((index, join(descriptor, diffIDs, chain, index)))
        }
        try await withThrowingTaskGroup(of: (Int, Layer).self) { group in
            for (index, hold) in holds { group.addTask { (index, try await hold.layer()) } }
            for try await (index, layer) in group { layers[index] = layer }
        }
        return descriptors.indices.compactMap { layers[$0] }
    }

    /// A hold on a layer's transfer, which itself holds that of the layer below.
    private func join(_ descriptor: Descriptor, _ diffIDs: [Digest], _ chain: [Digest], _ index: Int) -> LayerHold {
        let report = self.report
        let work = LayerWork(
            transfers: transfers, repository: repository, descriptor: descriptor, diffID: diffIDs[index], chainID: chain[index],
            parentID: index == 0 ? nil : chain[index - 1])
        let parent = index == 0 ? nil : transfers.running.holdRunning(chain[index - 1])
        return transfers.running.join(
            chainID: chain[index], diffID: diffIDs[index], listener: { report(.layer(descriptor.digest, $0)) },
            work: { transfer, twin in try await work.run(transfer, parent: parent, twin: twin) })
    }
}

/// How one layer gets into the store: from there when it lies on another parent already, from the registry otherwise.
private struct LayerWork: Sendable {
    let transfers: ImageTransfers
    let repository: any RegistryRepository
    let descriptor: Descriptor
    let diffID: Digest
    let chainID: Digest
    let parentID: Digest?

    private var store: ImageStore { transfers.store }

    func run(_ transfer: LayerTransfer, parent: LayerHold?, twin: LayerHold?) async throws -> Layer {
        transfer.report(.pulling)
        // Who wants the layer holds it besides; when nobody does any more, it goes with this lease.
        let lease = store.lease(blobs: [chainID])
        defer { withExtendedLifetime(lease) {} }
        // It may have come between the look and the join.
        if let layer = store.wholeLayer(chainID) {
            transfer.report(.exists)
            return layer
        }
        if let layer = try await copy(parent, twin, lease) {
            transfer.report(.pulled)
            return layer
        }
        let download = LayerDownload(
            store: store, repository: repository, descriptor: descriptor, diffID: diffID, limits: transfers.limits,
            parts: transfers.parts)
        let unpacked = try await transfers.downloadPlaces.withPlace(onWait: { transfer.report(.waiting) }) {
            try await download.run { transfer.report($0) }
        }
        do {
            transfer.report(.extracting(descriptor.size, of: descriptor.size))
            _ = try await parent?.layer()
            let layer = try await onThread { [store, parentID] in try store.commit(unpacked, parent: parentID, under: lease) }
            transfer.report(.pulled)
            return layer
        } catch {
            try? await onThread { try Files.removeTree(unpacked.workDirectory) }
            throw error
        }
    }

    /// The same layer on another parent is unpacked from what is here. Nil when it is not, or is no good any more.
    private func copy(_ parent: LayerHold?, _ twin: LayerHold?, _ lease: LayerLease) async throws -> Layer? {
        if let twin {
            // Whether the other one failed is its own matter.
            _ = try? await twin.layer()
            try Task.checkCancellation()
        }
        // Only one that came as this blob: that the two belong together is then known, not just said. And a layer that is here in
        // part must come whole.
        guard store.layerRecord(stream: descriptor.digest)?.diffID == diffID, (try? store.layer(chainID)) == nil else { return nil }
        _ = try await parent?.layer()
        return try? await onThread { [store, diffID, parentID] in try store.copyLayer(diffID, on: parentID, under: lease) }
    }
}
