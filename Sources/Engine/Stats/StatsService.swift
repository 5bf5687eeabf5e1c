internal import EngineTypes
public import JSON
internal import Linux
internal import Logging
internal import Supervision

extension ContainerService {
    /// Emits a document a second until the client goes, or one.
    /// - Parameters:
    ///   - stream: whether to go on; else one document.
    ///   - oneShot: of one document: at once, without the sample of a second before to compare with.
    public func stats(_ id: String, stream: Bool, oneShot: Bool, emit: @escaping @Sendable (JSONValue) async throws -> Void) async throws {
        let container = try store.find(id)
        var before: ResourceSample?
        if !stream {
            if !oneShot, let first = await sample(container) {
                before = first
                try await Task.sleep(for: .seconds(1))
            }
            return try await emit(document(container).json(await sample(container), before: before))
        }
        while true {
            let sample = await sample(container)
            try await emit(document(container).json(sample, before: before))
            before = sample
            try await Task.sleep(for: .seconds(1))
            if (try? store.find(container.id)) == nil { return }
        }
    }

    private func document(_ container: Container) -> StatsDocument {
        StatsDocument(
            id: container.id, name: container.name, isUnified: HostFacts.isUnifiedCgroup, hostMemory: HostFacts.totalMemory)
    }

    /// Nil of a container that does not run, and of one whose figures cannot be read: its document has none, as in Docker.
    private func sample(_ container: Container) async -> ResourceSample? {
        guard let connection = try? container.connection() else { return nil }
        let mode = container.record.hostConfig.NetworkMode ?? ""
        let pid = mode == "host" || mode.hasPrefix("container:") ? nil : connection.containerPID
        do { return try await offloading { try ResourceSample(try connection.cgroup(), networkOf: pid) } } catch {
            // Mostly it has ended since we looked, and its group with it.
            logger.debug("no figures of a container", metadata: ["container": "\(container.id)", "error": "\(error)"])
            return nil
        }
    }
}
