public import OCIImageSpec
internal import Synchronization

/// Keeps layers, and those below them, from being deleted for as long as it lives. It can take more.
public final class LayerLease: Sendable {
    private let store: ImageStore
    private let held = Mutex<[Digest]>([])

    init(store: ImageStore) { self.store = store }

    /// What nothing else holds any more goes with it. Must not be the last to go under the store's lock.
    deinit { store.release(held.withLock { $0 }) }

    /// Called under the store's lock, with its state: nothing can go between looking a thing up and holding it.
    func add(_ digest: Digest, _ state: inout ImageStore.State) {
        state.leases[digest, default: 0] += 1
        held.withLock { $0.append(digest) }
    }
}

extension ImageStore {
    /// Protects layers from deletion until the lease goes away.
    public func lease(_ layers: [Layer]) throws -> LayerLease {
        let lease = LayerLease(store: self)
        try state.withLock { state in
            for layer in layers { _ = try self.layer(layer.chainID, state) }
            for layer in layers { lease.add(layer.chainID, &state) }
        }
        return lease
    }

    /// Protects an image from prunes, and its layers from deletion, until the lease goes away. Throws when it is not there.
    public func lease(_ image: Image) throws -> LayerLease {
        let lease = LayerLease(store: self)
        try state.withLock { state in
            guard state.images[image.id] != nil else { throw ImageError(.notFound, "No such image: \(image.id)") }
            for layer in image.layers { _ = try self.layer(layer.chainID, state) }
            for digest in [image.id] + image.layers.map(\.chainID) { lease.add(digest, &state) }
        }
        return lease
    }

    /// Whether something in progress, such as a build, needs an image.
    public func isLeased(_ image: Digest) -> Bool { state.withLock { $0.leases[image] != nil } }

    fileprivate func release(_ digests: [Digest]) {
        let garbage = state.withLock { state in
            for digest in digests {
                let count = (state.leases[digest] ?? 1) - 1
                state.leases[digest] = count > 0 ? count : nil
            }
            // What is below a layer was held with it.
            var layers: Set<Digest> = []
            for digest in digests {
                var next: Digest? = digest
                while let current = next, layers.insert(current).inserted { next = state.layers[current]?.parent }
            }
            return collect(layers: Array(layers), blobs: digests, &state)
        }
        sweep(garbage)
    }

    /// Protects blobs that are there or about to come.
    func lease(blobs: [Digest]) -> LayerLease {
        let lease = LayerLease(store: self)
        state.withLock { state in for blob in blobs { lease.add(blob, &state) } }
        return lease
    }
}
