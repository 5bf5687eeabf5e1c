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

@Suite struct Pulling {
    private static let three: [[(String, [UInt8])]] = [
        [("base", RegistryFixture.noise(200_000)), ("gone", [1])], [("middle", [2]), (".wh.gone", [])], [("top", [3])],
    ]

    @Test func byTagWithEveryPacking() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("reg.io/team/app:1", files: Self.three, tools: ["gzip -n", "zstd -q", "cat"])
        let pulled = try await fixture.pull("reg.io/team/app:1")
        #expect(pulled.isNew && pulled.image.id == image.id && pulled.image.manifestDigest == image.digest)
        #expect(pulled.image.references.map(\.familiar) == ["reg.io/team/app:1"])
        #expect(pulled.image.repoDigests.map(\.familiar) == ["reg.io/team/app@\(image.digest)"])
        #expect(try Files.read("\(pulled.image.layers[0].directory)/base") == Self.three[0][0].1)
        let (messages, layers) = fixture.takeTold()
        #expect(
            messages == [
                "1: Pulling from team/app", "Digest: \(image.digest)", "Status: Downloaded newer image for reg.io/team/app:1",
            ])
        for layer in image.manifest.layers {
            let told = try #require(layers[layer.digest.short])
            #expect(told.filter { !$0.isStep } == [.pulling, .verifying, .downloaded, .pulled])
            #expect(told.contains { if case .downloading(_, layer.size) = $0 { true } else { false } })
        }
        #expect(try fixture.local.count("tmp") == 0)

        fixture.registry.forgetRequests()
        #expect(try await !fixture.pull("reg.io/team/app:1").isNew)
        #expect(fixture.registry.requests == ["GET manifest 1"])
        #expect(fixture.takeTold().messages.last == "Status: Image is up to date for reg.io/team/app:1")
    }

    @Test func byDigestHasNoTag() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("busybox", files: [[("a", [1])]])
        let name = "busybox@\(image.digest)"
        let pulled = try await fixture.pull(name)
        #expect(pulled.image.references.isEmpty && pulled.image.repoDigests.map(\.familiar) == [name])
        #expect(
            fixture.takeTold().messages == [
                "\(image.digest): Pulling from library/busybox", "Digest: \(image.digest)", "Status: Downloaded newer image for \(name)",
            ])
        #expect(try fixture.store.image(name).id == image.id)
        // The tag comes to it later, and nothing is fetched for it.
        fixture.registry.forgetRequests()
        #expect(try await fixture.pull("busybox").isNew)
        #expect(fixture.registry.requests == ["GET manifest latest"])
    }

    @Test func aTagThatMoved() async throws {
        let fixture = try RegistryFixture()
        let old = try fixture.publish("x", files: [[("a", [1])]])
        try await fixture.pull("x")
        let new = try fixture.publish("x", files: [[("a", [1])], [("b", [2])]])
        _ = fixture.takeTold()
        let pulled = try await fixture.pull("x")
        #expect(pulled.isNew && pulled.image.id == new.id)
        #expect(fixture.takeTold().layers[old.manifest.layers[0].digest.short] == [.exists])
        // The old one keeps the name that cannot move.
        #expect(try fixture.store.image(old.id.description).repoDigests.map(\.familiar) == ["x@\(old.digest)"])
        #expect(try fixture.store.image(old.id.description).references.isEmpty)
    }

    @Test func allTags() async throws {
        let fixture = try RegistryFixture()
        _ = try fixture.publish("r.io/x:1", files: [[("a", [1])]])
        _ = try fixture.publish("r.io/x:2", files: [[("a", [1])], [("b", [1])]])
        let pulled = try await fixture.transfers.pullAllTags(
            of: try ImageReference("r.io/x"), platform: nil, credentials: .anonymous, report: fixture.told.add)
        #expect(pulled.map(\.reference.familiar) == ["r.io/x:1", "r.io/x:2"])
        #expect(fixture.takeTold().messages.last == "Status: Downloaded newer image for r.io/x")
    }

    @Test func platforms() async throws {
        let fixture = try RegistryFixture()
        let kinds = ["linux/s390x", "linux/arm/v6", "linux/arm/v7", "\(Platform.host)"]
        var entries: [Descriptor] = []
        var ids: [String: Digest] = [:]
        for kind in kinds {
            let platform = try Platform(parsing: kind)
            let image = try fixture.publish(
                "x:\(kind.split(separator: "/").joined(separator: "-"))", files: [[(kind, [1])]], platform: platform)
            ids[kind] = image.id
            let bytes = try JSON.encode(image.manifest)
            entries.append(
                Descriptor(mediaType: MediaType.ociManifest, digest: image.digest, size: Int64(bytes.count), platform: platform))
        }
        let index = try JSON.encode(Index(manifests: entries))
        let top = try fixture.registry.put(manifest: index, mediaType: MediaType.ociIndex, in: "docker.io/library/x", tag: "latest")
        let own = try await fixture.pull("x")
        #expect(own.image.id == ids["\(Platform.host)"] && own.image.repoDigests.map(\.familiar) == ["x@\(top)"])
        #expect(try await fixture.pull("x", platform: "linux/arm").image.id == ids["linux/arm/v7"])
        #expect(try await fixture.pull("x", platform: "linux/arm/v6").image.id == ids["linux/arm/v6"])
        #expect(
            await refusal { try await fixture.pull("x", platform: "linux/xyz") }
                == "no matching manifest for linux/xyz in the manifest list entries")
    }

    // MARK: Registries that fail

    @Test(arguments: [[0], [1], [9], [10], [100_000], [-1], [0, 0, 0, 0], [1, 2, 3], [50_000, 50_000, 120_000]])
    func brokenConnectionsGoOnWhereTheyBroke(_ breaks: [Int]) async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x", files: [Self.three[0]])
        let layer = image.manifest.layers[0]
        let ends = breaks.map { $0 < 0 ? Int(layer.size) + $0 : $0 }
        fixture.registry.state.withLock { $0.breaks[layer.digest] = ends }
        let pulled = try await fixture.pull("x")
        #expect(try Files.read("\(pulled.image.layers[0].directory)/base") == Self.three[0][0].1)
        let asked = fixture.registry.requests.filter { $0.hasPrefix("GET blob \(layer.digest.short)") }
        #expect(asked == ([0] + ends).map { "GET blob \(layer.digest.short) from \($0)" })
    }

    @Test func attemptsEnd() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x", files: Self.three)
        fixture.registry.state.withLock { $0.breaks[image.manifest.layers[1].digest] = Array(repeating: 5, count: 9) }
        #expect(await refusal { try await fixture.pull("x") } == "connection reset by peer")
        #expect(fixture.registry.requests.count { $0.hasPrefix("GET blob \(image.manifest.layers[1].digest.short)") } == 5)
        try await eventually { try fixture.local.isEmpty && fixture.transfers.running.count == 0 }
    }

    @Test(arguments: ["other", "short", "long", "no archive", "diff ID", "config", "manifest"])
    func whatIsNotWhatItSays(_ lie: String) async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x", files: Self.three)
        let layer = image.manifest.layers[1]
        let bytes = try #require(fixture.registry.contents(of: "docker.io/library/x").blobs[layer.digest])
        var words = "filesystem layer verification failed for digest \(layer.digest)"
        switch lie {
        case "other":
            // The same archive but for the header's time, which is no data.
            var other = bytes
            other[4] ^= 1
            fixture.registry.state.withLock { $0.lies[layer.digest] = other }
        case "short":
            fixture.registry.state.withLock { $0.lies[layer.digest] = bytes.dropLast() }
            words = "unexpected EOF"
        case "long":
            fixture.registry.state.withLock { $0.lies[layer.digest] = bytes + [0] }
            words = "blob \(layer.digest) is longer than the \(bytes.count) bytes announced"
        case "no archive":
            fixture.registry.state.withLock { $0.lies[layer.digest] = [UInt8](repeating: 7, count: bytes.count) }
            words = "failed to register layer \(layer.digest): "
        case "diff ID":
            var config = try JSON.decode(ImageConfig.self, from: image.config)
            config.rootfs.diffIDs[1] = config.rootfs.diffIDs[0]
            let changed = try JSON.encode(config)
            let id = try fixture.registry.put(blob: changed, in: "docker.io/library/x")
            _ = try fixture.publish("x", files: Self.three) {
                $0.config = Descriptor(mediaType: MediaType.ociConfig, digest: id, size: Int64(changed.count))
            }
            words = "but the image's config says \(config.rootfs.diffIDs[0])"
        case "config":
            fixture.registry.state.withLock { $0.lies[image.id] = [UInt8](repeating: 32, count: image.config.count) }
            words = "content of \(image.id) has another digest: the registry sent something else"
        default:
            let entry = Descriptor(mediaType: MediaType.ociManifest, digest: image.digest, size: 7, platform: .host)
            try fixture.registry.put(
                manifest: try JSON.encode(Index(manifests: [entry])), mediaType: MediaType.ociIndex, in: "docker.io/library/x",
                tag: "latest")
            words = "manifest \(image.digest) is not what its index says"
        }
        #expect(await refusal { try await fixture.pull("x") }.contains(words))
        try await eventually { try fixture.local.isEmpty && fixture.transfers.running.count == 0 }
    }

    /// Documents that a registry sends, and what is said of them.
    @Test(
        arguments: [
            (#"{"#, "", "manifest is no JSON"),
            (
                #"{"schemaVersion":1,"fsLayers":[]}"#, "",
                "schema 1 support has been removed. Suggest the author of docker.io/library/x:latest"
            ),
            (#"{"schemaVersion":2}"#, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1 support has been removed"),
            (#"{"schemaVersion":3}"#, MediaType.ociManifest, "manifest has no schemaVersion 2"),
            (#"{"schemaVersion":2,"mediaType":"a/b"}"#, MediaType.ociManifest, "mediaType in manifest should be"),
            (#"{"schemaVersion":2,"mediaType":"a/b"}"#, "a/b", "unsupported manifest media type and no default available: a/b"),
            (#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, MediaType.ociIndex, "manifest is an image and an index at once"),
            (#"{"schemaVersion":2,"manifests":[]}"#, MediaType.ociManifest, "manifest is no application/vnd.oci.image.manifest"),
            (#"{"schemaVersion":2,"config":{},"layers":[]}"#, MediaType.ociManifest, "invalid manifest of x:latest"),
            (
                #"{"schemaVersion":2,"config":CONFIG,"layers":[{"mediaType":"a","digest":"sha256:0","size":1}]}"#, MediaType.ociManifest,
                "digest"
            ),
            (
                #"{"schemaVersion":2,"config":HELM,"layers":[]}"#, MediaType.ociManifest,
                "Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching"
            ),
            (
                #"{"schemaVersion":2,"config":CONFIG,"layers":[LAYER<application/vnd.docker.image.rootfs.foreign.diff.tar.gzip>]}"#,
                MediaType.dockerManifest, "not implemented: foreign layers"
            ),
            (
                #"{"schemaVersion":2,"config":CONFIG,"layers":[LAYER<application/vnd.oci.image.layer.nondistributable.v1.tar>]}"#,
                MediaType.ociManifest, "not implemented: foreign layers"
            ),
            (
                #"{"schemaVersion":2,"config":CONFIG,"layers":[LAYER<application/vnd.in-toto+json>]}"#, MediaType.ociManifest,
                "unsupported media type application/vnd.in-toto+json"
            ),
            (
                #"{"schemaVersion":2,"config":CONFIG,"layers":[LAYER<application/vnd.oci.image.layer.v1.tar>]}"#, MediaType.ociManifest,
                "has size -1"
            ),
        ])
    func documentsThatAreNoImages(_ text: String, _ mediaType: String, _ words: String) async throws {
        let fixture = try RegistryFixture()
        let zero = "sha256:" + String(repeating: "0", count: 64)
        func replaced(_ text: String) -> String {
            text.split(separator: "CONFIG", omittingEmptySubsequences: false).joined(
                separator: #"{"mediaType":"\#(MediaType.ociConfig)","digest":"\#(zero)","size":2}"#
            ).split(separator: "HELM", omittingEmptySubsequences: false).joined(
                separator: #"{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"\#(zero)","size":2}"#)
        }
        var document = replaced(text)
        if let start = document.firstRange(of: "LAYER<"), let end = document.firstRange(of: ">") {
            let type = document[start.upperBound..<end.lowerBound]
            document.replaceSubrange(
                start.lowerBound..<end.upperBound, with: #"{"mediaType":"\#(type)","digest":"\#(zero)","size":-1}"#)
        }
        try fixture.registry.put(manifest: Array(document.utf8), mediaType: mediaType, in: "docker.io/library/x", tag: "latest")
        let said = await refusal { try await fixture.pull("x") }
        #expect(said.contains(words), "\(said)")
        #expect(fixture.registry.requests == ["GET manifest latest"])
    }

    @Test func unknownNames() async throws {
        let fixture = try RegistryFixture()
        #expect(await refusal { try await fixture.pull("x:2") } == "manifest unknown: manifest unknown")
        #expect(fixture.takeTold().messages.isEmpty)
    }

    // MARK: Several at once

    @Test func pullsOfTheSameShareOneDownload() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x:1", files: Self.three)
        _ = try fixture.publish("x:2", files: Self.three + [[("more", [1])]], created: "2025-01-01T00:00:00Z")
        let base = image.manifest.layers[0].digest
        fixture.registry.close(base)
        let puller = fixture.puller
        async let first = puller.pull("x:1")
        async let second = puller.pull("x:2")
        async let third = puller.pull("x:1")
        try await eventually {
            fixture.registry.isWaiting(at: base) && fixture.registry.requests.count { $0.hasPrefix("GET manifest") } == 3
        }
        fixture.registry.open(base)
        let pulled = try await [first, second, third]
        #expect(pulled.map(\.image.layers.count) == [3, 4, 3])
        for layer in image.manifest.layers {
            #expect(fixture.registry.requests.count { $0.hasPrefix("GET blob \(layer.digest.short)") } == 1)
        }
    }

    @Test func oneThatGivesUpLeavesTheOthers() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x:1", files: Self.three)
        let base = image.manifest.layers[0].digest
        fixture.registry.close(base)
        let first = Task { [puller = fixture.puller] in try await puller.pull("x:1") }
        try await eventually { fixture.registry.isWaiting(at: base) }
        let second = Task { [puller = fixture.puller] in try await puller.pull("x:1") }
        try await eventually { fixture.registry.requests.count { $0.hasPrefix("GET blob \(image.id.short)") } == 2 }
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        #expect(!fixture.registry.requests.contains("end of \(base.short)"))
        fixture.registry.open(base)
        #expect(try await second.value.image.id == image.id)
    }

    @Test func theLastOneThatGivesUpEndsIt() async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x:1", files: Self.three)
        let base = image.manifest.layers[0].digest
        fixture.registry.close(base)
        let pulls = (0..<2).map { [puller = fixture.puller] _ in Task { try await puller.pull("x:1") } }
        try await eventually { fixture.registry.isWaiting(at: base) }
        for pull in pulls { pull.cancel() }
        for pull in pulls { await #expect(throws: CancellationError.self) { try await pull.value } }
        // The registry's side of the connection ends, too, and nothing is left: not even the layers that were whole.
        try await eventually { fixture.registry.requests.contains("end of \(base.short)") }
        fixture.registry.open(base)
        try await eventually { try fixture.local.isEmpty && fixture.transfers.running.count == 0 }
        #expect(try await fixture.pull("x:1").image.id == image.id)
    }

    @Test func onlySoManyAtOnce() async throws {
        let fixture = try RegistryFixture(limits: TransferLimits(downloads: 2, retrySeconds: 0))
        let files = (0..<9).map { [("f\($0)", RegistryFixture.noise(100_000, seed: UInt64($0)))] }
        _ = try fixture.publish("x", files: files)
        try await fixture.pull("x")
        #expect(fixture.registry.state.withLock { $0.mostDownloads } == 2)
        #expect(fixture.takeTold().layers.values.contains { $0.contains(.waiting) })
    }

    @Test func aLayerThatIsHereIsNotFetchedForAnotherParent() async throws {
        let fixture = try RegistryFixture()
        let shared = Self.three[0]
        // Within one image, too.
        let image = try fixture.publish("x:1", files: [shared, [("a", [1])], shared])
        let pulled = try await fixture.pull("x:1")
        #expect(pulled.image.layers.count == 3 && pulled.image.layers[0].diffID == pulled.image.layers[2].diffID)
        _ = try fixture.publish("x:2", files: [[("b", [1])], shared])
        #expect(try Files.read("\(try await fixture.pull("x:2").image.layers[1].directory)/base") == shared[0].1)
        #expect(fixture.registry.requests.count { $0.hasPrefix("GET blob \(image.manifest.layers[0].digest.short)") } == 1)
    }

    @Test func deletionDoesNotTakeWhatIsOnItsWay() async throws {
        let fixture = try RegistryFixture()
        _ = try fixture.publish("x:1", files: [Self.three[0]])
        try await fixture.pull("x:1")
        let image = try fixture.publish("x:2", files: Self.three)
        let top = image.manifest.layers[2].digest
        fixture.registry.close(top)
        let pull = Task { [puller = fixture.puller] in try await puller.pull("x:2") }
        try await eventually { fixture.registry.isWaiting(at: top) }
        _ = try fixture.store.delete("x:1")
        _ = try fixture.store.prune(all: true)
        fixture.registry.open(top)
        let pulled = try await pull.value
        #expect(try Files.read("\(pulled.image.layers[0].directory)/base") == Self.three[0][0].1)
    }

    /// What a daemon finds that was killed at this moment: a copy of the store stands for it.
    @Test(arguments: 0..<3) func killedWhile(_ held: Int) async throws {
        let fixture = try RegistryFixture()
        let image = try fixture.publish("x", files: Self.three)
        let layer = image.manifest.layers[held].digest
        fixture.registry.close(layer)
        let pull = Task { [puller = fixture.puller] in try await puller.pull("x") }
        let others = image.manifest.layers.indices.filter { $0 < held }.count
        try await eventually { try fixture.registry.isWaiting(at: layer) && fixture.local.count("layers") == others }
        let copy = "\(fixture.local.path)/copy"
        try Files.makeDirectories(copy)
        try shell("cp -a \(fixture.local.path)/image \(fixture.local.path)/*.db* \(copy)/")
        pull.cancel()
        _ = try? await pull.value
        fixture.registry.open(layer)
        let after = try Fixture(existing: copy)
        #expect(try after.isEmpty)
        #expect(try await fixture.pull("x", with: try fixture.use(after.store)).image.id == image.id)
        #expect(try after.store.image("x").layers.count == 3)
    }
}
