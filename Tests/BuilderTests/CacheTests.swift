import Images
import Linux
import OCIImageSpec
import Testing

@testable import Builder

@Suite("Builder: cache")
struct CacheTests {
    private let fixture: BuildFixture
    private let dockerfile = "FROM base\nENV A=1\nWORKDIR /w\nCOPY d /d/\nRUN echo $A > out\nCMD x\n"

    init() throws { fixture = try BuildFixture() }

    private func files(_ content: String = "one", mode: UInt32 = 0o644, seconds: Int64 = 1_000_000_000) -> TestArchive {
        var archive = TestArchive()
        archive.addDirectory("d")
        archive.add("d/f", Array(content.utf8), mode: mode, seconds: seconds)
        return archive
    }

    @Test func unchangedInstructionsComeFromIt() throws {
        let first = try fixture.build(dockerfile, files())
        #expect(first.cachedSteps == 0)
        let second = try fixture.build(dockerfile, files())
        #expect(second.cachedSteps == 5)
        #expect(second.image.id == first.image.id)
        #expect(fixture.executor.steps.count == 1)
        #expect(second.text.contains("Step 2/6 : ENV A=1\n ---> Using cache\n"))
    }

    @Test func timesDoNotCountContentAndPermissionsDo() throws {
        try fixture.build(dockerfile, files())
        #expect(try fixture.build(dockerfile, files(seconds: 1_111_111_111)).cachedSteps == 5)
        #expect(try fixture.build(dockerfile, files("two")).cachedSteps == 2)
        #expect(try fixture.build(dockerfile, files(mode: 0o600)).cachedSteps == 2)
    }

    @Test func whatComesAfterAChangeIsDoneAgain() throws {
        try fixture.build(dockerfile, files())
        let changed = try fixture.build("FROM base\nENV A=2\nWORKDIR /w\nCOPY d /d/\nRUN echo $A > out\nCMD x\n", files())
        #expect(changed.cachedSteps == 0)
        #expect(try fixture.read("/w/out", in: changed.image) == "2\n")
    }

    @Test func survivesARestart() throws {
        let first = try fixture.build(dockerfile, files())
        try fixture.restart()
        let second = try fixture.build(dockerfile, files())
        #expect(second.cachedSteps == 5)
        #expect(second.image.id == first.image.id)
    }

    @Test func isNotUsedWhenUnwanted() throws {
        try fixture.build(dockerfile, files())
        #expect(try fixture.build(dockerfile, files()) { $0.noCache = true }.cachedSteps == 0)
        #expect(fixture.executor.steps.count == 2)
    }

    @Test func argumentsCountWhereACommandSeesThem() throws {
        let dockerfile = "FROM base\nRUN echo a\nARG X=1\nRUN echo b\n"
        try fixture.build(dockerfile)
        #expect(try fixture.build(dockerfile).cachedSteps == 3)
        #expect(try fixture.build(dockerfile) { $0.buildArguments = ["X": "2"] }.cachedSteps == 2)
        // A proxy isn't part of what is built.
        #expect(try fixture.build(dockerfile) { $0.buildArguments = ["HTTP_PROXY": "http://x"] }.cachedSteps == 3)
    }

    @Test func filesOfAStageCountByContent() throws {
        func dockerfile(_ command: String, _ text: String) -> String {
            "FROM base AS a\nRUN \(command)\nFROM base\nCOPY --from=a /f /g\nRUN echo \(text)\n"
        }
        try fixture.build(dockerfile("echo x > /f", "1"))
        #expect(try fixture.build(dockerfile("echo x > /f # other", "1")).cachedSteps == 2)
        #expect(try fixture.build(dockerfile("echo y > /f", "1")).cachedSteps == 0)
    }

    @Test func aDeletedImageIsMadeAgain() throws {
        let first = try fixture.build(dockerfile, files())
        _ = try fixture.images.delete(first.image.id.description)
        let second = try fixture.build(dockerfile, files())
        #expect(second.cachedSteps == 0)
    }

    @Test func aFailedStepLeavesTheOnesBeforeIt() throws {
        _ = fixture.failure("FROM base\nRUN echo 1 > /1\nRUN false\n")
        #expect(try fixture.build("FROM base\nRUN echo 1 > /1\nRUN true\n").cachedSteps == 1)
    }

    @Test func anotherImageMayServe() throws {
        let first = try fixture.build(dockerfile, files()) { $0.tags = ["other"] }
        // A store that got the image by load has no records of how it was made.
        try fixture.forgetCache()
        #expect(try fixture.build(dockerfile, files("changed")) { $0.cacheFrom = ["other", "not-here"] }.cachedSteps == 1)
        try fixture.forgetCache()
        let second = try fixture.build(dockerfile, files()) { $0.cacheFrom = ["other"] }
        #expect(second.cachedSteps == 3)
        #expect(second.image.config.rootfs == first.image.config.rootfs)
        #expect(second.image.config.config?.cmd == ["/bin/sh", "-c", "x"])
        #expect(fixture.executor.steps.count == 2)
    }

    @Test func cacheMountsStayFromBuildToBuild() throws {
        // The test's executor has no mounts: what is asked of it is looked at.
        try fixture.build(
            "FROM base\nRUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t,size=1m --mount=type=bind,target=/b ls\n")
        try fixture.build("FROM base\nRUN --mount=type=cache,target=/c ls -l\n")
        let mounts = fixture.executor.steps.map(\.mounts)
        guard case .bind(let first, "/c", false) = mounts[0][0], case .bind(let second, "/c", false) = mounts[1][0] else {
            Issue.record("no cache mounts: \(mounts)")
            return
        }
        #expect(first == second)
        #expect(Files.isDirectory(first))
        #expect(mounts[0][1] == .tmpfs(target: "/t", size: 1 << 20))
        guard case .overlay(let layers, _, _, "", "/b", true) = mounts[0][2] else {
            Issue.record("no bind mount: \(mounts)")
            return
        }
        #expect(layers.count == 1)
    }
}
