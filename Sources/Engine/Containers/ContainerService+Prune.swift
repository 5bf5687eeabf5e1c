public import EngineTypes
internal import Linux
internal import Logging

extension ContainerService {
    /// Removes containers that do not run.
    /// - Parameter filters: `label`, `label!`, `until`.
    public func prune(filters: Filters) async throws -> PruneReport {
        let filter = try PruneFilter(filters)
        var report = PruneReport()
        var deleted: [String] = []
        var reclaimed: Int64 = 0
        for container in store.all where !container.isAlive {
            if case .restarting = container.phase { continue }
            let record = container.record
            guard filter.matches(labels: record.config.Labels ?? [:], created: Timestamp(record.created)) else { continue }
            let upper = configuration.paths(of: container.id).upper
            let size = (try? await offloading { try DirectorySize.bytes(of: upper) }) ?? 0
            do {
                try await lifecycle.remove(container, force: false, volumes: false)
                deleted.append(container.id)
                reclaimed += size
            } catch { logger.warning("cannot prune a container", metadata: ["container": "\(container.id)", "error": "\(error)"]) }
        }
        report.ContainersDeleted = deleted
        report.SpaceReclaimed = reclaimed
        lifecycle.events.publishPrune("container", reclaimed: reclaimed)
        return report
    }
}
