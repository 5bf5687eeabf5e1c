public import Builder
public import EngineTypes
internal import Glibc
internal import Images
public import JSON
internal import Linux
public import Logging
internal import OCIImageSpec
public import RegistryClient

/// What the API asks for builds: runs the builder on a thread of its own and hands its progress to the client.
public final class BuildService: Sendable {
    private let builder: ImageBuilder
    private let images: ImageService
    private let events: EventBus
    private let metrics: EngineMetrics
    private let logger: Logger

    public init(builder: ImageBuilder, images: ImageService, events: EventBus, metrics: EngineMetrics, logger: Logger) {
        self.metrics = metrics
        self.builder = builder
        self.images = images
        self.events = events
        self.logger = logger
    }

    /// The cache is made of images without a name, a step each: those that no image is built on go.
    /// - Parameters:
    ///   - all: whether the next build is to make every step again.
    ///   - filters: `until`, `label` and `label!` of the images.
    public func prune(all: Bool, filters: Filters) async throws -> PruneReport {
        let filter: BuildCacheFilter
        do throws(EngineError) {
            filter = try BuildCacheFilter(filters)
            _ = try PruneFilter(filter.common)
        } catch { throw EngineError(error.code, "failed to prune build cache: \(error.message)", cause: error) }
        // What was chosen goes with its image.
        if all && filters.isEmpty { try await offloading { [builder] in try builder.forgetCache() } }
        let removed = try await images.removeUnused(filters: filter.common, known: ["until"]) { filter.matches($0, isShared: $1) }
        var report = PruneReport()
        report.CachesDeleted = removed.ImagesDeleted?.compactMap(\.Deleted)
        report.SpaceReclaimed = removed.SpaceReclaimed
        events.publishPrune("builder", reclaimed: removed.SpaceReclaimed)
        return report
    }

    /// - Parameter credentials: who pulls base images, by registry.
    public func build(
        _ query: BuildQuery, credentials: [String: RegistryCredentials], context: Int32,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        defer { _ = close(context) }
        var request = try Self.request(query)
        request.credentials = credentials
        let asked = request
        let cancellation = BuildCancellation()
        let (progress, continuation) = AsyncStream.makeStream(of: BuildProgress.self)
        let said = Locked(false)
        let builder = self.builder
        let work = Task {
            defer { continuation.finish() }
            return try await offloaded {
                try builder.build(asked, context: context, cancellation: cancellation) { message in
                    said.withLock { $0 = true }
                    continuation.yield(message)
                }
            }
        }
        // With `quiet` what was done is told only when it failed.
        let held = try await withTaskCancellationHandler {
            do {
                var held: [BuildProgress] = []
                for await message in progress {
                    if query.quiet { held.append(message) } else { try await emit(message.json) }
                }
                return held
            } catch {
                // The client has gone: nobody wants the image.
                cancellation.cancel()
                _ = try? await work.value
                throw error
            }
        } onCancel: {
            cancellation.cancel()
        }
        do {
            let image = try await work.value
            metrics.built(failed: false)
            // With `quiet` the image is all that is told, as Docker does.
            if query.quiet { try await emit(BuildProgress.stream("\(image.id)\n").json) }
            events.publish("create", of: image)
            for tag in image.references.map(\.familiar) where query.tags.contains(where: { tag.hasPrefix($0) }) {
                events.publish("tag", of: image, name: tag)
            }
        } catch {
            metrics.built(failed: true)
            // Before the first message the status can still say it; after it only the stream can.
            guard said.current else { throw EngineError.from(error) }
            for message in held { try await emit(message.json) }
            try await emit(BuildProgress(error: error).json)
        }
    }

    private static func request(_ query: BuildQuery) throws(EngineError) -> BuildRequest {
        if !query.remote.isEmpty { throw .notImplemented("build from a remote context") }
        if !query.outputs.isEmpty { throw .notImplemented("build outputs") }
        if query.version == "2" { throw .notImplemented("BuildKit sessions: build with DOCKER_BUILDKIT=0") }
        var request = BuildRequest()
        request.dockerfile = query.dockerfile
        request.tags = query.tags
        request.target = query.target
        request.buildArguments = query.buildArguments
        request.labels = query.labels
        request.noCache = query.noCache
        request.pull = query.pull
        request.squash = query.squash
        request.platform = query.platform
        request.cacheFrom = query.cacheFrom
        request.networkMode = query.networkMode.isEmpty ? "default" : query.networkMode
        request.extraHosts = query.extraHosts
        request.resources.memory = query.memory
        request.resources.memorySwap = query.memorySwap
        request.resources.cpuShares = query.cpuShares
        request.resources.cpuPeriod = query.cpuPeriod
        request.resources.cpuQuota = query.cpuQuota
        request.resources.cpusetCpus = query.cpusetCpus
        request.resources.cpusetMems = query.cpusetMems
        request.resources.cgroupParent = query.cgroupParent
        request.resources.shmSize = query.shmSize
        return request
    }
}
