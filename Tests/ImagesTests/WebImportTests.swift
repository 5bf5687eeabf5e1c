import JSON
import Linux
import OCIImageSpec
import RegistryClient
import Synchronization
import Testing

@testable import Images

/// Root filesystems that web servers have.
@Suite struct WebImports {
    private static func run(_ fixture: RegistryFixture, _ address: String, message: String = "") async throws -> Image {
        try await fixture.transfers.importRootfs(
            at: address, config: RunConfig(), message: message, platform: .host, reference: try ImageReference("web:1"),
            report: fixture.told.add)
    }

    @Test(arguments: ["cat", "gzip -n", "zstd -q"]) func unpackWhileTheyCome(_ tool: String) async throws {
        let fixture = try RegistryFixture()
        let content = RegistryFixture.noise(3_000_000)
        let tar = try fixture.packed(tar([("large", content)]), by: tool)
        fixture.registry.state.withLock { $0.web["web.io/a.tar"] = tar }
        let image = try await Self.run(fixture, "web.io/a.tar")
        #expect(try Files.read("\(image.layers[0].directory)/large") == content)
        #expect(try fixture.store.image("web:1").id == image.id && image.config.comment == "Imported from web.io/a.tar")
        let told = fixture.told.take()
        #expect(told.first == .message(id: nil, "Downloading from http://web.io/a.tar"))
        #expect(told.last == .importing(Int64(tar.count), of: Int64(tar.count)))
    }

    @Test(arguments: [(0, "no such page: x"), (1, "unexpected EOF"), (4096, "invalid tar header")])
    func leaveNothingOfWhatFails(_ count: Int, _ words: String) async throws {
        let fixture = try RegistryFixture()
        if count > 0 { fixture.registry.state.withLock { $0.web["x"] = Array(repeating: 65, count: count) } }
        let refused = await refusal { _ = try await Self.run(fixture, "x") }
        #expect(refused.contains(words))
        #expect(try fixture.local.isEmpty)
    }
}
