import Images
import JSON
import OCIImageSpec
import RegistryClient
import Synchronization
import Testing

@testable import Builder

/// A registry that has `base` under every name.
private final class FakeBases: BaseImages {
    struct Call: Equatable {
        let name: String
        let platform: String?
        let user: String
    }

    let images: ImageStore
    let calls = Mutex<[Call]>([])

    init(_ images: ImageStore) { self.images = images }

    func pull(
        _ reference: ImageReference, platform: Platform?, credentials: RegistryCredentials, cancellation: BuildCancellation,
        progress: (BuildProgress) -> Void
    ) throws -> Image {
        calls.withLock { $0.append(Call(name: reference.familiar, platform: platform?.description, user: credentials.username)) }
        if reference.path == "library/nowhere" { throw BuildError(.notFound, "manifest for nowhere:latest not found: manifest unknown") }
        progress(.pull(["status": .string("Pulling from \(reference.path)")]))
        try images.tag("base", as: reference.withDefaultTag)
        return try images.image("base")
    }
}

@Suite("Builder: base images")
struct BaseImageTests {
    private let fixture: BuildFixture
    private let bases: FakeBases

    init() throws {
        fixture = try BuildFixture()
        bases = FakeBases(fixture.images)
        try fixture.use(bases)
    }

    private func hasCredentials(_ request: inout BuildRequest) {
        request.credentials = [
            "https://index.docker.io/v1/": RegistryCredentials(username: "hub"), "reg.io:5000": RegistryCredentials(username: "own"),
            "https://other.io/v2/": RegistryCredentials(username: "url"),
        ]
    }

    @Test func whatIsNotHereIsPulled() throws {
        let outcome = try fixture.build("FROM far\nCOPY --from=reg.io:5000/tools /etc /etc\n", TestArchive(), hasCredentials)
        #expect(
            bases.calls.withLock { $0 } == [
                .init(name: "far", platform: nil, user: "hub"), .init(name: "reg.io:5000/tools", platform: nil, user: "own"),
            ])
        #expect(outcome.progress.contains(.pull(["status": "Pulling from library/far"])))
        _ = try fixture.build("FROM far\n", TestArchive(), hasCredentials)
        #expect(bases.calls.withLock { $0.count } == 2)
    }

    @Test func pullAsksAlwaysButOncePerBuild() throws {
        let file =
            "FROM base AS a\nFROM base AS b\nFROM other.io/x:1\nCOPY --from=a /etc /etc\nCOPY --from=b /etc /e\nCOPY --from=base /etc /f\n"
        _ = try fixture.build(file) { request in
            hasCredentials(&request)
            request.pull = true
        }
        #expect(
            bases.calls.withLock { $0 } == [
                .init(name: "base", platform: nil, user: "hub"), .init(name: "other.io/x:1", platform: nil, user: "url"),
            ])
    }

    @Test func anotherPlatformIsPulled() throws {
        let failure = fixture.failure("FROM --platform=linux/s390x base\n", TestArchive(), hasCredentials)
        #expect(failure?.message == "image base is for \(Platform.host), not for linux/s390x")
        #expect(bases.calls.withLock { $0 } == [.init(name: "base", platform: "linux/s390x", user: "hub")])
    }

    @Test func refusalsEndTheBuild() throws {
        let failure = fixture.failure("FROM nowhere\n")
        #expect(failure?.message == "manifest for nowhere:latest not found: manifest unknown")
    }
}
