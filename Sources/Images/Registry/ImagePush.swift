internal import JSON
internal import Linux
public import OCIImageSpec
public import RegistryClient

extension ImageTransfers {
    /// Pushes one tag of a repository, or with a bare name all of them.
    ///
    /// Throws `RegistryError`, `ImageError` or `CancellationError`. What the registry has of a failed push stays there, without a name.
    public func push(_ reference: ImageReference, credentials: RegistryCredentials, report: @escaping TransferReport) async throws {
        if reference.digest != nil { throw ImageError(.invalid, "cannot push a digest reference") }
        let repository = try access.repository(reference, credentials: credentials)
        report(.message(id: nil, "The push refers to repository [\(reference.name)]"))
        for (reference, image) in try pushed(reference) {
            let lease = store.lease(blobs: image.layers.map(\.chainID) + [image.id, image.manifestDigest])
            defer { withExtendedLifetime(lease) {} }
            try await ImagePush(transfers: self, repository: repository, reference: reference, image: image, report: report).run()
        }
    }

    /// What a push of a reference sends: its tag, or with a bare name all of the repository. Throws `ImageError.notFound`
    /// when there are none.
    public func pushed(_ reference: ImageReference) throws -> [(reference: ImageReference, image: Image)] {
        var tags = store.tags(of: reference.name)
        if tags.isEmpty { throw ImageError(.notFound, "An image does not exist locally with the tag: \(reference.familiarName)") }
        if reference.tag != nil {
            tags = tags.filter { $0.reference == reference }
            if tags.isEmpty { throw ImageError(.notFound, "tag does not exist: \(reference.familiar)") }
        }
        return try tags.map { ($0.reference, try store.image($0.image.description)) }
    }
}

/// One push of one tag: the layers side by side, the config, the manifest last, so that a name never leads to what is not there.
struct ImagePush: Sendable {
    let transfers: ImageTransfers
    let repository: any RegistryRepository
    /// With a tag.
    let reference: ImageReference
    let image: Image
    let report: TransferReport

    private var store: ImageStore { transfers.store }

    func run() async throws {
        let original = try await onThread { [store, image] in try store.originalManifest(of: image) }
        let blobs = try await pushLayers(original.map { $0.manifest.layers } ?? [])
        let configBytes = try await onThread { [store, image] in try store.files.read(image.id) }
        let manifest = try original ?? Self.manifest(config: image.id, Int64(configBytes.count), layers: blobs)
        try await pushConfig(configBytes)
        let digest = try await repository.putManifest(manifest.bytes, mediaType: manifest.mediaType, as: .tag(reference.tag ?? "latest"))
        guard try digest == ContentHash.digest(of: manifest.bytes) else {
            throw ImageError(.invalid, "the registry stored another manifest than it was given: \(digest)")
        }
        try await onThread { [store, history = transfers.history, reference, image] in
            try history.addOrigin(reference.name, of: blobs.map(\.digest))
            _ = try store.addNames([reference.with(digest: digest)], to: image.id)
        }
        report(.tagPushed(tag: reference.tag ?? "latest", digest: digest, size: manifest.bytes.count))
    }

    // MARK: Layers

    /// What the registry has now of each layer, bottom first. `given` are the blobs that the image came as; none to choose freely.
    private func pushLayers(_ given: [Descriptor]) async throws -> [Descriptor] {
        // As Docker: the topmost first. A layer that comes twice is pushed once, unless the manifest names it by two blobs.
        var wanted: [Digest: [Digest?: (layer: Layer, blob: Descriptor?)]] = [:]
        let blobs = image.layers.enumerated().map { $0 < given.count ? given[$0] : store.blob(of: $1).flatMap { $0.packed } }
        for (layer, blob) in zip(image.layers, blobs).reversed() {
            if wanted[layer.diffID] == nil { report(.layer(layer.diffID, .preparing)) }
            wanted[layer.diffID, default: [:]][blob?.digest] = (layer, blob)
        }
        var pushed: [Digest: [Digest?: Descriptor]] = [:]
        try await withThrowingTaskGroup(of: (Digest, Digest?, Descriptor).self) { group in
            for (layer, blob) in wanted.values.flatMap(\.values) {
                group.addTask {
                    let push = LayerPush(transfers: transfers, repository: repository, target: reference, layer: layer, report: report)
                    return (layer.diffID, blob?.digest, try await push.run(blob))
                }
            }
            for try await (diffID, blob, descriptor) in group { pushed[diffID, default: [:]][blob] = descriptor }
        }
        return zip(image.layers, blobs).compactMap { pushed[$0.diffID]?[$1?.digest] }
    }

    private func pushConfig(_ bytes: [UInt8]) async throws {
        if try await repository.hasBlob(image.id) { return }
        let path = store.files.blob(image.id)
        try await repository.uploadBlob(image.id, size: Int64(bytes.count)) { FileBody(path: path) { _ in } }
    }

    /// A manifest for an image that did not come with one: Docker's schema 2, or OCI's when it holds what only OCI knows.
    private static func manifest(config: Digest, _ size: Int64, layers: [Descriptor]) throws -> OriginalManifest {
        let isOCI = layers.contains { $0.mediaType == MediaType.ociLayerZstd }
        let layers = layers.map { layer in
            var layer = layer
            if layer.mediaType != MediaType.ociLayerZstd {
                layer.mediaType = isOCI ? MediaType.ociLayerGzip : MediaType.dockerLayerGzip
            }
            return layer
        }
        let manifest = Manifest(
            mediaType: isOCI ? MediaType.ociManifest : MediaType.dockerManifest,
            config: Descriptor(mediaType: isOCI ? MediaType.ociConfig : MediaType.dockerConfig, digest: config, size: size), layers: layers)
        return OriginalManifest(bytes: try JSON.encode(manifest), manifest: manifest)
    }
}

/// A manifest with its bytes.
struct OriginalManifest: Sendable {
    let bytes: [UInt8]
    let manifest: Manifest

    var mediaType: String { manifest.mediaType ?? MediaType.ociManifest }
}

extension ImageStore {
    /// The manifest that an image came with, when all of its layers are still there as they came. Nil for one that this store
    /// has made, which lists plain streams.
    func originalManifest(of image: Image) throws -> OriginalManifest? {
        let bytes = try files.read(image.manifestDigest)
        let configSize = Int64(try files.read(image.id).count)
        if try bytes == makeManifest(image.id, configSize, image.layers) { return nil }
        guard let manifest = try? JSON.decode(Manifest.self, from: bytes), manifest.config.digest == image.id,
            manifest.layers.count == image.layers.count,
            zip(manifest.layers, image.layers).allSatisfy({ blob(of: $1, $0.digest) != nil })
        else { return nil }
        return OriginalManifest(bytes: bytes, manifest: manifest)
    }
}

extension Descriptor {
    /// Itself when the stream is packed; a plain one is better packed first.
    fileprivate var packed: Descriptor? { mediaType == MediaType.ociLayer || mediaType == MediaType.dockerLayer ? nil : self }
}

/// One layer on its way to a registry: nothing at all when the registry has it, a mount when another of its repositories has,
/// an upload otherwise.
private struct LayerPush: Sendable {
    let transfers: ImageTransfers
    let repository: any RegistryRepository
    let target: ImageReference
    let layer: Layer
    let report: TransferReport

    private var store: ImageStore { transfers.store }

    /// What the registry has. `blob` lies in the store; nil when the layer must be packed first.
    func run(_ blob: Descriptor?) async throws -> Descriptor {
        try await transfers.uploadPlaces.withPlace(onWait: { tell(.waiting) }) {
            if let blob {
                if try await !isThere(blob) { try await upload(blob, store.files.blob(blob.digest)) }
                return blob
            }
            // What it came as, or was packed as before: most often the registry has that.
            for known in store.dropped(layer) + [transfers.history.packed(layer.diffID)].compactMap(\.self) {
                if try await isThere(known) { return known }
            }
            let file = try await transfers.packingPlaces.withPlace {
                try await onThread { [store, layer] in try LayerPacking(store: store).pack(layer) }
            }
            try await onThread { [history = transfers.history, layer] in try history.setPacked(file.descriptor, for: layer.diffID) }
            if try await !isThere(file.descriptor) { try await upload(file.descriptor, file.path) }
            return withExtendedLifetime(file) { file.descriptor }
        }
    }

    private func tell(_ status: LayerStatus) { report(.layer(layer.diffID, status)) }

    private func isThere(_ blob: Descriptor) async throws -> Bool {
        if try await repository.hasBlob(blob.digest) {
            tell(.existsInRegistry)
            return true
        }
        let prefix = target.domain + "/"
        let others = transfers.history.origins(of: blob.digest).filter { $0.hasPrefix(prefix) && $0 != target.name }
        for other in others.prefix(3) {
            let path = String(other.dropFirst(prefix.count))
            // Whoever may not read the other repository uploads.
            if (try? await repository.mountBlob(blob.digest, from: path)) == true {
                tell(.mounted(from: path))
                return true
            }
            try Task.checkCancellation()
        }
        return false
    }

    private func upload(_ blob: Descriptor, _ path: String) async throws {
        let meter = StepMeter { [report, id = layer.diffID] in report(.layer(id, .pushing($0, of: blob.size))) }
        let limits = transfers.limits
        var failures = 0
        while true {
            do {
                try await repository.uploadBlob(blob.digest, size: blob.size) { FileBody(path: path) { meter.reached($0) } }
                break
            } catch {
                failures += 1
                guard Retrying.isWorthwhile(error), failures < limits.attempts else { throw error }
                try await Retrying.wait(failures * limits.retrySeconds) { tell(.retrying(seconds: $0)) }
            }
        }
        tell(.pushed)
    }
}
