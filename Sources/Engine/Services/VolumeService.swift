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
        let found = try await offloading { [volumes] in volumes.list() }
        let shown = found.filter { volume in
            if let wanted = filters["name"], !wanted.contains(where: { volume.name.contains($0) }) { return false }
            if let wanted = filters["driver"], !wanted.contains(volume.driver) { return false }
            if let wanted = filters["label"], !Filters.labels(volume.labels, satisfy: wanted) { return false }
            if let wanted = filters["dangling"], ["true", "1"].contains(wanted[0]) != containers.users(ofVolume: volume.name).isEmpty {
                return false
            }
            return true
        }
        return VolumeList(Volumes: shown.map(Self.resource))
    }

    public func create(_ request: VolumeCreateRequest) async throws -> VolumeResource {
        let volume = try await offloading { [volumes] in
            try volumes.create(
                name: request.Name ?? "", driver: request.Driver.flatMap { $0.isEmpty ? nil : $0 } ?? "local",
                options: request.DriverOpts ?? [:],
                labels: request.Labels ?? [:])
        }
        events.publish("volume", "create", id: volume.name, attributes: ["driver": volume.driver])
        return Self.resource(volume)
    }

    public func inspect(_ name: String) async throws -> VolumeResource {
        Self.resource(try await offloading { [volumes] in try volumes.volume(name) })
    }

    public func remove(_ name: String, force: Bool) async throws {
        try await offloading { [volumes, containers] in try volumes.remove(name, force: force) { containers.users(ofVolume: $0) } }
        events.publish("volume", "destroy", id: name, attributes: ["driver": "local"])
    }

    public func prune(filters: Filters) async throws -> PruneReport {
        try filters.requireOnly(["all", "label", "label!"])
        let all = filters["all"].map { ["true", "1"].contains($0[0]) } ?? false
        let (deleted, reclaimed) = try await offloading { [volumes, containers] in
            try volumes.prune(all: all, users: { containers.users(ofVolume: $0) }) { volume in
                if let wanted = filters["label"], !Filters.labels(volume.labels, satisfy: wanted) { return false }
                if let unwanted = filters["label!"], Filters.labels(volume.labels, satisfy: unwanted) { return false }
                return true
            }
        }
        var report = PruneReport()
        report.VolumesDeleted = deleted
        report.SpaceReclaimed = reclaimed
        return report
    }
}
