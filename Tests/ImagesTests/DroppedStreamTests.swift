import Archive
import CLinux
import Glibc
import JSON
import Linux
import OCIImageSpec
import Synchronization
import Testing

@testable import Images

/// Layers whose packed streams are dropped, and made again of a skeleton and the directory.
@Suite struct DroppingStreams {
    /// How machines' own tools make layers; `data` is a file that does not pack, 300 KB long.
    private static let layers: [(name: String, command: String)] = [
        (
            "files and links",
            "mkdir -p d/e; cp data d/e/f; : > empty; ln -s d/e l; printf x > d/one; "
                + "tar --format=ustar -cf out data d empty l"
        ),
        ("hard links", "ln data second; ln data third; tar --format=gnu -cf out data second third"),
        ("long names of GNU", "n=$(printf %0150d 1); mkdir $n; cp data $n/$n; ln -s $n/$n l; tar --format=gnu -cf out $n l"),
        ("long names of pax", "n=$(printf %0150d 1); mkdir $n; cp data $n/$n; tar --format=posix -cf out $n"),
        ("a global header", "tar --format=posix --pax-option=comment=hello -cf out data"),
        ("the oldest format", "tar --format=v7 -cf out data"),
        ("holes of GNU", "truncate -s 9M s; dd if=data of=s bs=4096 seek=500 conv=notrunc status=none; tar -S --format=gnu -cf out s data"),
        (
            "many holes of GNU",
            "truncate -s 9M s; for i in $(seq 1 40); do dd if=data of=s bs=4096 count=1 seek=$((i * 50)) conv=notrunc status=none; done; "
                + "tar -S --format=gnu -cf out s data"
        ),
        (
            "holes of pax 1.0",
            "truncate -s 9M s; dd if=data of=s bs=4096 seek=500 conv=notrunc status=none; "
                + "tar -S --format=posix -cf out s data"
        ),
        (
            "holes of pax 0.1",
            "truncate -s 9M s; dd if=data of=s bs=4096 seek=500 conv=notrunc status=none; "
                + "tar -S --format=posix --sparse-version=0.1 -cf out s data"
        ),
        ("a hole alone", "truncate -s 9M s; tar -S --format=gnu -cf out s data"),
        ("names that are no UTF-8", "n=$(printf 'a\\377b'); cp data \"$n\"; tar -cf out \"$n\" data data"),
        ("much behind the end", "tar -cf out data; head -c 3000000 /dev/zero >> out; printf tail >> out"),
        ("no end", "tar -cf all data; head -c $(( $(stat -c %s data) + 512 )) all > out"),
        ("blocks of 20", "tar -b 200 -cf out data"),
        ("directories that come twice", "mkdir d; cp data d/f; tar -cf out d; tar -rf out --no-recursion d"),
        ("the root", "mkdir d; cp data d/f; tar -cf out -C . ./d ./data"),
    ]

    /// The layer that a command makes, and packed.
    private static func make(_ fixture: Fixture, _ command: String) throws -> (plain: [UInt8], packed: [UInt8]) {
        let place = "\(fixture.path)/make-\(UInt64.random(in: 0 ... .max))"
        try Files.makeDirectories(place)
        try OwnedFD.open("\(place)/data", O_WRONLY | O_CREAT).writeAll(RegistryFixture.noise(300_000))
        try shell("cd \(place); \(command); gzip -n -k out")
        return (try Files.read("\(place)/out"), try Files.read("\(place)/out.gz"))
    }

    private static func load(_ fixture: Fixture, _ command: String) throws -> (image: Image, plain: [UInt8]) {
        let (plain, packed) = try make(fixture, command)
        let loaded = try fixture.load(dockerArchive(layers: [packed], diffIDs: ["sha256:" + hex(plain)]))
        return (try fixture.store.image(loaded[0].id.description), plain)
    }

    private static func stream(_ fixture: Fixture, _ layer: Layer) throws -> [UInt8] {
        let sink = MemorySink()
        try fixture.store.writeStream(of: layer, to: sink)
        return sink.bytes
    }

    @Test(arguments: layers.map(\.name)) func makeTheSameStreamAgain(_ name: String) throws {
        let fixture = try Fixture()
        let command = try #require(Self.layers.first { $0.name == name }?.command)
        let (image, plain) = try Self.load(fixture, command)
        let before = try fixture.store.content(of: image)
        let dropped = try fixture.store.dropStreams()
        #expect(dropped.layers == image.layers.map(\.chainID) && dropped.kept.isEmpty)
        // Config and manifest.
        #expect(try fixture.count("blobs/sha256") == 2 && fixture.count("tmp") == 0)
        let after = try fixture.store.content(of: image)
        #expect(after.bytes == before.bytes - dropped.reclaimed && dropped.reclaimed > 0)
        #expect(try Self.stream(fixture, image.layers[0]) == plain)
        #expect(try fixture.store.check(isDeep: true).findings.isEmpty)
        // Again there is nothing to do, also for the next start.
        #expect(try fixture.store.dropStreams() == DroppedStreams())
        let saved = try fixture.save("x:1")
        try fixture.reopen()
        #expect(try fixture.save("x:1") == saved)
        let other = try Fixture()
        #expect(try other.load(saved).map(\.id) == [image.id])
        #expect(try Self.stream(other, other.store.image("x:1").layers[0]) == plain)
    }

    /// Directories, attributes, whiteouts (also one with data) and devices.
    @Test func whatHasNoFile() throws {
        let sink = MemorySink()
        let writer = TarWriter(sink)
        var large = TarEntry(kind: .file, path: Array("etc/large".utf8))
        large.attributes = [ExtendedAttribute("user.colour", Array("red".utf8))]
        try writer.add(TarEntry(kind: .directory, path: Array("etc/".utf8), mode: 0o755))
        try writer.add(TarEntry(kind: .file, path: Array("etc/.wh..wh..opq".utf8)), content: [])
        try writer.add(TarEntry(kind: .file, path: Array("etc/.wh.gone".utf8)), content: Array("data of a whiteout".utf8))
        try writer.add(large, content: RegistryFixture.noise(200_000))
        try writer.add(TarEntry(kind: .characterDevice, path: Array("null".utf8), deviceMajor: 1, deviceMinor: 3))
        try writer.finish()
        let fixture = try Fixture()
        let loaded = try fixture.load(dockerArchive(layers: [sink.bytes]))
        let layer = try fixture.store.image("\(loaded[0].id)").layers[0]
        #expect(try fixture.store.dropStreams().layers == [layer.chainID])
        #expect(try Self.stream(fixture, layer) == sink.bytes)
    }

    @Test(arguments: [
        ("tar -cf out data; printf other > data; tar -rf out data; head -c 200000 /dev/urandom > more; tar -rf out more", "no such file"),
        ("mkdir d; cp data d/f; tar -cf out d; rm -r d; printf x > d; tar -rf out d; tar -rf out data", "d/f"),
        ("tar -cf out data; head -c 300000 /dev/urandom > data; tar -rf out data", "can't be made of its directory"),
    ])
    func keepWhatCannotBeMadeAgain(_ command: String, _ why: String) throws {
        let fixture = try Fixture()
        let (image, plain) = try Self.load(fixture, command)
        let blobs = try fixture.count("blobs/sha256")
        let dropped = try fixture.store.dropStreams()
        let reason = try #require(dropped.kept[image.layers[0].chainID])
        #expect(dropped.layers.isEmpty && (reason.contains(why) || reason.contains("is not what it was")))
        #expect(try fixture.count("blobs/sha256") == blobs && fixture.count("tmp") == 0)
        #expect(!Files.exists(fixture.store.files.skeleton(image.layers[0].chainID)))
        let saved = try fixture.save("x:1")
        #expect(try Fixture().load(saved).map(\.id) == [image.id] && !plain.isEmpty)
    }

    @Test(arguments: [
        "printf y | dd of=data bs=1 seek=777 conv=notrunc status=none", "printf y >> data", "rm data", "truncate -s 100 data",
    ])
    func noticeWhatWasChanged(_ change: String) throws {
        let fixture = try Fixture()
        let (image, _) = try Self.load(fixture, "tar -cf out data")
        _ = try fixture.store.dropStreams()
        try shell("cd \(image.layers[0].directory); \(change)")
        let error = #expect(throws: ImageError.self) { try fixture.save("x:1") }
        #expect(error?.code == .damaged && error?.message.contains("something changed \(image.layers[0].directory)") ?? false)
        let findings = try fixture.store.check(isDeep: true).findings
        #expect(findings.count == 1 && findings.first?.kind == .layer)
    }

    @Test(arguments: ["rm", "printf CLPSKEL9 >"]) func noticeTheSkeletonsLoss(_ damage: String) throws {
        let fixture = try Fixture()
        let (plain, packed) = try Self.make(fixture, "tar -cf out data")
        let archive = try dockerArchive(layers: [packed], diffIDs: ["sha256:" + hex(plain)])
        let id = try fixture.load(archive)[0].id
        let layer = try fixture.store.image("\(id)").layers[0]
        _ = try fixture.store.dropStreams()
        try shell("\(damage) \(fixture.store.files.skeleton(layer.chainID))")
        #expect(throws: ImageError.self) { try fixture.save("x:1") }
        let findings = try fixture.store.check().findings
        #expect(findings.contains { $0.message.contains("has lost its skeleton") })
        // The next load brings the stream, and all is well.
        #expect(try fixture.load(archive)[0].id == id)
        #expect(try fixture.store.check(isDeep: true).findings.isEmpty)
        #expect(try Self.stream(fixture, layer) == plain)
    }

    @Test func whatACrashLeaves() throws {
        let fixture = try Fixture()
        let (image, plain) = try Self.load(fixture, "tar -cf out data")
        let files = fixture.store.files
        let blob = try #require(try fixture.store.streams(of: image).first)
        // Before the record: a skeleton that nothing names.
        try fixture.reopen { try Files.write(files.skeleton(image.layers[0].chainID), "half") }
        #expect(!Files.exists(files.skeleton(image.layers[0].chainID)))
        let packed = try Files.read(files.blob(blob.digest))
        _ = try fixture.store.dropStreams()
        // After it: a stream that nothing names.
        try fixture.reopen { try OwnedFD.open(files.blob(blob.digest), O_WRONLY | O_CREAT).writeAll(packed) }
        #expect(try fixture.count("blobs/sha256") == 2)
        #expect(try Self.stream(fixture, image.layers[0]) == plain)
    }

    @Test func whatIsHeldKeepsItsStream() throws {
        let fixture = try Fixture()
        let (image, _) = try Self.load(fixture, "tar -cf out data")
        let lease = try fixture.store.lease(image.layers)
        #expect(try fixture.store.dropStreams().kept == [image.layers[0].chainID: "it is being used"])
        withExtendedLifetime(lease) {}
        #expect(!Files.exists(fixture.store.files.skeleton(image.layers[0].chainID)))
    }

    @Test func aDroppedLayerOnAnotherParent() throws {
        let fixture = try Fixture()
        let (image, plain) = try Self.load(fixture, "tar -cf out data")
        _ = try fixture.store.dropStreams()
        let below = try tar([("below", [1])])
        let loaded = try fixture.load(dockerArchive(layers: [below, plain], tags: ["y:1"]))
        let second = try fixture.store.image("\(loaded[0].id)").layers[1]
        #expect(second.diffID == image.layers[0].diffID && second.chainID != image.layers[0].chainID)
        #expect(try Self.stream(fixture, second) == plain)
    }

    // MARK: Registries

    @Test func byPolicyAfterAPull() async throws {
        let fixture = try RegistryFixture(blobPolicy: .drop)
        let files = [[("a", RegistryFixture.noise(200_000))], [("b", RegistryFixture.noise(200_000, seed: 2))]]
        let image = try fixture.publish("reg.io/from:1", files: files, tools: ["gzip -n", "zstd -q"])
        let pulled = try await fixture.pull("reg.io/from:1").image
        #expect(pulled.manifestDigest == image.digest && pulled.repoDigests.map(\.familiar) == ["reg.io/from@\(image.digest)"])
        #expect(try fixture.local.count("blobs/sha256") == 2)
        // It is here: nothing is fetched again, also for another image with these layers.
        fixture.registry.forgetRequests()
        try await fixture.pull("reg.io/from:1")
        _ = try fixture.publish("reg.io/from:2", files: files + [[("c", [1])]], tools: ["gzip -n", "zstd -q", "gzip -n"])
        try await fixture.pull("reg.io/from:2")
        let layers = image.manifest.layers.map { "GET blob \($0.digest.short)" }
        #expect(!fixture.registry.requests.contains { request in layers.contains { request.hasPrefix($0) } })
    }

    @Test func pushedToWhereItCameFromAndElsewhere() async throws {
        let fixture = try RegistryFixture(blobPolicy: .drop)
        let image = try fixture.publish("reg.io/from:1", files: [[("a", RegistryFixture.noise(200_000))]])
        try await fixture.pull("reg.io/from:1")
        // The registry has the layer as it came: it is not packed, let alone sent.
        fixture.registry.forgetRequests()
        try await fixture.push("reg.io/from:1")
        #expect(!fixture.registry.requests.contains { $0.hasPrefix("upload") })
        try fixture.store.tag("reg.io/from:1", as: try ImageReference("other.io/x:1"))
        try await fixture.push("other.io/x:1")
        let stored = fixture.registry.contents(of: "other.io/x")
        let digest = try #require(stored.tags["1"])
        // Another manifest, of the same image.
        #expect(digest != image.digest)
        let names = try fixture.store.image("other.io/x:1").repoDigests.map(\.familiar)
        #expect(names.contains("other.io/x@\(digest)") && !names.contains("other.io/x@\(image.digest)"))
        let other = try Fixture()
        let again = try await fixture.pull("other.io/x:1", with: try fixture.use(other.store))
        #expect(again.image.id == image.id)
    }
}
