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
    private let policies: [BuildCachePolicy]
    /// When the cache was last cut down to its limits by itself, or is going to be.
    private let collection = Locked<ContinuousClock.Instant?>(nil)
    private let logger: Logger

    /// - Parameter policies: what the cache is kept to without being asked, one after the other; none: it grows.
    public init(
        builder: ImageBuilder, images: ImageService, events: EventBus, metrics: EngineMetrics, policies: [BuildCachePolicy], logger: Logger
    ) {
        self.policies = policies
        self.metrics = metrics
        self.builder = builder
        self.images = images
        self.events = events
        self.logger = logger
    }

    /// Removes records of the cache: of steps that no image holds, and cache mounts.
    public func prune(_ query: BuildPruneQuery) async throws -> PruneReport {
        let bounds = BuildCacheBounds(reserved: query.reserved, maxUsed: query.maxUsed, minFree: query.minFree)
        let rule: BuildCachePolicy
        do throws(EngineError) { rule = try BuildCachePolicy(all: query.all, filters: query.filters, bounds: bounds) } catch {
            throw EngineError(error.code, "failed to prune build cache: \(error.message)", cause: error)
        }
        let (deleted, reclaimed) = try await prune([rule])
        var report = PruneReport()
        report.CachesDeleted = deleted
        report.SpaceReclaimed = reclaimed
        events.publishPrune("builder", reclaimed: reclaimed)
        return report
    }

    private func prune(_ rules: [BuildCachePolicy]) async throws -> (deleted: [String], reclaimed: Int64) {
        try await offloading { [builder, images] in
            let before = images.images.list()
            // Ages count from now.
            let rules = try rules.map { BuildCacheRule(all: $0.all, bounds: $0.bounds, matches: try BuildCacheFilter($0.filters).matches) }
            return try builder.pruneCache(rules, users: { images.containers.users(ofImage: $0.description) }) {
                images.report($0, of: before)
            }
        }
    }

    /// Cuts the cache down to what the policies say, when that was not done within the last minute; else when the minute is over.
    public func collect() {
        if policies.isEmpty { return }
        let now = ContinuousClock.now
        let start = collection.withLock { (last) -> ContinuousClock.Instant? in
            if let last, last > now { return nil }
            let start = max(now, last.map { $0 + .seconds(60) } ?? now)
            last = start
            return start
        }
        guard let start else { return }
        Task(priority: .utility) {
            try? await Task.sleep(until: start)
            do {
                let (deleted, reclaimed) = try await prune(policies)
                if deleted.isEmpty { return }
                logger.info("build cache cut down to its limits", metadata: ["records": "\(deleted.count)", "bytes": "\(reclaimed)"])
            } catch { logger.warning("cannot cut the build cache down to its limits", metadata: ["error": "\(error)"]) }
        }
    }

    /// - Parameter credentials: who pulls base images, by registry.
    public func build(
        _ query: BuildQuery, credentials: [String: RegistryCredentials], context: Int32,
        emit: @escaping @Sendable (JSONValue) async throws -> Void
    ) async throws {
        defer {
            _ = close(context)
            collect()
        }
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
