internal import Builder
public import EngineTypes
internal import Glibc
public import Images
public import JSON
internal import Linux
public import Logging
public import OCIImageSpec

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

    public func list(all: Bool, filters: Filters, sharedSize: Bool, descriptor: Bool, manifests: Bool) async throws -> [ImageSummary] {
        let (found, filter, contents) = try await offloading { [self] in
            let found = images.list()
            // An image whose documents can't be read is shown without them.
            let contents = found.map { descriptor || manifests ? (try? ImageContent(images, $0)) : nil }
            return (found, try ImageFilter(filters, images), contents)
        }
        let parents = Set(found.compactMap(\.parent))
        let layers = sharedSize ? LayerUsage(found) : nil
        return try zip(found, contents).compactMap { image, content in
            guard let names = filter.names(of: image, all: all, isBuiltOn: parents.contains(image.id)) else { return nil }
            var summary = Self.summary(image)
            // As Docker: of an image that is shown for a name, only the names that match.
            summary.RepoTags = names.tags.map(\.familiar)
            summary.RepoDigests = names.digests.map(\.familiar)
            if let layers { summary.SharedSize = layers.shared(by: image) }
            if descriptor { summary.Descriptor = try content.map { try JSON.value($0.manifest) } }
            if manifests {
                summary.Manifests = try content.map { [try $0.summary(image, containers.users(ofImage: image.id.description))] }
            }
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

    /// The image of a name, which must be for `platform` when that is given.
    func image(_ name: String, _ platform: Platform?) async throws -> Image {
        let image = try await offloading { [images] in try images.image(name) }
        if let platform { try image.config.check(platform, name: name) }
        return image
    }

    public func inspect(_ name: String, platform: Platform?, descriptor: Bool, manifests: Bool) async throws -> ImageInspect {
        let image = try await image(name, platform)
        let (directories, content) = try await offloading { [images] in
            // Shown without its descriptor when the documents can't be read; without manifests there would be no answer.
            let content: ImageContent? =
                if manifests { try ImageContent(images, image) } else if descriptor { try? ImageContent(images, image) } else { nil }
            return (images.layerDirectories(of: image), content)
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
        if descriptor { inspect.Descriptor = try content.map { try JSON.value($0.manifest) } }
        if manifests {
            inspect.Manifests = try content.map { [try $0.summary(image, containers.users(ofImage: image.id.description))] }
        }
        return inspect
    }

    public func history(_ name: String, platform: Platform?) async throws -> [ImageHistoryEntry] {
        let image = try await image(name, platform)
        return try await offloading { [images] in
            images.history(of: image).map { line in
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

    /// - Parameter platforms: at most one, which the image must be for; as with dockerd's own store, there is one in an image.
    public func remove(_ name: String, platforms: [Platform], force: Bool, noPrune: Bool) async throws -> [ImageDeletion] {
        if platforms.count > 1 { throw EngineError.invalid("multiple platforms are not supported") }
        let (before, steps) = try await offloading { [images, containers] in
            let before = images.list()
            let check = platforms.first.map { platform in { (config: ImageConfig) in try config.check(platform, name: name) } }
            let steps = try images.delete(name, force: force, noPrune: noPrune, check: check) {
                containers.users(ofImage: $0.description)
            }
            return (before, steps)
        }
        return report(steps, of: before)
    }

    /// The steps for the answer, and their events. Layers, which are deleted too, have none.
    @discardableResult
    func report(_ steps: [ImageDeletionStep], of before: [Image]) -> [ImageDeletion] {
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
        let filter = try PruneFilter(filters, known: ["dangling", "until"])
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
        events.publishPrune("image", reclaimed: reclaimed)
        return answer
    }

    // MARK: In and out

    public func load(source: Int32, quiet: Bool, platform: Platform?, emit: @escaping @Sendable (JSONValue) async throws -> Void)
        async throws
    {
        defer { _ = close(source) }
        let loaded = try await offloading { [images] in try images.load(from: source, platform: platform) }
        for image in loaded {
            if let whole = try? await offloading({ [images] in try images.image(image.id.description) }) {
                events.publish("load", of: whole)
            }
            if image.wasDamaged { try await emit(["stream": .string("Restored image that was damaged: \(image.id.short)\n")]) }
            if image.references.isEmpty { try await emit(["stream": .string("Loaded image ID: \(image.id)\n")]) }
            for reference in image.references {
                if let old = image.replaced[reference] {
                    let words = "The image \(reference.familiar) already exists, renaming the old one with ID \(old) to empty string\n"
                    try await emit(["stream": .string(words)])
                }
                try await emit(["stream": .string("Loaded image: \(reference.familiar)\n")])
            }
        }
    }

    public func save(names: [String], platform: Platform?) async throws -> Int32 {
        guard !names.isEmpty else { throw EngineError.invalid("no image names given") }
        // Named before the stream begins, so that a missing one is a 404 and no torn archive.
        var saved: [Image] = []
        for name in names { saved.append(try await image(name, platform)) }
        let pipe = try OwnedFD.pipe()
        let written = saved
        let writing = pipe.writing.duplicateRaw()
        Task { [images, events, logger] in
            defer { _ = close(writing) }
            do {
                try await offloaded { try images.save(names: names, to: writing) }
                for image in written { events.publish("save", of: image) }
            } catch {
                logger.warning("saving images failed", metadata: ["error": "\(error)"])
            }
        }
        return pipe.reading.duplicateRaw()
    }
}
