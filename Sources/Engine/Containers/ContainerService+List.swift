public import EngineTypes
internal import Images
internal import Linux
internal import Networking
internal import OCIImageSpec

// `docker ps`. Waits for nothing but memory: what a container shows is kept until its record changes.
extension ContainerService {
    /// - Parameters:
    ///   - limit: the newest so many, running or not; nil or 0 for no limit.
    ///   - size: walks the writable layer of each container, which takes time.
    public func list(all: Bool, limit: Int?, size: Bool, filters: Filters) async throws -> [ContainerSummary] {
        let networks = filters["network"] == nil ? [] : lifecycle.launcher.networks.networks()
        let filter = filters.values.isEmpty ? nil : try ContainerFilter(filters, store: store, images: images, networks: networks)
        let showsAll = all || limit != nil || filter?.impliesAll == true
        var containers = store.all.filter { (showsAll || $0.apiState.Running) && filter?.matches($0) != false }
            .map { (created: $0.created, container: $0) }
        containers.sort { $0.created > $1.created }
        if let limit, limit > 0 { containers = Array(containers.prefix(limit)) }
        let linkNames = store.linkNames()
        var imageNames = ImageNames(images: images)
        var result: [ContainerSummary] = []
        result.reserveCapacity(containers.count)
        for (_, container) in containers {
            var summary = Self.summary(container, &imageNames)
            if let names = linkNames[container.id] { summary.Names += names }
            if size {
                let upper = configuration.paths(of: container.id).upper
                let written: Int64
                do { written = try await offloading { try DirectorySize.bytes(of: upper) } } catch {
                    // Its files went while the list was made.
                    if case .removing = container.phase { continue }
                    throw error
                }
                summary.SizeRw = written
                summary.SizeRootFs = written + ((try? await imageSize(summary.ImageID)) ?? 0)
            }
            result.append(summary)
        }
        return result
    }

    private static func summary(_ container: Container, _ imageNames: inout ImageNames) -> ContainerSummary {
        var summary = container.summary(of: summary)
        let state = container.apiState
        summary.Image = imageNames.shown(summary.Image, of: summary.ImageID)
        if !state.Running { summary.Ports = [] }
        summary.State = state.Status
        summary.Status = StatusText.text(state)
        summary.Reason = state.Reason
        return summary
    }

    /// What the record alone tells: the image as the user named it, the ports as they are while it runs, no state.
    private static func summary(_ record: ContainerRecord) -> ContainerSummary {
        let command = ([record.path] + record.arguments).map { $0.contains(" ") ? "'\($0)'" : $0 }.joined(separator: " ")
        return ContainerSummary(
            Id: record.id, Names: ["/\(record.name)"], Image: record.imageName, ImageID: record.imageID, Command: command,
            Created: Timestamp(record.created)?.seconds ?? 0, Ports: ports(record), Labels: record.config.Labels ?? [:], State: "",
            Status: "",
            HostConfig: .init(NetworkMode: record.hostConfig.NetworkMode ?? "default", Annotations: record.hostConfig.Annotations),
            NetworkSettings: .init(Networks: networkSettings(record).Networks), Mounts: mountPoints(record))
    }
}

/// The image of a container in a list: the name it was made with; its ID once the name is another image's, or nobody's.
private struct ImageNames {
    let images: ImageStore
    private var found: [String: String?] = [:]

    init(images: ImageStore) { self.images = images }

    mutating func shown(_ name: String, of id: String) -> String {
        if name == id { return id }
        if found[name] == nil { found[name] = .some(try? images.image(name).id.description) }
        return found[name] == id ? name : id
    }
}
