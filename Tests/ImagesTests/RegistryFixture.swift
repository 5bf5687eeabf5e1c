import Archive
import CLinux
import Glibc
import JSON
import Linux
import OCIImageSpec
import RegistryClient
import Synchronization
import Testing

@testable import Images

/// What a transfer has told.
final class Told: Sendable {
    private let events = Mutex<[TransferProgress]>([])

    @Sendable func add(_ event: TransferProgress) { events.withLock { $0.append(event) } }

    func take() -> [TransferProgress] {
        events.withLock { events in
            defer { events = [] }
            return events
        }
    }
}

struct Puller: Sendable {
    let transfers: ImageTransfers
    let told: Told

    @discardableResult
    func pull(_ name: String, platform: String? = nil) async throws -> PulledImage {
        try await transfers.pull(
            try ImageReference(name), platform: platform.map { try Platform(parsing: $0) }, credentials: .anonymous, report: told.add)
    }
}

/// A store, a registry in memory, and what goes between them.
final class RegistryFixture {
    let local: Fixture
    let registry = MemoryRegistry()
    private(set) var transfers: ImageTransfers
    let told = Told()

    init(
        limits: TransferLimits = TransferLimits(retrySeconds: 0), parts: BlobParts.Sizes = BlobParts.Sizes(), blobPolicy: BlobPolicy = .keep
    ) throws {
        local = try Fixture(blobPolicy: blobPolicy)
        transfers = try ImageTransfers(store: local.store, access: registry, limits: limits, parts: parts)
    }

    var store: ImageStore { local.store }

    /// Makes ready for another store.
    func use(_ store: ImageStore) throws -> ImageTransfers {
        try ImageTransfers(store: store, access: registry, limits: TransferLimits(retrySeconds: 0))
    }

    /// For tasks beside the test's own.
    var puller: Puller { Puller(transfers: transfers, told: told) }

    @discardableResult
    func pull(_ name: String, platform: String? = nil, with other: ImageTransfers? = nil) async throws -> PulledImage {
        try await Puller(transfers: other ?? transfers, told: told).pull(name, platform: platform)
    }

    func push(_ name: String) async throws {
        try await transfers.push(try ImageReference(name), credentials: .anonymous, report: told.add)
    }

    /// What was told since the last look: messages, and what was said of each layer.
    func takeTold() -> (messages: [String], layers: [String: [LayerStatus]]) {
        let events = told.take()
        var messages: [String] = []
        var layers: [String: [LayerStatus]] = [:]
        for event in events {
            switch event {
            case .message(let id?, let text): messages.append("\(id): \(text)")
            case .message(nil, let text): messages.append(text)
            case .layer(let digest, let status): layers[digest.short, default: []].append(status)
            case .importing: break
            case .tagPushed(let tag, let digest, let size): messages.append("\(tag): digest: \(digest) size: \(size)")
            }
        }
        return (messages, layers)
    }

    /// Packs by the machine's own tools, not by ours.
    func packed(_ bytes: [UInt8], by tool: String) throws -> [UInt8] {
        let path = "\(local.path)/pack-\(UInt64.random(in: 0 ... .max))"
        try OwnedFD.open(path, O_WRONLY | O_CREAT).writeAll(bytes)
        try shell("\(tool) < \(path) > \(path).out")
        return try Files.read("\(path).out")
    }

    /// An image in the registry.
    struct Published {
        var config: [UInt8]
        var manifest: Manifest
        var digest: Digest
        var id: Digest { manifest.config.digest }
    }

    /// Puts an image there whose layers hold a file each. `tools` pack the layers: `cat`, `gzip -n`, `zstd -q`.
    func publish(
        _ name: String, files: [[(String, [UInt8])]], tools: [String] = ["gzip -n"], platform: Platform = .host,
        created: String = "2024-01-01T00:00:00Z",
        edit: (inout Manifest) -> Void = { _ in }
    ) throws -> Published {
        let reference = try ImageReference(name).withDefaultTag
        var diffIDs: [Digest] = []
        var layers: [Descriptor] = []
        for (index, content) in files.enumerated() {
            let plain = try tar(content)
            let tool = tools[index % tools.count]
            let bytes = tool == "cat" ? plain : try packed(plain, by: tool)
            let type = tool == "cat" ? MediaType.ociLayer : tool.hasPrefix("zstd") ? MediaType.ociLayerZstd : MediaType.ociLayerGzip
            diffIDs.append(try ContentHash.digest(of: plain))
            layers.append(Descriptor(mediaType: type, digest: try registry.put(blob: bytes, in: reference.name), size: Int64(bytes.count)))
        }
        var config = ImageConfig(platform: platform, config: RunConfig(), created: created)
        config.rootfs = .init(diffIDs: diffIDs)
        let configBytes = try JSON.encode(config)
        let id = try registry.put(blob: configBytes, in: reference.name)
        var manifest = Manifest(
            config: Descriptor(mediaType: MediaType.ociConfig, digest: id, size: Int64(configBytes.count)), layers: layers)
        edit(&manifest)
        let digest = try registry.put(
            manifest: try JSON.encode(manifest), mediaType: MediaType.ociManifest, in: reference.name, tag: reference.tag)
        return Published(config: configBytes, manifest: manifest, digest: digest)
    }

    /// A file that does not pack to nothing.
    static func noise(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var value = seed
        return (0..<count).map { _ in
            value = value &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: value >> 33)
        }
    }
}

/// Waits for what another task does.
func eventually(_ condition: () throws -> Bool) async throws {
    for _ in 0..<1000 {
        if try condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("did not become true within 10 s")
}

/// What an operation is refused with.
func refusal(_ body: () async throws -> Void) async -> String {
    do {
        try await body()
        return "not refused"
    } catch { return "\(error)" }
}
