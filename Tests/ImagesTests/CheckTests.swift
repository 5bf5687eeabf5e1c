import Archive
import CLinux
import Glibc
import JSON
import Linux
import OCIImageSpec
import Synchronization
import Testing

@testable import Images

/// One loaded image (`x:1`, two packed layers) and one made here (`made:1`), and the ways to hurt them.
private final class Patient {
    let fixture: Fixture
    let archive: [UInt8]
    let loaded: Image
    let made: Image
    var store: ImageStore { fixture.store }
    var root: String { "\(fixture.path)/image" }

    init() throws {
        fixture = try Fixture()
        var packed: [[UInt8]] = []
        var diffIDs: [String] = []
        for name in ["one", "two"] {
            let layer = try tar([("f-\(name)", Array(name.utf8)), ("etc/\(name)", [UInt8](repeating: 7, count: 5000))])
            diffIDs.append("sha256:" + (try hex(layer)))
            let path = "\(fixture.path)/\(name)"
            try OwnedFD.open(path, O_WRONLY | O_CREAT).writeAll(layer)
            try shell("gzip -nf \(path)")
            packed.append(try Files.read("\(path).gz"))
        }
        archive = try dockerArchive(layers: packed, diffIDs: diffIDs)
        _ = try fixture.load(archive)
        loaded = try fixture.store.image("x:1")
        made = try fixture.makeImage("made:1", "made:2", content: ["a": "made here"])
    }

    func directory(_ layer: Layer) -> String { layer.directory }

    func blob(_ digest: Digest) -> String { "\(root)/blobs/sha256/\(digest.hex)" }

    /// The stream of a layer of the loaded image.
    func stream(_ index: Int) throws -> String {
        let manifest = try JSON.decode(Manifest.self, from: try Files.read(blob(loaded.manifestDigest)))
        return blob(manifest.layers[index].digest)
    }

    func flip(_ path: String) throws {
        var bytes = try Files.read(path)
        bytes[bytes.count / 2] ^= 0x55
        try OwnedFD.open(path, O_WRONLY | O_TRUNC).writeAll(bytes)
    }

    /// Kinds and messages of damage that is not repaired.
    func open(isDeep: Bool = true) throws -> [String] {
        try store.check(isDeep: isDeep).findings.filter { $0.kind != .aside && $0.repair == nil }.map { "\($0.kind): \($0.message)" }
    }
}

@Suite struct Checking {
    @Test func allIsWell() throws {
        let patient = try Patient()
        let quick = try patient.store.check()
        #expect(quick.findings.isEmpty && quick.images == 2 && quick.layers == 3)
        // Two streams, two configs, two manifests.
        #expect(quick.contents == 6)
        // Directories that the stream does not mention have the time of their unpacking, which tells nothing.
        try shell("touch -d 2001-01-01 \(patient.loaded.layers[0].directory)/etc")
        let deep = try patient.store.check(isDeep: true, repairs: true)
        #expect(deep.findings.isEmpty && deep.bytes > quick.bytes)
        #expect(try patient.fixture.count("tmp") == 0 && patient.fixture.count("damaged") == 0)
    }

    @Test func missingDirectoryIsUnpackedAgain() throws {
        let patient = try Patient()
        let layer = patient.loaded.layers[0]
        try Files.removeTree(layer.directory)
        #expect(try patient.open(isDeep: false) == ["layer: layer \(layer.chainID.short) has no directory"])
        let report = try patient.store.check(repairs: true)
        #expect(report.findings.map(\.repair) == ["unpacked again from its stream"] + (try asides(patient)))
        #expect(try Files.readText("\(layer.directory)/f-one") == "one")
        #expect(try patient.open().isEmpty)
        #expect(try patient.store.image("x:1") == patient.loaded)
    }

    /// nil for each thing in `damaged`: no repair of its own.
    private func asides(_ patient: Patient) throws -> [String?] { .init(repeating: nil, count: try patient.fixture.count("damaged")) }

    @Test func changedFilesAreFoundByADeepCheck() throws {
        let patient = try Patient()
        let layer = patient.loaded.layers[1]
        try Files.write("\(layer.directory)/f-two", "TWO")
        #expect(try patient.open(isDeep: false).isEmpty)
        #expect(try patient.open() == ["layer: layer \(layer.chainID.short) has a directory that was changed"])
        _ = try patient.store.check(isDeep: true, repairs: true)
        #expect(try Files.readText("\(layer.directory)/f-two") == "two")
        #expect(try patient.open().isEmpty)
        // What was there before is not lost.
        let aside = try Files.list("\(patient.root)/damaged")
        #expect(try Files.readText("\(patient.root)/damaged/\(aside[0])/diff/f-two") == "TWO")
    }

    @Test func damagedStreamComesBackWithTheNextLoad() throws {
        let patient = try Patient()
        let path = try patient.stream(0)
        try patient.flip(path)
        #expect(try patient.open(isDeep: false).count == 1)
        let found = try patient.store.check(repairs: true).findings
        #expect(found.first?.kind == .content && found.first?.repair?.contains("pull or load x:1 again, which brings just this") == true)
        #expect(!Files.exists(path))
        // The image works on; only its stream is missing, and save says so rather than pass on something else.
        #expect(try patient.store.image("x:1") == patient.loaded)
        let error = #expect(throws: ImageError.self) { try patient.fixture.save("x:1") }
        #expect(error?.code == .damaged)
        let again = try patient.fixture.load(patient.archive)
        #expect(again.map(\.wasDamaged) == [true])
        #expect(try patient.open().isEmpty)
        #expect(throws: Never.self) { try patient.fixture.save("x:1") }
        #expect(try patient.fixture.load(patient.archive).map(\.wasDamaged) == [false])
    }

    @Test func layerWithoutAnythingComesBackWithTheNextLoad() throws {
        let patient = try Patient()
        let layer = patient.loaded.layers[0]
        try patient.flip(try patient.stream(0))
        try Files.removeTree(layer.directory)
        _ = try patient.store.check(repairs: true)
        #expect(throws: ImageError.self) { try patient.store.image("x:1") }
        #expect(
            try patient.open() == [
                "image: image \(patient.loaded.id.short) (x:1) cannot be used: layer \(layer.chainID.short) is missing; pull or load it again"
            ])
        // Its other layer stays, also when somebody cleans up and the daemon starts anew.
        _ = try patient.store.prune(all: true)
        try patient.fixture.reopen()
        #expect(try patient.fixture.count("layers") == 1)
        #expect(try patient.fixture.load(patient.archive).map(\.wasDamaged) == [true])
        #expect(try patient.store.image("x:1").layers.map(\.chainID) == patient.loaded.layers.map(\.chainID))
        #expect(try patient.open().isEmpty)
    }

    @Test func layerMadeHereIsSetAsideAndComesBackWhenItIsMadeAgain() throws {
        let patient = try Patient()
        try Files.write("\(patient.made.layers[0].directory)/a", "changed")
        #expect(try patient.open() == ["layer: layer \(patient.made.layers[0].chainID.short) has a directory that was changed"])
        _ = try patient.store.check(isDeep: true, repairs: true)
        #expect(throws: ImageError.self) { try patient.store.image("made:1") }
        #expect(try patient.fixture.count("damaged") == 1)
        // Under another name: the old ones come back with it.
        try patient.fixture.makeImage("again:1", content: ["a": "made here"])
        #expect(try patient.store.image("made:2").references.map(\.familiar) == ["again:1", "made:1", "made:2"])
        #expect(try patient.open().isEmpty)
        try patient.fixture.reopen()
        #expect(try patient.store.image("made:1").id == patient.made.id)
    }

    @Test func documents() throws {
        let patient = try Patient()
        try patient.flip(patient.blob(patient.made.manifestDigest))
        try patient.flip(patient.blob(patient.loaded.id))
        #expect(try patient.open(isDeep: false).count == 2)
        let repairs = try patient.store.check(repairs: true).findings.compactMap(\.repair)
        #expect(repairs.contains("made again") && repairs.contains { $0.hasSuffix("pull or load the image again") })
        #expect(throws: Never.self) { try patient.fixture.save("made:1") }
        #expect(throws: ImageError.self) { try patient.store.image("x:1") }
        _ = try patient.fixture.load(patient.archive)
        #expect(try patient.open().isEmpty)
    }

    @Test func whatAStartSetAsideIsUnpackedAgain() throws {
        let patient = try Patient()
        let layer = patient.loaded.layers[0]
        try patient.fixture.reopen { try Files.write("\(patient.root)/layers/\(layer.chainID.hex)/layer.json", "{") }
        #expect(throws: ImageError.self) { try patient.store.image("x:1") }
        _ = try patient.store.check(repairs: true)
        #expect(try patient.store.image("x:1").layers == patient.loaded.layers)
        #expect(try patient.open().isEmpty)
    }

    @Test func lostImagesCanBeRemoved() throws {
        let patient = try Patient()
        try patient.fixture.reopen { try Files.removeTree(patient.blob(patient.made.id)) }
        #expect(throws: ImageError.self) { try patient.store.image("made:1") }
        #expect(try patient.store.delete("made:2") == [.untagged(try ImageReference("made:2"))])
        #expect(try patient.store.delete("made:1").count == 2)
        #expect(throws: ImageError.self) { try patient.store.delete("made:1") }
        #expect(try patient.open().isEmpty)
        try patient.fixture.reopen()
        #expect(try patient.fixture.count("layers") == 2)
    }

    @Test func strangersAreTold() throws {
        let patient = try Patient()
        try Files.makeDirectories("\(patient.root)/layers/stranger")
        #expect(try patient.open(isDeep: false).map { $0.hasSuffix("layers/stranger is no layer that is known here") } == [true])
        _ = try patient.store.check(repairs: true)
        #expect(try patient.open(isDeep: false).isEmpty)
        #expect(try patient.fixture.count("damaged") == 1)
    }
}

@Suite struct Garbage {
    /// Loads, deletions, prunes, saves and checks of the same layers at once: afterwards nothing is missing and nothing is left.
    @Test func goesWhileImagesCome() throws {
        let patient = try Patient()
        let fixture = patient.fixture
        let store = fixture.store
        let path = "\(fixture.path)/archive"
        try OwnedFD.open(path, O_WRONLY | O_CREAT).writeAll(patient.archive)
        let problems = Mutex<[String]>([])
        /// What another thread's deletion may answer is no problem.
        func attempt(_ what: String, _ body: () throws -> Void) {
            do { try body() } catch let error as ImageError where error.code == .notFound || error.code == .conflict {} catch {
                problems.withLock { $0.append("\(what): \(error)") }
            }
        }
        var workers: [Worker<Void>] = []
        for number in 0..<4 {
            workers.append(
                try Worker {
                    for round in 0..<12 {
                        attempt("load") {
                            let source = try OwnedFD.open(path)
                            _ = try store.load(from: source.raw)
                        }
                        attempt("save") {
                            let target = try OwnedFD.open("\(fixture.path)/saved-\(number)", O_WRONLY | O_CREAT | O_TRUNC)
                            try store.save(names: ["x:1"], to: target.raw)
                        }
                        if round % 3 == number % 3 { attempt("delete") { _ = try store.delete("x:1", force: true) } }
                        if round % 4 == number { attempt("prune") { _ = try store.prune(all: false) } }
                        if number == 3 && round % 4 == 0 {
                            attempt("check") {
                                for finding in try store.check().findings { problems.withLock { $0.append("found \(finding.message)") } }
                            }
                        }
                    }
                })
        }
        for worker in workers { try worker.join() }
        #expect(problems.withLock { $0 } == [])
        _ = try fixture.load(patient.archive)
        #expect(try patient.open().isEmpty)
        for name in ["x:1", "made:1", "made:2"] { _ = try store.delete(name, force: true) }
        #expect(try fixture.isEmpty)
    }

    @Test func layersOfAnEndedLeaseGo() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base")
        let child = try fixture.makeImage("child", content: ["b": "2"], parent: base)
        do {
            let lease = try fixture.store.lease([child.layers[1]])
            for name in ["child", "base"] { _ = try fixture.store.delete(name) }
            #expect(try fixture.count("layers") == 2)
            withExtendedLifetime(lease) {}
        }
        #expect(try fixture.isEmpty)
    }

    /// The same layer packed in two ways, each named by a manifest: both manifests keep their digests.
    @Test func oneLayerInTwoPackings() throws {
        let fixture = try Fixture()
        let made = try fixture.makeImage("made:1", content: ["a": "1"])
        try Files.makeDirectories("\(fixture.path)/layout")
        try OwnedFD.open("\(fixture.path)/made.tar", O_WRONLY | O_CREAT).writeAll(try fixture.save("made:1"))
        try shell(
            "cd \(fixture.path); skopeo copy -q docker-archive:made.tar oci:layout:docker.io/library/packed:1; tar -C layout -cf packed.tar ."
        )
        _ = try fixture.load(try Files.read("\(fixture.path)/packed.tar"))
        let packed = try fixture.store.image("packed:1")
        #expect(packed.layers == made.layers && packed.manifestDigest != made.manifestDigest)
        for (name, image) in [("made:1", made), ("packed:1", packed)] {
            try OwnedFD.open("\(fixture.path)/out.tar", O_WRONLY | O_CREAT | O_TRUNC).writeAll(try fixture.save(name))
            let text = try shell(
                "cd \(fixture.path); rm -rf out; mkdir out; tar -xf out.tar -C out; cat out/index.json; skopeo inspect oci:out >/dev/null")
            #expect(text.contains("\(image.manifestDigest)"), "\(name)")
        }
        #expect(try fixture.store.check(isDeep: true).findings.isEmpty)
        for name in ["made:1", "packed:1"] { _ = try fixture.store.delete(name) }
        #expect(try fixture.isEmpty)
    }
}
