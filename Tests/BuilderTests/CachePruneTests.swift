import Images
import Linux
import OCIImageSpec
import Testing

@testable import Builder

@Suite struct CachePruneTests {
    private let fixture: BuildFixture

    init() throws { fixture = try BuildFixture() }

    /// 100 used, 50 free.
    @Test(
        arguments: [
            (0, 0, 0, nil), (30, 0, 0, 30), (0, 60, 0, 60), (80, 60, 0, 80), (0, 0, 50, 100), (0, 0, 70, 80), (0, 40, 70, 40),
            (0, 90, 70, 80), (85, 90, 70, 85), (0, 0, 500, 0), (10, 0, 500, 10),
        ] as [(Int64, Int64, Int64, Int64?)])
    func bounds(_ reserved: Int64, _ maxUsed: Int64, _ minFree: Int64, _ kept: Int64?) {
        #expect(BuildCacheBounds(reserved: reserved, maxUsed: maxUsed, minFree: minFree).kept(of: 100, free: 50) == kept)
    }

    private func records() throws -> [BuildCacheRecord] { try fixture.builder.cacheRecords { _ in [] } }

    private func prune(
        all: Bool = false, _ bounds: BuildCacheBounds = BuildCacheBounds(), users: @escaping (Digest) -> [ImageUser] = { _ in [] },
        matching matches: @escaping (BuildCacheRecord) -> Bool = { _ in true }
    ) throws -> [String] {
        try fixture.builder.pruneCache([BuildCacheRule(all: all, bounds: bounds, matches: matches)], users: users).deleted
    }

    /// A stage that nothing but the cache holds, and an image.
    private func build(_ name: String) throws {
        try fixture.build("FROM base AS x\nLABEL step=\(name)\nENV a=b\nFROM base\nCOPY --from=x / /\n")
    }

    @Test func stepsOfOtherStagesAreTheCaches() throws {
        try build("one")
        let free = try records().filter { !$0.isShared }
        #expect(free.map(\.description) == ["/bin/sh -c #(nop)  ENV a=b", "/bin/sh -c #(nop)  LABEL step=one"])
        #expect(free[0].parent == free[1].id && free.allSatisfy { $0.uses == 1 && !$0.isInUse && $0.lastUsedAt != nil })
        // Those that were built on others go first; what has children stays.
        #expect(try prune(matching: { $0.description.contains("LABEL") }).isEmpty)
        #expect(try prune() == free.map(\.id) && records().allSatisfy(\.isShared))
        #expect(try fixture.build("FROM base\nLABEL step=one\n").cachedSteps == 0)
    }

    @Test func theLeastRecentlyUsedGoesFirst() throws {
        for name in ["one", "two", "one"] { try build(name) }
        let labels = Dictionary(uniqueKeysWithValues: try records().map { ($0.id, $0.description) })
        let order = try prune().map { labels[$0]?.split(separator: " ").last }
        #expect(order == ["a=b", "step=two", "a=b", "step=one"])
        // What takes no space goes for no bound.
        try build("three")
        #expect(try prune(BuildCacheBounds(reserved: 1)).isEmpty)
    }

    @Test func whatABuildEndedWithIsAnImage() throws {
        let image = try fixture.build("FROM base\nLABEL a=1\nLABEL b=2\n").image
        #expect(try prune(all: true).isEmpty && fixture.images.image(image.id.description).id == image.id)
        // Forgotten all the same.
        #expect(try fixture.build("FROM base\nLABEL a=1\nLABEL b=2\n").cachedSteps == 0)
    }

    @Test func whatAContainerUsesStays() throws {
        try build("one")
        let top = try #require(try records().first { $0.description.contains("ENV") })
        let user = ImageUser(containerID: "c", isRunning: false)
        #expect(try prune(users: { $0.description == top.id ? [user] : [] }).isEmpty)
        #expect(try prune().count == 2)
    }

    /// What an older daemon has written down does not say whether a build ended with it.
    @Test func recordsOfAnOlderDaemonAreNotTaken() throws {
        try build("one")
        try fixture.forgetResults()
        #expect(try prune().isEmpty)
    }

    @Test func theImageOfALeaseStays() throws {
        try build("one")
        let top = try #require(try records().first { $0.description.contains("ENV") })
        let lease = try fixture.images.lease(try fixture.images.image(top.id))
        #expect(try prune().isEmpty)
        let pruned = try fixture.images.prune().steps
        #expect(!pruned.contains(.deleted(try Digest(top.id))))
        #expect(try records().contains { $0.id == top.id && $0.isInUse })
        withExtendedLifetime(lease) {}
    }

    @Test func aStepThatIsMadeAnewStaysKnown() throws {
        try build("one")
        try fixture.build("FROM base AS x\nLABEL step=one\nENV a=b\nFROM base\nCOPY --from=x / /\n") { $0.noCache = true }
        #expect(try records().count { !$0.isShared } == 4 && prune().count == 4)
    }
}
