import Archive
import CLinux
import Glibc
import Images
import JSON
import Linux
import OCIImageSpec
import Testing

@Suite struct Loading {
    private func layer(_ text: String) throws -> [UInt8] { try tar([("f-\(text)", Array(text.utf8)), (".wh.old-\(text)", [])]) }

    @Test(arguments: ["cat", "gzip -c", "zstd -qc", "members"]) func dockerSaveOfAnyCompression(command: String) throws {
        let fixture = try Fixture()
        let big = try tar([("big", (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }), ("etc/x", [1])])
        let bytes = try dockerArchive(layers: [big, try layer("two")], tags: ["x:1", "reg.io/y:2"])
        _ = try fixture.file(bytes)
        let plain = "\(fixture.path)/plain.tar"
        try OwnedFD.open(plain, O_WRONLY | O_CREAT).writeAll(bytes)
        // gzip allows several members, one after another.
        let line = command == "members" ? "{ head -c 5000 \(plain) | gzip; tail -c +5001 \(plain) | gzip; }" : "\(command) \(plain)"
        try shell("\(line) > \(fixture.path)/packed")
        let source = try OwnedFD.open("\(fixture.path)/packed")
        var last: Int64 = 0
        let loaded = try fixture.store.load(from: source.raw) { last = $0 }
        #expect(loaded.map { $0.references.map(\.familiar) } == [["x:1", "reg.io/y:2"]])
        #expect(last > 0)
        let image = try fixture.store.image("x:1")
        #expect(image.layers.count == 2 && image.config.config?.cmd == ["sh"])
        let directory = fixture.store.layerDirectories(of: image)[0]
        var status = stat()
        #expect(lstat("\(directory)/old-two", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
        #expect(try fixture.count("tmp") == 0)
        // Loading it again changes nothing.
        _ = try fixture.load(bytes)
        #expect(try fixture.count("layers") == 2 && fixture.store.list().count == 1)
    }

    @Test func packedLayersAndLinks() throws {
        let fixture = try Fixture()
        let one = try layer("one")
        let scratch = "\(fixture.path)/l"
        try OwnedFD.open(scratch, O_WRONLY | O_CREAT).writeAll(one)
        try shell("gzip -n \(scratch)")
        let packed = try Files.read("\(scratch).gz")
        let diffID = "sha256:" + (try hex(one))
        // The same layer twice, the second time as a link, as older Dockers write it.
        let bytes = try dockerArchive(layers: [packed], diffIDs: [diffID, diffID], links: [("again/layer.tar", "../layer0/layer.tar")])
        _ = try fixture.load(bytes)
        let image = try fixture.store.image("x:1")
        #expect(image.layers.map(\.diffID.description) == [diffID, diffID])
        #expect(image.layers[0].chainID != image.layers[1].chainID)
        #expect(try Files.readText("\(image.layers[1].directory)/f-one") == "one")
    }

    @Test func ownArchivesGoRound() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base:1", content: ["a": "1", "dir/b": "2"])
        let child = try fixture.makeImage("child:1", "child:2", content: ["c": "3"], parent: base)
        let bytes = try fixture.save("child", "base:1")
        let other = try Fixture()
        let loaded = try other.load(bytes)
        #expect(loaded.map(\.id) == [child.id, base.id])
        let image = try other.store.image("child:2")
        #expect(image.manifestDigest == child.manifestDigest && image.layers.map(\.chainID) == child.layers.map(\.chainID))
        #expect(image.references == child.references)
        // And from there again: the same bytes.
        #expect(try other.save("child", "base:1") == bytes)
        #expect(try fixture.save(child.id.short) != bytes)
        #expect(throws: ImageError(.notFound, "No such image: nope:latest")) { try fixture.save("nope") }
        // What is in the store already is not unpacked again.
        #expect(try fixture.load(bytes).count == 2)
        #expect(try fixture.count("layers") == 2)
    }

    @Test func savedArchiveIsAnOCILayout() throws {
        let fixture = try Fixture()
        try fixture.makeImage("x:1")
        let bytes = try fixture.save("x:1")
        let directory = "\(fixture.path)/out"
        try Files.makeDirectories(directory)
        try OwnedFD.open("\(directory).tar", O_WRONLY | O_CREAT).writeAll(bytes)
        try shell("tar -C \(directory) -xf \(directory).tar; cd \(directory)/blobs/sha256; sha256sum * | awk '$1 != $2 { exit 1 }'")
        let index = try JSON.decode(Index.self, from: try Files.read("\(directory)/index.json"))
        #expect(index.manifests.first?.annotations?["io.containerd.image.name"] == "docker.io/library/x:1")
        #expect(try Files.list(directory).sorted() == ["blobs", "index.json", "manifest.json", "oci-layout", "repositories"])
        // Without manifest.json it is an OCI layout alone.
        try shell("cd \(directory); rm manifest.json repositories; tar -cf ../oci.tar .")
        let other = try Fixture()
        let source = try OwnedFD.open("\(fixture.path)/oci.tar")
        #expect(try other.store.load(from: source.raw).first?.references.map(\.familiar) == ["x:1"])
    }

    @Test func changedLayerIsNotSaved() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("x:1", content: ["f": "good"])
        try Files.write("\(image.layers[0].directory)/f", "evil")
        let error = #expect(throws: ImageError.self) { try fixture.save("x:1") }
        #expect(error?.code == .damaged)
    }

    @Test func badArchivesLeaveNothing() throws {
        let good = try dockerArchive(layers: [try tar([("big", [UInt8](repeating: 7, count: 100_000))])])
        let wrong = "sha256:" + String(repeating: "0", count: 64)
        let damagedGzip: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] + [UInt8](repeating: 0xff, count: 2000)
        let cases: [(String, [UInt8])] = [
            ("truncated", Array(good[..<60_000])), ("empty", []), ("no tar", [UInt8](repeating: 65, count: 9000)),
            ("no manifest", try tar([("a", [1])])), ("damaged gzip", damagedGzip),
            ("wrong diff ID", try dockerArchive(layers: [try layer("x")], diffIDs: [wrong])),
            ("too few diff IDs", try dockerArchive(layers: [try layer("x")], diffIDs: [])),
            ("no layer", try dockerArchive(layers: [[UInt8](repeating: 66, count: 4096)])),
            ("damaged layer", try dockerArchive(layers: [damagedGzip])),
            ("bad name", try dockerArchive(layers: [try layer("x")], tags: ["UPPER"])),
            ("second image bad", try dockerArchive(layers: [try layer("x"), Array(try layer("y").prefix(700))])),
            ("bad JSON", try tar([("manifest.json", Array("[{".utf8))])), ("path", try tar([("../manifest.json", Array("[]".utf8))])),
            ("link loop", try dockerArchive(layers: [], diffIDs: [wrong], links: [("a", "b"), ("b", "a")])),
            ("hostile layer", try dockerArchive(layers: [try tar([("../../../../../../../tmp/clp-evil", [1])])])),
        ]
        for (name, bytes) in cases {
            let fixture = try Fixture()
            let error = #expect(throws: ImageError.self, "\(name)") { try fixture.load(bytes) }
            #expect(error?.code == .invalid, "\(name): \(error?.message ?? "")")
            #expect(try fixture.isEmpty, "\(name)")
        }
        #expect(!Files.exists("/tmp/clp-evil"))
        let fixture = try Fixture()
        let error = #expect(throws: ImageError.self) { try fixture.load(Array("BZh91AY".utf8) + [UInt8](repeating: 0, count: 600)) }
        #expect(error?.code == .notImplemented)
    }

    @Test(arguments: ["gzip -nc", "zstd -qc"]) func cutCompressedStreamsAreTruncated(command: String) throws {
        let fixture = try Fixture()
        let bytes = try tar([("big", (0..<400_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 9) })])
        try OwnedFD.open("\(fixture.path)/l", O_WRONLY | O_CREAT).writeAll(bytes)
        try shell("\(command) \(fixture.path)/l > \(fixture.path)/p")
        let packed = try Files.read("\(fixture.path)/p")
        let whole = try fixture.file(packed)
        #expect(try fixture.store.importLayer(from: whole.raw, parent: nil).diffID.hex == hex(bytes))
        for part in [20, packed.count / 2, packed.count - 3] {
            let cut = try fixture.file(Array(packed[..<part]))
            #expect(throws: (any Error).self, "\(part)") { try fixture.store.importLayer(from: cut.raw, parent: nil) }
        }
        #expect(try fixture.count("tmp") == 0 && fixture.count("layers") == 1)
    }
}
