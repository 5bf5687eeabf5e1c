public import EngineTypes
internal import Linux
public import Volumes

/// What the API asks for volumes.
public final class VolumeService: Sendable {
    private let volumes: VolumeStore
    private let containers: ContainerService
    private let events: EventBus

    public init(volumes: VolumeStore, containers: ContainerService, events: EventBus) {
        self.volumes = volumes
        self.containers = containers
        self.events = events
    }

    static func resource(_ volume: Volume) -> VolumeResource {
        VolumeResource(
            CreatedAt: volume.createdAt.description, Driver: volume.driver, Labels: volume.labels.isEmpty ? nil : volume.labels,
            Mountpoint: volume.mountpoint,
            Name: volume.name, Options: volume.options.isEmpty ? nil : volume.options)
    }

    public func list(filters: Filters) async throws -> VolumeList {
        try filters.requireOnly(["dangling", "driver", "label", "name"])
        let (names, dangling) = (NamePatterns(filters["name"]), try filters.flag("dangling"))
        let found = try await offloading { [volumes] in volumes.list() }
        let shown = found.filter { volume in
            if let names, !names.matches(volume.name) { return false }
            if let wanted = filters["driver"], !wanted.contains(volume.driver) { return false }
            if let wanted = filters["label"], !Filters.labels(volume.labels, satisfy: wanted) { return false }
            return dangling.map { $0 == containers.users(ofVolume: volume.name).isEmpty } ?? true
        }
        return VolumeList(Volumes: shown.map(Self.resource))
    }

    private static func prunesAll(_ filters: Filters) throws(EngineError) -> Bool {
        guard let given = filters["all"] else { return false }
        if given.count > 1 { throw .invalid("invalid filter 'all=[\(given.joined(separator: " "))]': only one value is expected") }
        switch given[0] {
        case "1", "t", "T", "true", "TRUE", "True": return true
        case "0", "f", "F", "false", "FALSE", "False": return false
        default: throw .invalid("invalid filter 'all': strconv.ParseBool: parsing \"\(given[0])\": invalid syntax")
        }
    }

    public func create(_ request: VolumeCreateRequest) async throws -> VolumeResource {
        let volume: Volume
        do {
            volume = try await offloading { [volumes] in
                try volumes.create(
                    name: request.Name ?? "", driver: request.Driver.flatMap { $0.isEmpty ? nil : $0 } ?? "local",
                    options: request.DriverOpts ?? [:],
                    labels: request.Labels ?? [:])
            }
        } catch { throw Self.creationFailure(request.Name ?? "", error) }
        return Self.resource(volume)
    }

    static func creationFailure(_ name: String, _ error: any Error) -> EngineError {
        let failure = EngineError.from(error)
        return name.isEmpty ? failure : EngineError(failure.code, "create \(name): \(failure.message)", cause: error)
    }

    public func inspect(_ name: String) async throws -> VolumeResource {
        Self.resource(try await offloading { [volumes] in try volumes.volume(name) })
    }

    public func remove(_ name: String, force: Bool) async throws {
        try await offloading { [volumes, containers] in try volumes.remove(name, force: force) { containers.users(ofVolume: $0) } }
    }

    /// Removes volumes that no container mentions: anonymous ones, all with the filter `all`.
    public func prune(filters: Filters) async throws -> PruneReport {
        let filter = try PruneFilter(filters, known: ["all"])
        let all = try Self.prunesAll(filters)
        let (deleted, reclaimed) = try await offloading { [volumes, containers] in
            try volumes.prune(all: all, users: { containers.users(ofVolume: $0) }) { volume in
                // As Docker: what is mounted on use holds nothing here.
                volume.options.isEmpty && filter.matches(labels: volume.labels, created: volume.createdAt)
            }
        }
        var report = PruneReport()
        report.VolumesDeleted = deleted
        report.SpaceReclaimed = reclaimed
        events.publishPrune("volume", reclaimed: reclaimed)
        return report
    }
}
