import Glibc
import Images
import JSON
import Linux
import OCIImageSpec
import RecordStore
import Testing

@Suite struct ImageRecords {
    @Test func lookingUp() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("app:1", "reg.io/app:2")
        let other = try fixture.makeImage("other", command: "x")
        for name in ["app:1", "docker.io/library/app:1", "reg.io/app:2", image.id.description, image.id.hex, image.id.short] {
            #expect(try fixture.store.image(name) == image, "\(name)")
        }
        #expect(try fixture.store.image("other").id == other.id)
        let cases: [(String, ImageError.Code, String)] = [
            ("app", .notFound, "No such image: app:latest"), ("nope:x", .notFound, "No such image: nope:x"),
            ("reg.io/nope", .notFound, "No such image: reg.io/nope:latest"),
            ("Nope", .invalid, "invalid reference format: repository name (library/Nope) must be lowercase"),
            ("sha256:0000", .notFound, "No such image: sha256:0000"),
        ]
        for (name, code, message) in cases {
            #expect(throws: ImageError(code, message), "\(name)") { try fixture.store.image(name) }
        }
        #expect(fixture.store.list().count == 2)
        #expect(image.references.map(\.familiar) == ["app:1", "reg.io/app:2"])
        #expect(image.createdAt.description == "2024-01-01T00:00:00Z")
    }

    @Test func ambiguousPrefix() throws {
        let fixture = try Fixture()
        for number in 0..<20 { try fixture.makeImage(command: "\(number)") }
        let digits = fixture.store.list().map { $0.id.hex.prefix(1) }
        let repeated = try #require(digits.first { digit in digits.count { $0 == digit } > 1 })
        let error = #expect(throws: ImageError.self) { try fixture.store.image("\(repeated)") }
        #expect(error?.code == .conflict)
    }

    @Test func layersAreSharedAndOnTopFirst() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base", content: ["etc/x": "base"])
        let child = try fixture.makeImage("child", content: ["etc/y": "child"], parent: base)
        let again = try fixture.makeImage("again", content: ["etc/x": "base"], command: "other")
        #expect(try fixture.count("layers") == 2)
        #expect(again.layers == base.layers && child.layers.first == base.layers.first)
        let directories = fixture.store.layerDirectories(of: child)
        #expect(try directories.map { try Files.list("\($0)/etc") } == [["y"], ["x"]])
        #expect(child.size == 9 && child.parent == base.id)
        #expect(try fixture.store.layers(upTo: child.topLayer) == child.layers)
        let expected = try ContentHash.digest(of: Array("\(child.layers[0].chainID) \(child.layers[1].diffID)".utf8))
        #expect(child.layers[1].chainID == expected)
    }

    @Test func survivesReopening() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base")
        let child = try fixture.makeImage("child", content: ["b": "2"], parent: base)
        try fixture.reopen()
        #expect(try fixture.store.image("child") == child)
        #expect(try fixture.store.image("base") == base)
    }

    @Test func tagsMove() throws {
        let fixture = try Fixture()
        let first = try fixture.makeImage("x:1")
        let second = try fixture.makeImage("x:1", command: "new")
        #expect(try fixture.store.image("x:1").id == second.id)
        #expect(try fixture.store.image(first.id.hex).references.isEmpty)
        try fixture.store.tag(first.id.short, as: try ImageReference("x"))
        #expect(try fixture.store.image("x:latest").id == first.id)
        #expect(throws: ImageError.self) { try fixture.store.tag("x", as: try ImageReference("x@\(first.id)")) }
        #expect(throws: ImageError(.notFound, "No such image: gone:latest")) { try fixture.store.tag("gone", as: try ImageReference("y")) }
    }

    @Test func historyNamesLayersAndParents() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base", content: ["a": "12345"])
        var config = base.config
        config.history?.append(.init(created: "2024-02-02T00:00:00Z", createdBy: "CMD x", emptyLayer: true))
        let child = try fixture.store.createImage(config: config, layers: base.layers, parent: base.id, tags: [])
        let lines = fixture.store.history(of: child)
        #expect(lines.map(\.size) == [0, 5] && lines.map(\.createdBy) == ["CMD x", "step"])
        #expect(lines.map(\.id) == [child.id, base.id] && lines[1].references.map(\.familiar) == ["base:latest"])
    }

    /// As in Docker: there is nothing to tell of its layers.
    @Test func historyOfAnImageThatHasNone() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base", content: ["a": "12345"])
        var config = base.config
        config.history = nil
        let image = try fixture.store.createImage(config: config, layers: base.layers, parent: nil, tags: [])
        #expect(fixture.store.history(of: image).isEmpty)
    }

    @Test func importedRootfs() throws {
        let fixture = try Fixture()
        var config = RunConfig()
        config.env = ["A=b"]
        let source = try fixture.file(try tar([("bin/x", [1, 2, 3])]))
        let image = try fixture.store.importRootfs(from: source.raw, config: config, message: "hello", reference: try ImageReference("imp"))
        #expect(image.config.config?.env == ["A=b"] && image.config.comment == "hello" && image.size == 3)
        #expect(try Files.read(fixture.store.layerDirectories(of: image)[0] + "/bin/x") == [1, 2, 3])
        let bad = try fixture.file([UInt8](repeating: 7, count: 4096))
        #expect(throws: (any Error).self) { try fixture.store.importRootfs(from: bad.raw, config: nil, message: "", reference: nil) }
        #expect(try fixture.count("tmp") == 0 && fixture.count("layers") == 1)
    }
}

@Suite struct Deletion {
    private func steps(_ steps: [ImageDeletionStep]) -> [String] {
        steps.map {
            switch $0 {
            case .untagged(let name): "-\(name.familiar)"
            case .deleted(let digest): "!\(digest.short)"
            }
        }
    }

    @Test func byNameAndByID() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("a:1", "a:2")
        #expect(try steps(fixture.store.delete("a:1")) == ["-a:1"])
        #expect(try steps(fixture.store.delete("a:2")) == ["-a:2", "!\(image.id.short)", "!\(image.layers[0].chainID.short)"])
        #expect(try fixture.isEmpty)
        let other = try fixture.makeImage("a:1", "b:1")
        #expect(
            throws: ImageError(
                .conflict, "conflict: unable to delete \(other.id.short) (must be forced) - image is referenced in multiple repositories")
        ) {
            try fixture.store.delete(other.id.short)
        }
        #expect(fixture.store.list().first?.references.count == 2)
        #expect(try steps(fixture.store.delete(other.id.short, force: true)).count == 4)
        #expect(try fixture.isEmpty)
        #expect(throws: ImageError.self) { try fixture.store.delete("a:1") }
    }

    @Test func onlyWhatIsMeant() throws {
        let fixture = try Fixture()
        _ = try fixture.makeImage("a:1")
        let other = ImageError(.notFound, "for another machine")
        #expect(throws: other) { try fixture.store.delete("a:1", force: true) { _ in throw other } }
        #expect(fixture.store.list().count == 1)
        #expect(throws: ImageError.self) { try fixture.store.delete("a:2") { _ in } }
        let deleted = try fixture.store.delete("a:1") { if $0.os != "linux" { throw other } }
        #expect(deleted.count == 3)
        #expect(try fixture.isEmpty)
    }

    @Test func containersHoldImages() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("a")
        let container = "0123456789abcdef"
        let stopped: (Digest) -> [ImageUser] = { _ in [ImageUser(containerID: container, isRunning: false)] }
        let running: (Digest) -> [ImageUser] = { _ in [ImageUser(containerID: container, isRunning: true)] }
        #expect(
            throws: ImageError(
                .conflict,
                "conflict: unable to remove repository reference \"a\" (must force) - container 0123456789ab is using its referenced image \(image.id.short)"
            )
        ) { try fixture.store.delete("a", users: stopped) }
        #expect(
            throws: ImageError(
                .conflict,
                "conflict: unable to delete \(image.id.short) (must be forced) - image is being used by stopped container 0123456789ab")
        ) {
            try fixture.store.delete(image.id.hex, users: stopped)
        }
        #expect(
            throws: ImageError(
                .conflict,
                "conflict: unable to delete \(image.id.short) (cannot be forced) - image is being used by running container 0123456789ab")
        ) {
            try fixture.store.delete(image.id.hex, force: true, users: running)
        }
        #expect(try fixture.store.image("a").id == image.id)
        // The name may go by force, the image stays for the running container.
        #expect(try steps(fixture.store.delete("a", force: true, users: running)) == ["-a:latest"])
        #expect(try fixture.store.image(image.id.hex).references.isEmpty)
        #expect(try steps(fixture.store.delete(image.id.hex, force: true, users: stopped)).count == 2)
        #expect(try fixture.isEmpty)
    }

    @Test func parentsGoWithTheirLastChild() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base")
        let middle = try fixture.makeImage(content: ["b": "2"], parent: base)
        let top = try fixture.makeImage("top", content: ["c": "3"], parent: middle)
        #expect(
            throws: ImageError(
                .conflict, "conflict: unable to delete \(middle.id.short) (cannot be forced) - image has dependent child images")
        ) {
            try fixture.store.delete(middle.id.hex, force: true)
        }
        #expect(try steps(fixture.store.delete("top")).prefix(3) == ["-top:latest", "!\(top.id.short)", "!\(middle.id.short)"])
        #expect(fixture.store.list().map(\.id) == [base.id])
        #expect(try fixture.count("layers") == 1)
        try fixture.reopen()
        #expect(fixture.store.list().map(\.id) == [base.id])
    }

    @Test func leasesHoldLayers() throws {
        let fixture = try Fixture()
        let base = try fixture.makeImage("base")
        let child = try fixture.makeImage("child", content: ["b": "2"], parent: base)
        do {
            let lease = try fixture.store.lease([child.layers[1]])
            _ = try fixture.store.delete("child")
            _ = try fixture.store.delete("base")
            #expect(try fixture.count("layers") == 2)
            let image = try fixture.store.createImage(config: child.config, layers: child.layers, tags: [try ImageReference("kept")])
            #expect(image.layers == child.layers)
            withExtendedLifetime(lease) {}
        }
        _ = try fixture.store.delete("kept")
        #expect(try fixture.isEmpty)
        #expect(throws: ImageError.self) { try fixture.store.lease(child.layers) }
        #expect(throws: ImageError.self) { try fixture.store.createImage(config: child.config, layers: child.layers) }
    }

    @Test func pruning() throws {
        let fixture = try Fixture()
        try fixture.makeImage("named", content: ["a": "123"])
        let dangling = try fixture.makeImage(content: ["b": "12345"])
        let used = try fixture.makeImage(content: ["c": "1"])
        let users: (Digest) -> [ImageUser] = { $0 == used.id ? [ImageUser(containerID: "c", isRunning: false)] : [] }
        let first = try fixture.store.prune(users: users)
        #expect(first.reclaimed == 5 && first.steps.first == .deleted(dangling.id))
        let second = try fixture.store.prune(all: true, users: users)
        #expect(second.reclaimed == 3 && fixture.store.list().map(\.id) == [used.id])
    }
}

@Suite struct Starts {
    @Test func leftoversGo() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("a")
        // A layer whose image was never recorded, and work in flight.
        _ = try fixture.adopt(["lost": "x"])
        _ = try fixture.store.makeScratchDirectory()
        try Files.write("\(fixture.path)/image/blobs/sha256/\(String(repeating: "0", count: 64))", "x")
        try fixture.reopen()
        #expect(try fixture.store.image("a") == image)
        #expect(try fixture.count("layers") == 1 && fixture.count("tmp") == 0 && fixture.count("blobs/sha256") == 2)
    }

    @Test func namesThatAreNotUTF8CanBeRemoved() throws {
        let fixture = try Fixture()
        let line = "mkdir -p D/$(printf 'd\\377')/e; touch D/$(printf 'd\\377')/e/$(printf 'f\\351')"
        func fill(_ directory: String) throws {
            try shell(line.split(separator: "D", omittingEmptySubsequences: false).joined(separator: directory))
        }
        let directory = try fixture.store.makeScratchDirectory()
        try fill(directory)
        let layer = try fixture.store.adoptLayer(directory: directory, parent: nil)
        _ = try fixture.store.createImage(config: ImageConfig(), layers: [layer], tags: [try ImageReference("x")])
        _ = try fixture.store.delete("x")
        #expect(try fixture.isEmpty)
        try fill(try fixture.store.makeScratchDirectory())
        try fixture.reopen()
        #expect(try fixture.isEmpty)
    }

    @Test func damagedLayerIsSetAsideAndNothingIsRemoved() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("xa")
        let good = try fixture.makeImage("xb", content: ["b": "2"])
        _ = try fixture.adopt(["lost": "x"])
        try fixture.reopen { try Files.write("\(fixture.path)/image/layers/\(image.layers[0].chainID.hex)/layer.json", "{") }
        #expect(try fixture.count("damaged") == 1 && fixture.count("layers") == 2)
        #expect(throws: ImageError.self) { try fixture.store.image("xa") }
        #expect(try fixture.store.image("xb") == good)
    }

    @Test func imagesAreFoundAgainWithoutTheDatabase() throws {
        let fixture = try Fixture()
        let image = try fixture.makeImage("a")
        try fixture.reopen { try Files.replace("\(fixture.path)/clipper.db", with: Array("rubbish that is no database".utf8)) }
        #expect(fixture.records.setAside != nil)
        let found = try #require(fixture.store.list().first)
        #expect(found.id == image.id && found.layers == image.layers && found.references.isEmpty)
        try fixture.reopen()
        #expect(fixture.store.list().count == 1)
    }
}
