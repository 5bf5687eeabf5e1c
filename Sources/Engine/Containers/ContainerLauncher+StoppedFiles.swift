internal import EngineTypes
internal import Images
internal import Linux
internal import ShimProtocol
internal import Volumes

extension ContainerLauncher {
    /// Runs `body` with the files of a container that does not run, as it would see them: its volumes, bind mounts and network files
    /// included, as Docker mounts them for `docker cp`.
    func withStoppedFiles<Result>(
        of record: ContainerRecord, _ operation: RootfsRequest.Operation, _ body: (RootfsRequest) async throws -> Result
    ) async throws -> Result {
        let layers = try await offloading { [images, initLayers] in try initLayers.layers(of: try images.image(record.imageID)) }
        let identities = try await ContainerIdentities.make(record.hostConfig, ownNetwork: false, configuration, supervisor, networks)
        // Users of a volume are told apart by name; the container may start meanwhile.
        let user = ContainerNames.newID()
        do {
            try await copyImageContentIntoVolumes(record, layers: layers, identities, user: user)
            let root = identities.rootForHelpers
            let paths = configuration.paths(of: record.id)
            let request = RootfsRequest(
                target: .overlay(Overlay(layers: layers, upper: paths.upper, work: paths.work, mappedRoot: root)), operation: operation,
                mounts: try await offloading { [self] in try stoppedMounts(record, paths, root) })
            let result = try await body(request)
            withExtendedLifetime(identities) {}
            await release(record, user: user)
            return result
        } catch {
            await release(record, user: user)
            throw error
        }
    }

    private func stoppedMounts(
        _ record: ContainerRecord, _ paths: EngineConfiguration.ContainerPaths, _ root: MappedRoot?
    ) throws -> [MountSource] {
        let own = [(paths.resolvConf, "/etc/resolv.conf"), (paths.hostname, "/etc/hostname"), (paths.hosts, "/etc/hosts")]
            // Made at the first start.
            .filter { Files.exists($0.0) }.map { MountSource(origin: .directory($0.0), subpath: "", place: $0.1) }
        let given: [MountSource] = try record.mounts.compactMap { mount in
            switch mount.kind {
            case .tmpfs: return nil
            case .image:
                let layers = images.layerDirectories(of: try images.image(mount.source))
                return MountSource(origin: .layers(layers, mappedRoot: root), subpath: mount.subpath, place: mount.destination)
            case .bind, .volume:
                if mount.createsSource && !Files.exists(mount.source) { try configuration.makeBindSource(mount.source) }
                return MountSource(
                    origin: .directory(mount.source), subpath: mount.subpath, place: mount.destination, isReadOnly: mount.isReadOnly,
                    isRecursive: mount.isRecursive)
            }
        }
        let covered = Set(given.map(\.place))
        return (own.filter { !covered.contains($0.place) } + given).enumerated().sorted { left, right in
            let (a, b) = (left.element.place.split(separator: "/").count, right.element.place.split(separator: "/").count)
            return (a, left.offset) < (b, right.offset)
        }.map(\.element)
    }

    private func release(_ record: ContainerRecord, user: String) async {
        let names = record.mounts.filter { $0.kind == .volume }.map(\.name)
        try? await offloading { [volumes] in for name in names { try volumes.release(name, user: user) } }
    }
}
