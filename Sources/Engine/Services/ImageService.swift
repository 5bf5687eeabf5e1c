internal import Builder
public import EngineTypes
internal import Glibc
public import Images
public import JSON
internal import Linux
public import Logging
internal import OCIImageSpec

/// What the API asks for images.
public final class ImageService: Sendable {
    let images: ImageStore
    let transfers: ImageTransfers
    let containers: ContainerService
    let events: EventBus
    private let logger: Logger

    public init(images: ImageStore, transfers: ImageTransfers, containers: ContainerService, events: EventBus, logger: Logger) {
        self.images = images
        self.transfers = transfers
        self.containers = containers
        self.events = events
        self.logger = logger
    }

    // MARK: Show

    public func list(all: Bool, filters: Filters, sharedSize: Bool, digests: Bool) async throws -> [ImageSummary] {
        let (found, filter) = try await offloading { [images] in (images.list(), try ImageFilter(filters, images)) }
        let parents = Set(found.compactMap(\.parent))
        let layers = sharedSize ? LayerUsage(found) : nil
        return found.compactMap { image in
            guard let names = filter.names(of: image, all: all, isBuiltOn: parents.contains(image.id)) else { return nil }
            var summary = Self.summary(image)
            // As Docker: of an image that is shown for a name, only the names that match.
            summary.RepoTags = names.tags.map(\.familiar)
            summary.RepoDigests = names.digests.map(\.familiar)
            if let layers { summary.SharedSize = layers.shared(by: image) }
            return summary
        }
    }

    /// What is costly to tell is left at -1, as Docker does: shared bytes, and how many containers use it.
    static func summary(_ image: Image) -> ImageSummary {
        ImageSummary(
            Id: image.id.description, ParentId: image.parent?.description ?? "", RepoTags: image.references.map(\.familiar),
            RepoDigests: image.repoDigests.map(\.familiar), Created: image.createdAt.seconds, Size: image.size,
            Labels: image.config.config?.labels)
    }

    public func inspect(_ name: String) async throws -> ImageInspect {
        let (image, directories) = try await offloading { [images] in
            let image = try images.image(name)
            return (image, images.layerDirectories(of: image))
        }
        let config = image.config
        var inspect = ImageInspect(
            Id: image.id.description, RepoTags: image.references.map(\.familiar), RepoDigests: image.repoDigests.map(\.familiar),
            Parent: image.parent?.description ?? "", Comment: config.comment ?? "", Created: config.created ?? "",
            Author: config.author ?? "",
            Config: try JSON.value(config.config ?? RunConfig()), Architecture: config.architecture, Variant: config.variant, Os: config.os,
            Size: image.size,
            GraphDriver: DriverData(
                Data: directories.isEmpty
                    ? [:]
                    : ["UpperDir": directories[0]].merging(
                        directories.count > 1 ? ["LowerDir": directories.dropFirst().joined(separator: ":")] : [:]
                    ) { $1 },
                Name: "overlay2"),
            RootFS: .init(Type: "layers", Layers: image.layers.map(\.diffID.description)),
            Metadata: .init(LastTagTime: (image.lastTaggedAt ?? .never).description))
        inspect.VirtualSize = image.size
        return inspect
    }

    public func history(_ name: String) async throws -> [ImageHistoryEntry] {
        try await offloading { [images] in
            images.history(of: try images.image(name)).map { line in
                ImageHistoryEntry(
                    Id: line.id?.description ?? "<missing>", Created: line.created.seconds, CreatedBy: line.createdBy,
                    Tags: line.references.isEmpty ? nil : line.references.map(\.familiar), Size: line.size, Comment: line.comment)
            }
        }
    }

    // MARK: Change

    public func tag(_ name: String, repository: String, tag: String) async throws {
        let reference = try Self.reference(repository, tag: tag)
        if ["sha256", "sha512"].contains(reference.familiarName) {
            throw EngineError.invalid("refusing to create an ambiguous tag using digest algorithm as name")
        }
        let image = try await offloading { [images] in
            try images.tag(name, as: reference)
            return try images.image(name)
        }
        events.publish("tag", of: image, name: reference.familiar)
    }

    static func reference(_ repository: String, tag: String?) throws(EngineError) -> ImageReference {
        let text = repository + (tag.flatMap { $0.isEmpty ? nil : ":\($0)" } ?? "")
        do throws(ReferenceError) { return try ImageReference(text).withDefaultTag } catch {
            throw .invalid(error.description, cause: error)
        }
    }

    public func remove(_ name: String, force: Bool, noPrune: Bool) async throws -> [ImageDeletion] {
        let (before, steps) = try await offloading { [images, containers] in
            let before = images.list()
            return (before, try images.delete(name, force: force, noPrune: noPrune) { containers.users(ofImage: $0.description) })
        }
        return report(steps, of: before)
    }

    /// The steps for the answer, and their events. Layers, which are deleted too, have none.
    private func report(_ steps: [ImageDeletionStep], of before: [Image]) -> [ImageDeletion] {
        steps.map { step in
            switch step {
            case .untagged(let reference):
                if let image = before.first(where: { $0.references.contains(reference) || $0.repoDigests.contains(reference) }) {
                    events.publish("untag", of: image)
                }
                return ImageDeletion(Untagged: reference.familiar)
            case .deleted(let digest):
                let text = digest.description
                if before.contains(where: { $0.id == digest }) {
                    events.publish("image", "delete", id: text, attributes: ["name": text])
                }
                return ImageDeletion(Deleted: text)
            }
        }
    }

    public func prune(filters: Filters) async throws -> PruneReport {
        let report = try await removeUnused(filters: filters, known: ["dangling", "until"])
        events.publishPrune("image", reclaimed: report.SpaceReclaimed)
        return report
    }

    /// What prunes of images and of the builder's cache have in common.
    func removeUnused(filters: Filters, known: Set<String>) async throws -> PruneReport {
        let filter = try PruneFilter(filters, known: known)
        let all = try filters.flag("dangling") == false
        let (before, steps, reclaimed) = try await offloading { [images, containers] in
            let before = images.list()
            let (steps, reclaimed) = try images.prune(all: all, users: { containers.users(ofImage: $0.description) }) { image in
                filter.matches(labels: image.config.config?.labels ?? [:], created: image.createdAt)
            }
            return (before, steps, reclaimed)
        }
        var answer = PruneReport()
        answer.ImagesDeleted = report(steps, of: before)
        answer.SpaceReclaimed = reclaimed
        return answer
    }

    // MARK: In and out

    public func importRootfs(
        source: Int32, repository: String?, tag: String?, message: String?, changes: [String], platform: String?,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        defer { _ = close(source) }
        let reference = try repository.flatMap { $0.isEmpty ? nil : $0 }.map { try Self.reference($0, tag: tag) }
        let config = try ImageChanges.apply(changes, to: RunConfig())
        let target: Platform
        if let platform, !platform.isEmpty {
            guard let parsed = Platform(parsing: platform) else {
                throw EngineError.invalid("\"\(platform)\": unknown operating system or architecture: invalid argument")
            }
            target = parsed
        } else {
            target = .host
        }
        let image = try await offloading { [images] in
            try images.importRootfs(from: source, config: config, message: message ?? "", platform: target, reference: reference)
        }
        if let reference { events.publish("tag", of: image, name: reference.familiar) }
        events.publish("import", of: image)
        try await emit(["status": .string(image.id.description)])
    }

    public func load(source: Int32, quiet: Bool, emit: @escaping @Sendable (JSONValue) async throws -> Void) async throws {
        defer { _ = close(source) }
        let loaded = try await offloading { [images] in try images.load(from: source) }
        for image in loaded {
            if let whole = try? await offloading({ [images] in try images.image(image.id.description) }) {
                events.publish("load", of: whole)
            }
            if image.wasDamaged { try await emit(["stream": .string("Restored image that was damaged: \(image.id.short)\n")]) }
            if image.references.isEmpty { try await emit(["stream": .string("Loaded image ID: \(image.id)\n")]) }
            for reference in image.references { try await emit(["stream": .string("Loaded image: \(reference.familiar)\n")]) }
        }
    }

    public func save(names: [String]) async throws -> Int32 {
        guard !names.isEmpty else { throw EngineError.invalid("no image names given") }
        // Named before the stream begins, so that a missing one is a 404 and no torn archive.
        let saved = try await offloading { [images] in try names.map { try images.image($0) } }
        let pipe = try OwnedFD.pipe()
        let writing = pipe.writing.duplicateRaw()
        Task { [images, events, logger] in
            defer { _ = close(writing) }
            do {
                try await offloaded { try images.save(names: names, to: writing) }
                for image in saved { events.publish("save", of: image) }
            } catch {
                logger.warning("saving images failed", metadata: ["error": "\(error)"])
            }
        }
        return pipe.reading.duplicateRaw()
    }
}
