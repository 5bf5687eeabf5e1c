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
    let containers: ContainerService
    private let events: EventBus
    private let logger: Logger

    public init(images: ImageStore, containers: ContainerService, events: EventBus, logger: Logger) {
        self.images = images
        self.containers = containers
        self.events = events
        self.logger = logger
    }

    // MARK: Show

    public func list(all: Bool, filters: Filters, sharedSize: Bool, digests: Bool) async throws -> [ImageSummary] {
        try filters.requireOnly(["dangling", "label", "before", "since", "reference", "until"])
        let found = try await offloading { [images] in images.list() }
        let before = try filters["before"].map { try images.image($0[0]).createdAt }
        let since = try filters["since"].map { try images.image($0[0]).createdAt }
        return found.filter { image in
            // Steps of a build without a name are shown only with `all`, unless nothing was built on them.
            if !all && filters["dangling"] == nil && image.references.isEmpty && found.contains(where: { $0.parent == image.id }) {
                return false
            }
            if let wanted = filters["dangling"] {
                let isDangling = image.references.isEmpty && !found.contains { $0.parent == image.id }
                if isDangling != ["true", "1"].contains(wanted[0]) { return false }
            }
            if let wanted = filters["label"], !Filters.labels(image.config.config?.labels ?? [:], satisfy: wanted) { return false }
            if let before, !(image.createdAt < before) { return false }
            if let since, !(since < image.createdAt) { return false }
            if let patterns = filters["reference"],
                !image.references.contains(where: { name in patterns.contains { Self.matches(name, $0) } })
            {
                return false
            }
            return true
        }.map { image in
            var summary = Self.summary(image, containers: containers)
            // As Docker: of an image that is shown for a name, only the names that match.
            if let patterns = filters["reference"] {
                summary.RepoTags = image.references.filter { name in patterns.contains { Self.matches(name, $0) } }.map(\.familiar)
            }
            return summary
        }
    }

    /// `name`, `name:tag` or a shell pattern of either.
    private static func matches(_ reference: ImageReference, _ pattern: String) -> Bool {
        [reference.familiar, reference.familiarName].contains { (name: String) in fnmatch(pattern, name, FNM_PATHNAME) == 0 }
    }

    static func summary(_ image: Image, containers: ContainerService) -> ImageSummary {
        ImageSummary(
            Id: image.id.description, ParentId: image.parent?.description ?? "", RepoTags: image.references.map(\.familiar),
            RepoDigests: image.repoDigests.map(\.familiar), Created: image.createdAt.seconds, Size: image.size,
            Labels: image.config.config?.labels,
            Containers: containers.users(ofImage: image.id.description).count)
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
        let id = try await offloading { [images] in
            try images.tag(name, as: reference)
            return try images.image(name).id
        }
        events.publish("image", "tag", id: id.description, attributes: ["name": reference.familiar])
    }

    static func reference(_ repository: String, tag: String?) throws(EngineError) -> ImageReference {
        let text = repository + (tag.flatMap { $0.isEmpty ? nil : ":\($0)" } ?? "")
        do throws(ReferenceError) { return try ImageReference(text).withDefaultTag } catch {
            throw .invalid(error.description, cause: error)
        }
    }

    public func remove(_ name: String, force: Bool, noPrune: Bool) async throws -> [ImageDeletion] {
        let steps = try await offloading { [images, containers] in
            try images.delete(name, force: force, noPrune: noPrune) { containers.users(ofImage: $0.description) }
        }
        return steps.map(report)
    }

    /// One step for the answer, and its event.
    private func report(_ step: ImageDeletionStep) -> ImageDeletion {
        switch step {
        case .untagged(let reference):
            events.publish("image", "untag", id: reference.familiar, attributes: ["name": reference.familiar])
            return ImageDeletion(Untagged: reference.familiar)
        case .deleted(let digest):
            events.publish("image", "delete", id: digest.description, attributes: ["name": digest.description])
            return ImageDeletion(Deleted: digest.description)
        }
    }

    public func prune(filters: Filters) async throws -> PruneReport {
        try filters.requireOnly(["dangling", "label", "label!", "until"])
        if filters["until"] != nil { throw EngineError.notImplemented("prune filter until") }
        let all = filters["dangling"].map { ["false", "0"].contains($0[0]) } ?? false
        let (steps, reclaimed) = try await offloading { [images, containers] in
            try images.prune(all: all, users: { containers.users(ofImage: $0.description) }) { image in
                let labels = image.config.config?.labels ?? [:]
                if let wanted = filters["label"], !Filters.labels(labels, satisfy: wanted) { return false }
                if let unwanted = filters["label!"], Filters.labels(labels, satisfy: unwanted) { return false }
                return true
            }
        }
        var answer = PruneReport()
        answer.ImagesDeleted = steps.map(report)
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
        events.publish("image", "import", id: image.id.description, attributes: ["name": reference?.familiar ?? image.id.description])
        try await emit(["status": .string(image.id.description)])
    }

    public func load(source: Int32, quiet: Bool, emit: @escaping @Sendable (JSONValue) async throws -> Void) async throws {
        defer { _ = close(source) }
        let loaded = try await offloading { [images] in try images.load(from: source) }
        for image in loaded {
            events.publish(
                "image", "load", id: image.id.description, attributes: ["name": image.references.first?.familiar ?? image.id.description])
            if image.references.isEmpty { try await emit(["stream": .string("Loaded image ID: \(image.id)\n")]) }
            for reference in image.references { try await emit(["stream": .string("Loaded image: \(reference.familiar)\n")]) }
        }
    }

    public func save(names: [String]) async throws -> Int32 {
        guard !names.isEmpty else { throw EngineError.invalid("no image names given") }
        // Named before the stream begins, so that a missing one is a 404 and no torn archive.
        for name in names { _ = try await offloading { [images] in try images.image(name).id } }
        let pipe = try OwnedFD.pipe()
        let writing = pipe.writing.duplicateRaw()
        Task { [images, logger] in
            defer { _ = close(writing) }
            do { try await offloaded { try images.save(names: names, to: writing) } } catch {
                logger.warning("saving images failed", metadata: ["error": "\(error)"])
            }
        }
        return pipe.reading.duplicateRaw()
    }
}
