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

@Suite struct Pushing {
    @Test func anImageMadeHere() async throws {
        let fixture = try RegistryFixture()
        let base = try fixture.local.makeImage("base", content: ["a": String(repeating: "clipper ", count: 400_000)])
        let image = try fixture.local.makeImage("reg.io/made:1", content: ["b": "2"], parent: base)
        try await fixture.push("reg.io/made:1")
        let stored = fixture.registry.contents(of: "reg.io/made")
        let digest = try #require(stored.tags["1"])
        let (bytes, mediaType) = try #require(stored.manifests[digest])
        let manifest = try JSON.decode(Manifest.self, from: bytes)
        #expect(
            mediaType == MediaType.dockerManifest && manifest.mediaType == mediaType && manifest.config.mediaType == MediaType.dockerConfig)
        #expect(manifest.layers.map(\.mediaType) == [MediaType.dockerLayerGzip, MediaType.dockerLayerGzip])
        #expect(manifest.config.digest == image.id && manifest.layers[0].size < 400_000)
        let (messages, layers) = fixture.takeTold()
        #expect(messages == ["The push refers to repository [reg.io/made]", "1: digest: \(digest) size: \(bytes.count)"])
        for layer in image.layers {
            #expect(layers[layer.diffID.short]?.first == .preparing && layers[layer.diffID.short]?.last == .pushed)
        }
        #expect(try fixture.store.image("reg.io/made:1").repoDigests.map(\.familiar) == ["reg.io/made@\(digest)"])

        // Again: nothing is packed, nothing sent, and the digest is the same.
        fixture.registry.forgetRequests()
        try await fixture.push("reg.io/made:1")
        #expect(fixture.registry.requests.allSatisfy { $0.hasPrefix("HEAD") || $0.hasPrefix("PUT manifest") })
        #expect(fixture.registry.contents(of: "reg.io/made").tags["1"] == digest)
        #expect(fixture.takeTold().layers.values.allSatisfy { $0.last == .existsInRegistry })

        // Another store gets the same image.
        let other = try Fixture()
        let pulled = try await fixture.pull("reg.io/made:1", with: try fixture.use(other.store))
        #expect(pulled.image.id == image.id)
        #expect(try Files.readText("\(pulled.image.layers[1].directory)/b") == "2")
    }

    @Test func anImageThatCameKeepsItsDigestAndIsMounted() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("reg.io/from:1", files: [[("a", [1])], [("b", [2])]], tools: ["gzip -n", "zstd -q"])
        try await fixture.pull("reg.io/from:1")
        try fixture.store.tag("reg.io/from:1", as: try ImageReference("reg.io/to:2"))
        _ = fixture.takeTold()
        fixture.registry.forgetRequests()
        try await fixture.push("reg.io/to:2")
        #expect(fixture.registry.contents(of: "reg.io/to").tags["2"] == image.digest)
        // Only the config went over the wire.
        #expect(fixture.registry.requests.filter { $0.hasPrefix("upload") } == ["upload \(image.id.short)"])
        let layers = fixture.takeTold().layers
        #expect(layers.count == 2 && layers.values.allSatisfy { $0.last == .mounted(from: "from") })
        // Where mounting is refused it is sent; another registry is never asked to mount.
        fixture.registry.state.withLock { $0.mountsWork = false }
        for name in ["reg.io/third:1", "other.io/x:1"] {
            try fixture.store.tag("reg.io/from:1", as: try ImageReference(name))
            fixture.registry.forgetRequests()
            try await fixture.push(name)
            #expect(fixture.registry.requests.count { $0.hasPrefix("upload") } == 3)
            #expect(fixture.registry.requests.contains { $0.hasPrefix("mount") } == name.hasPrefix("reg.io"))
            #expect(fixture.registry.contents(of: try ImageReference(name).name).tags["1"] == image.digest)
        }
    }

    /// The same layer twice, packed in two ways: its manifest names both blobs, and a registry takes it only with both.
    @Test(arguments: [nil, "one that this store would not make"])
    func oneLayerAsTwoBlobs(_ annotation: String?) async throws {
        let fixture = try RegistryFixture()
        let twice = [("a", RegistryFixture.noise(9_000))]
        let image = try fixture.publish("reg.io/from:1", files: [twice, [("b", [2])], twice], tools: ["gzip -n", "gzip -n", "zstd -q"]) {
            $0.annotations = annotation.map { ["note": $0] }
        }
        #expect(image.manifest.layers[0].digest != image.manifest.layers[2].digest)
        let pulled = try await fixture.pull("reg.io/from:1").image
        #expect(pulled.layers[0].diffID == pulled.layers[2].diffID && pulled.manifestDigest == image.digest)
        try fixture.store.tag("reg.io/from:1", as: try ImageReference("other.io/x:1"))
        _ = fixture.takeTold()
        try await fixture.push("other.io/x:1")
        let stored = fixture.registry.contents(of: "other.io/x")
        #expect(stored.tags["1"] == image.digest && image.manifest.layers.allSatisfy { stored.blobs[$0.digest] != nil })
        let told = fixture.takeTold().layers
        #expect(told.count == 2 && told.values.allSatisfy { $0.count { $0 == .preparing } == 1 })
    }

    @Test func builtOnWhatCame() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("reg.io/base", files: [[("a", [1])]])
        let base = try await fixture.pull("reg.io/base").image
        let built = try fixture.local.makeImage("reg.io/built:1", content: ["b": "2"], parent: base)
        try await fixture.push("reg.io/built:1")
        let stored = fixture.registry.contents(of: "reg.io/built")
        let digest = try #require(stored.tags["1"])
        let manifest = try JSON.decode(Manifest.self, from: try #require(stored.manifests[digest]).bytes)
        #expect(manifest.layers[0].digest == image.manifest.layers[0].digest && manifest.config.digest == built.id)
        #expect(fixture.takeTold().layers[base.layers[0].diffID.short]?.last == .mounted(from: "base"))
    }

    @Test func zstdNeedsAnOCIManifest() async throws {
        let fixture = try RegistryFixture()
        _ = try fixture.publish("reg.io/base", files: [[("a", [1])]], tools: ["zstd -q"])
        let base = try await fixture.pull("reg.io/base").image
        try fixture.local.makeImage("reg.io/built:1", content: ["b": "2"], parent: base)
        try await fixture.push("reg.io/built:1")
        let stored = fixture.registry.contents(of: "reg.io/built")
        let digest = try #require(stored.tags["1"])
        let (bytes, mediaType) = try #require(stored.manifests[digest])
        let manifest = try JSON.decode(Manifest.self, from: bytes)
        #expect(mediaType == MediaType.ociManifest && manifest.config.mediaType == MediaType.ociConfig)
        #expect(manifest.layers.map(\.mediaType) == [MediaType.ociLayerZstd, MediaType.ociLayerGzip])
    }

    @Test func allTagsAndNone() async throws {
        let fixture = try RegistryFixture()
        try fixture.local.makeImage("reg.io/x:1", "reg.io/x:2")
        try await fixture.push("reg.io/x")
        #expect(fixture.registry.contents(of: "reg.io/x").tags.keys.sorted() == ["1", "2"])
        #expect(await refusal { try await fixture.push("reg.io/y") } == "An image does not exist locally with the tag: reg.io/y")
        #expect(await refusal { try await fixture.push("reg.io/x:3") } == "tag does not exist: reg.io/x:3")
        #expect(
            await refusal { try await fixture.push("reg.io/x@sha256:\(String(repeating: "a", count: 64))") }
                == "cannot push a digest reference")
    }

    @Test func uploadsAreTriedAgain() async throws {
        let fixture = try RegistryFixture()
        try fixture.local.makeImage("reg.io/x:1")
        fixture.registry.state.withLock { $0.failingUploads = 4 }
        try await fixture.push("reg.io/x:1")
        fixture.registry.state.withLock { $0.failingUploads = 5 }
        try fixture.local.makeImage("reg.io/y:1", content: ["z": "9"])
        #expect(await refusal { try await fixture.push("reg.io/y:1") } == "broken pipe")
        #expect(fixture.registry.contents(of: "reg.io/y").tags.isEmpty)
        try await eventually { try fixture.local.count("tmp") == 0 }
    }

    @Test func nothingGoesOutUnderAnothersDigest() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.local.makeImage("reg.io/x:1")
        try Files.write("\(image.layers[0].directory)/a", "changed")
        #expect(await refusal { try await fixture.push("reg.io/x:1") }.contains("is not what it was"))
        #expect(fixture.registry.contents(of: "reg.io/x").blobs.isEmpty)
    }

    /// Sizes around the edges of blocks; what ours packs, everybody's gzip unpacks.
    @Test(arguments: [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5_000_000]) func gzip(_ count: Int) throws {
        let fixture = try RegistryFixture()
        let bytes = Array(RegistryFixture.noise(count / 2) + [UInt8](repeating: 65, count: count - count / 2))
        var packed: [[UInt8]] = []
        for parallel in [1, 2, 3] {
            let sink = MemorySink()
            let gzip = try GzipSink(sink, parallel: parallel)
            try bytes.withUnsafeBytes { whole in
                for start in stride(from: 0, to: count, by: 70_001) {
                    try gzip.write(UnsafeRawBufferPointer(rebasing: whole[start..<min(count, start + 70_001)]))
                }
            }
            try gzip.finish()
            packed.append(sink.bytes)
        }
        #expect(packed[0] == packed[1] && packed[1] == packed[2])
        #expect(try fixture.packed(packed[0], by: "gzip -dc") == bytes)
    }
}
