internal import Archive
internal import Builder
public import EngineTypes
internal import Glibc
internal import Images
internal import JSON
internal import Linux
internal import OCIImageSpec

/// `POST /commit`: a container's changes as a new image on top of the one it was made of.
extension ImageService {
    /// Answers the image's ID. The container is frozen meanwhile when it runs and `pauses` is set.
    /// - Parameter override: a configuration that comes before the container's own, field by field.
    public func commit(_ request: CommitRequest, override: ContainerConfig?) async throws -> String {
        try await containers.metrics.time(.commit) { try await makeImage(request, override: override) }
    }

    private func makeImage(_ request: CommitRequest, override: ContainerConfig?) async throws -> String {
        let container = try containers.store.find(request.container)
        let reference = try request.repository.flatMap { $0.isEmpty ? nil : $0 }.map { try Self.reference($0, tag: request.tag) }
        switch container.phase {
        case .removing, .dead: throw EngineError.conflict("container \(container.id) is being removed and cannot be committed")
        case .unreachable: _ = try container.connection()
        case .starting, .created, .running, .paused, .restarting, .exited: break
        }
        var isPaused = false
        if request.pauses, case .running = container.phase {
            try await containers.lifecycle.pause(container, forCommit: true)
            isPaused = true
        }
        let image: Image
        do {
            let record = container.record
            let upper = containers.configuration.paths(of: container.id).upper
            let config = try Self.configuration(record, override: override, changes: request.changes)
            let base = try await offloading { [images] in try images.image(record.imageID) }
            let layer = try await copyLayer(of: upper, on: base)
            image = try await offloading { [images] in
                try Self.record(layer, on: base, config: config, request: request, of: record, reference: reference, in: images)
            }
        } catch {
            if isPaused { try? await containers.lifecycle.unpause(container) }
            throw EngineError.from(error)
        }
        events.publish("create", of: image)
        if let reference { events.publish("tag", of: image, name: reference.familiar) }
        containers.lifecycle.publish(
            container, "commit",
            ["comment": request.comment ?? "", "imageID": image.id.description, "imageRef": reference?.familiar ?? ""])
        if isPaused { try await containers.lifecycle.unpause(container) }
        return image.id.description
    }

    /// The writable layer as a layer of the store. It is copied: the container goes on with its own. What packs it and what
    /// unpacks it work side by side.
    private func copyLayer(of upper: String, on base: Image) async throws -> Layer {
        let pipe = try OwnedFD.pipe()
        let (reading, writing) = (pipe.reading.duplicateRaw(), pipe.writing.duplicateRaw())
        _ = consume pipe
        let layers = images.layerDirectories(of: base)
        async let packing: Void = offloading {
            let writing = OwnedFD(owning: writing)
            var options = TreeArchiver.Options(mode: .layer)
            options.excludes = { path, _ in
                MountStubs.isStub("/" + String(decoding: path, as: UTF8.self), upper: upper, layers: layers)
            }
            let root = try OwnedFD.open(upper, O_RDONLY | O_DIRECTORY)
            let writer = TarWriter(FileSink(writing.raw))
            _ = try TreeArchiver(options: options).archive(root, to: writer)
            try writer.finish()
        }
        // The first cause first: a reader only sees that the stream was cut.
        let unpacked: Result<Layer, any Error>
        do {
            unpacked = .success(
                try await offloading { [images] in
                    let reading = OwnedFD(owning: reading)
                    return try images.importLayer(from: reading.raw, parent: base.layers.last?.chainID)
                })
        } catch { unpacked = .failure(error) }
        do { try await packing } catch {
            // EPIPE says that the reader has given up.
            if (error as? SystemError)?.code != EPIPE { throw error }
        }
        return try unpacked.get()
    }

    private static func configuration(_ record: ContainerRecord, override: ContainerConfig?, changes: [String]) throws -> RunConfig {
        var own = try JSON.decode(RunConfig.self, from: try JSON.value(record.config))
        // What belongs to this one container.
        own.hostname = nil
        own.domainname = nil
        own.macAddress = nil
        guard let override, override != ContainerConfig() else { return try ImageChanges.apply(changes, to: own) }
        let given = try ImageChanges.apply(changes, to: try JSON.decode(RunConfig.self, from: try JSON.value(override)))
        return given.filled(from: own)
    }

    private static func record(
        _ layer: Layer, on base: Image, config: RunConfig, request: CommitRequest, of record: ContainerRecord,
        reference: ImageReference?, in images: ImageStore
    ) throws -> Image {
        let now = Timestamp.now().description
        var document = base.config
        document.config = config
        document.created = now
        document.author = request.author
        document.comment = request.comment
        document.history =
            (document.history ?? []) + [
                ImageConfig.HistoryEntry(
                    created: now, author: request.author, createdBy: ([record.path] + record.arguments).joined(separator: " "),
                    comment: request.comment)
            ]
        return try images.createImage(
            config: document, layers: base.layers + [layer], parent: base.id, tags: reference.map { [$0] } ?? [])
    }
}
