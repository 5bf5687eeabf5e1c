import Archive
import JSON
import Linux
import OCIImageSpec
import RegistryClient
import Synchronization
import Testing

@testable import Images

/// Large blobs that come over several connections. The sizes are small here, and the same in relation.
@Suite struct SplitDownloads {
    private static let sizes = BlobParts.Sizes(threshold: 200_000, part: 100_000, held: 4)
    private static let content = RegistryFixture.noise(1_500_000)

    /// A registry that says that it sends parts, with an image of one large layer that is not packed.
    private static func fixture(downloads: Int = 3) throws -> (RegistryFixture, Descriptor) {
        let fixture = try RegistryFixture(limits: TransferLimits(downloads: downloads, retrySeconds: 0), parts: sizes)
        let image = try fixture.publish("x", files: [[("large", content)]], tools: ["cat"])
        fixture.registry.state.withLock { $0.saysRanges = true }
        return (fixture, image.manifest.layers[0])
    }

    private static func offsets(_ fixture: RegistryFixture, _ layer: Descriptor) -> [Int] {
        fixture.registry.requests.filter { $0.hasPrefix("GET blob \(layer.digest.short)") }
            .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
    }

    private static func checkWhole(_ fixture: RegistryFixture) async throws {
        let pulled = try await fixture.pull("x")
        #expect(try Files.read("\(pulled.image.layers[0].directory)/large") == content)
        // All places are given back.
        let (connections, held) = (fixture.transfers.downloadPlaces, fixture.transfers.parts.held)
        #expect(connections.isIdle && held.isIdle)
    }

    @Test(arguments: [2, 3, 9]) func partsComeSideBySide(_ downloads: Int) async throws {
        let (fixture, layer) = try Self.fixture(downloads: downloads)
        try await Self.checkWhole(fixture)
        let asked = Self.offsets(fixture, layer)
        // Each part once, the whole of it, from the first piece's end on.
        #expect(asked.count > 10 && Set(asked).count == asked.count)
        #expect(asked.sorted().dropFirst(2).elementsEqual(asked.sorted().dropFirst().dropLast().map { $0 + 100_000 }))
        let most = fixture.registry.state.withLock { $0.mostDownloads }
        // The main one, and four parts in memory at most.
        #expect((2...min(downloads, 5)).contains(most))
        // Told in order, up to the end.
        let told = fixture.takeTold().layers[layer.digest.short] ?? []
        let reached = told.compactMap { if case .downloading(let count, _) = $0 { count } else { nil } }
        #expect(reached == reached.sorted() && reached.allSatisfy { $0 <= layer.size })
    }

    @Test func oneConnectionWithoutASparePlace() async throws {
        let (fixture, layer) = try Self.fixture(downloads: 1)
        try await Self.checkWhole(fixture)
        #expect(Self.offsets(fixture, layer) == [0])
    }

    @Test func oneConnectionWhenTheRegistrySaysNothing() async throws {
        let (fixture, layer) = try Self.fixture()
        fixture.registry.state.withLock { $0.saysRanges = false }
        try await Self.checkWhole(fixture)
        #expect(Self.offsets(fixture, layer) == [0])
    }

    @Test func smallBlobsComeWhole() async throws {
        let fixture = try RegistryFixture(parts: Self.sizes)
        fixture.registry.state.withLock { $0.saysRanges = true }
        let image = try fixture.publish("x", files: [[("small", RegistryFixture.noise(150_000))]], tools: ["cat"])
        try await fixture.pull("x")
        #expect(Self.offsets(fixture, image.manifest.layers[0]) == [0])
    }

    @Test func aRegistryThatSendsAllForAPart() async throws {
        let (fixture, layer) = try Self.fixture()
        fixture.registry.state.withLock { $0.servesRanges = false }
        try await Self.checkWhole(fixture)
        // The two parts that were begun, and then the rest at once.
        let asked = Self.offsets(fixture, layer)
        #expect(asked.first == 0 && asked.last == 100_001 && asked.count <= 6)
        #expect(fixture.registry.state.withLock { $0.mostDownloads } <= 3)
    }

    @Test func aRegistryThatRefusesAPart() async throws {
        let (fixture, layer) = try Self.fixture()
        fixture.registry.state.withLock { $0.refusedParts[layer.digest] = 500_000 }
        // The main connection that takes over begins where it broke off, which is before the limit.
        #expect(await refusal { try await fixture.pull("x") } == "toomanyrequests")
        try await eventually { try fixture.local.isEmpty && fixture.transfers.downloadPlaces.isIdle && fixture.transfers.parts.held.isIdle }
    }

    @Test(arguments: [[150_000], [100_001, 350_000, 350_001], [1_400_000, 199_000, 250_000]])
    func brokenPartsGoOnWhereTheyBroke(_ breaks: [Int]) async throws {
        let (fixture, layer) = try Self.fixture()
        fixture.registry.state.withLock { $0.breaks[layer.digest] = breaks }
        try await Self.checkWhole(fixture)
        #expect(Set(breaks).isSubset(of: Self.offsets(fixture, layer)))
    }

    @Test func attemptsEndForAPart() async throws {
        let (fixture, layer) = try Self.fixture()
        fixture.registry.state.withLock { $0.breaks[layer.digest] = Array(repeating: 750_000, count: 50) }
        #expect(await refusal { try await fixture.pull("x") } == "connection reset by peer")
        // Where it breaks, and four times from there.
        #expect(Self.offsets(fixture, layer).count { $0 == 750_000 } == 4)
        try await eventually { try fixture.local.isEmpty && fixture.transfers.downloadPlaces.isIdle && fixture.transfers.parts.held.isIdle }
    }

    @Test func otherBytesInOnePart() async throws {
        let (fixture, layer) = try Self.fixture()
        var other = try #require(fixture.registry.contents(of: "docker.io/library/x").blobs[layer.digest])
        other[777_777] ^= 1
        fixture.registry.state.withLock { $0.lies[layer.digest] = other }
        #expect(await refusal { try await fixture.pull("x") } == "filesystem layer verification failed for digest \(layer.digest)")
        #expect(Self.offsets(fixture, layer).count > 10)
        try await eventually { try fixture.local.isEmpty && fixture.transfers.running.count == 0 }
    }

    @Test func neverMoreConnectionsThanDownloads() async throws {
        let fixture = try RegistryFixture(limits: TransferLimits(downloads: 3, retrySeconds: 0), parts: Self.sizes)
        let files = (0..<5).map { [("f\($0)", RegistryFixture.noise($0 == 4 ? 6_000_000 : 300_000, seed: UInt64($0 + 5)))] }
        let image = try fixture.publish("x", files: files, tools: ["cat", "gzip -n"])
        fixture.registry.state.withLock { $0.saysRanges = true }
        let pulled = try await fixture.pull("x")
        for (index, layer) in pulled.image.layers.enumerated() {
            #expect(try Files.read("\(layer.directory)/f\(index)") == files[index][0].1)
        }
        #expect(fixture.registry.state.withLock { $0.mostDownloads } <= 3)
        // The largest one is the last, and has places to spare.
        #expect(fixture.registry.requests.count { $0.hasPrefix("GET blob") } > image.manifest.layers.count + 1)
        #expect(fixture.transfers.downloadPlaces.isIdle && fixture.transfers.parts.held.isIdle)
    }

    @Test func whoGivesUpLeavesNothing() async throws {
        let (fixture, layer) = try Self.fixture()
        fixture.registry.close(layer.digest)
        let puller = fixture.puller
        let task = Task { try await puller.pull("x") }
        try await eventually { fixture.registry.isWaiting(at: layer.digest) && Self.offsets(fixture, layer).count == 3 }
        task.cancel()
        #expect(await refusal { _ = try await task.value } == "CancellationError()")
        fixture.registry.open(layer.digest)
        try await eventually {
            try fixture.local.isEmpty && fixture.transfers.running.count == 0 && fixture.transfers.downloadPlaces.isIdle
                && fixture.transfers.parts.held.isIdle
        }
    }
}
