internal import Builder
public import EngineTypes
internal import Images
internal import Linux
internal import OCIImageSpec
internal import Volumes

extension SystemService {
    public func diskUsage(kinds: Set<String>) async throws -> DiskUsage {
        var usage = DiskUsage()
        var records: [BuildCacheRecord] = []
        if !kinds.isDisjoint(with: ["image", "build-cache"]) {
            records = try await offloading { [builder, containers] in
                try builder.cacheRecords { containers.users(ofImage: $0.description) }
            }
        }
        if kinds.contains("image") {
            // What the cache alone holds is counted there.
            let cached = Set(records.filter { !$0.isShared }.map(\.id))
            let found = try await offloading { [images] in images.list().filter { !cached.contains($0.id.description) } }
            let layers = LayerUsage(found)
            usage.LayersSize = layers.total
            let parents = Set(found.compactMap(\.parent))
            usage.Images = found.filter { !$0.references.isEmpty || !parents.contains($0.id) }.map { image in
                var summary = ImageService.summary(image)
                summary.Containers = containers.users(ofImage: image.id.description).count
                summary.SharedSize = layers.shared(by: image)
                return summary
            }
        }
        if kinds.contains("container") {
            usage.Containers = try await containers.list(all: true, limit: nil, size: true, filters: Filters())
        }
        if kinds.contains("volume") {
            usage.Volumes = try await offloading { [volumes, containers] in
                try volumes.list().map { volume in
                    var resource = VolumeService.resource(volume)
                    resource.UsageData = VolumeResource.UsageData(
                        Size: try volumes.size(of: volume.name), RefCount: Int64(containers.users(ofVolume: volume.name).count))
                    return resource
                }
            }
        }
        if kinds.contains("build-cache") { usage.BuildCache = records.map(Self.entry) }
        return usage
    }

    private static func entry(_ record: BuildCacheRecord) -> BuildCacheEntry {
        BuildCacheEntry(
            ID: record.id, Parents: record.parent.map { [$0] }, Type: record.kind.rawValue, Description: record.description,
            InUse: record.isInUse, Shared: record.isShared, Size: record.size, CreatedAt: record.createdAt.description,
            LastUsedAt: record.lastUsedAt?.description, UsageCount: record.uses)
    }
}

/// Which layers are used by how many images.
struct LayerUsage {
    private var users: [Digest: Int] = [:]
    /// Bytes of all layers, each counted once.
    private(set) var total: Int64 = 0

    init(_ images: [Image]) {
        for layer in images.flatMap(\.layers) {
            if users[layer.chainID, default: 0] == 0 { total += layer.size }
            users[layer.chainID, default: 0] += 1
        }
    }

    /// Bytes of the layers that other images use too.
    func shared(by image: Image) -> Int64 {
        image.layers.reduce(0) { $0 + ((users[$1.chainID] ?? 0) > 1 ? $1.size : 0) }
    }
}
