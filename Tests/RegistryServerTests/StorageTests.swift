import Glibc
import HTTPServer
import Linux
import OCIImageSpec
import Testing

@testable import RegistryServer

/// A storage under test, and how to make its content older.
struct StorageUnderTest: Sendable {
    let storage: any RegistryStorage
    let scratch: String
    let age: @Sendable (Int64) throws -> Void

    /// Another one on the same content: what a server sees that starts anew.
    let reopened: @Sendable () throws -> any RegistryStorage

    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case files, objects
        var testDescription: String { rawValue }
    }

    init(_ kind: Kind) throws {
        scratch = "/tmp/clp-storage-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        try Files.makeDirectories(scratch)
        let root = "\(scratch)/root"
        switch kind {
        case .files:
            storage = try FileStorage(root: root)
            age = { try Self.age(root, $0) }
            reopened = { try FileStorage(root: root) }
        case .objects:
            let objects = MemoryObjects()
            storage = ObjectStorage(objects)
            age = { objects.age($0) }
            reopened = { ObjectStorage(objects) }
        }
    }

    private static func age(_ directory: String, _ seconds: Int64) throws {
        for entry in try Files.list(directory) {
            let path = "\(directory)/\(entry)"
            if Files.isDirectory(path) {
                try age(path, seconds)
            } else {
                var status = stat()
                _ = stat(path, &status)
                // A blob has several names and one age.
                let then = timespec(tv_sec: time(nil) - Int(seconds), tv_nsec: 0)
                utimensat(AT_FDCWD, path, [then, then], 0)
            }
        }
    }

    func push(_ text: String, to name: String) async throws -> Digest {
        let bytes = Array(text.utf8)
        let digest = ContentHasher.digest(of: bytes)
        let path = "\(scratch)/upload"
        try Files.replace(path, with: bytes)
        try await storage.adopt(path, as: digest, in: name)
        _ = unlink(path)
        return digest
    }

    /// A manifest of no particular content.
    func put(_ text: String, tags: [String] = [], subject: Digest? = nil, in name: String) async throws -> ManifestEntry {
        let bytes = Array(text.utf8)
        var entry = ManifestEntry(digest: ContentHasher.digest(of: bytes), mediaType: MediaType.ociManifest, size: bytes.count)
        entry.subject = subject
        try await storage.put(entry, bytes, tags: tags, in: name)
        return entry
    }
}

/// The contract of `RegistryStorage`, for each of its implementations.
@Suite struct StorageTests {
    private func with(_ kind: StorageUnderTest.Kind, _ body: (StorageUnderTest) async throws -> Void) async throws {
        let made = try StorageUnderTest(kind)
        defer { try? Files.removeTree(made.scratch) }
        try await body(made)
    }

    @Test(arguments: StorageUnderTest.Kind.allCases)
    func blobsBelongToRepositories(_ kind: StorageUnderTest.Kind) async throws {
        try await with(kind) { made in
            let storage = made.storage
            try await storage.check()
            let digest = try await made.push("hello", to: "a/b")
            #expect(try await storage.blob(digest, in: "a/b")?.size == 5)
            for other in ["a", "a/b/c", "b"] { #expect(try await storage.blob(digest, in: other) == nil) }
            // Once more is no error.
            #expect(try await made.push("hello", to: "a/b") == digest)
            #expect(try await storage.mount(digest, from: "nowhere", to: "c") == false)
            #expect(try await storage.mount(digest, from: "a/b", to: "c"))
            #expect(try await storage.blob(digest, in: "c")?.size == 5)
            #expect(try await made.reopened().blob(digest, in: "c")?.size == 5)
            #expect(Set(try await storage.allRepositories()) == ["a/b", "c"])
            #expect(try await storage.repositories() == [], "no manifest yet")
            #expect(try await storage.repository(with: digest) { $0 == "c" } == "c")
            #expect(try await storage.repository(with: digest) { _ in false } == nil)
            #expect(try await storage.removeBlob(digest, from: "a/b"))
            #expect(try await storage.removeBlob(digest, from: "a/b") == false)
            #expect(try await storage.blob(digest, in: "a/b") == nil)
            #expect(try await storage.blob(digest, in: "c")?.size == 5)
        }
    }

    @Test(arguments: StorageUnderTest.Kind.allCases)
    func manifestsHaveTags(_ kind: StorageUnderTest.Kind) async throws {
        try await with(kind) { made in
            let storage = made.storage
            #expect(try await storage.tags(in: "r") == nil)
            let first = try await made.put("first", tags: ["v1", "a"], in: "r")
            let second = try await made.put("second", tags: ["v1", "B"], in: "r")
            let bare = try await made.put("bare", in: "r")
            #expect(try await storage.tags(in: "r") == ["B", "a", "v1"])
            #expect(try await storage.manifest(.tag("v1"), in: "r")?.digest == second.digest)
            #expect(try await storage.manifest(.tag("a"), in: "r")?.digest == first.digest)
            #expect(try await storage.manifest(.digest(bare.digest), in: "r")?.tags == [])
            #expect(try await storage.manifest(.tag("none"), in: "r") == nil)
            #expect(try await storage.manifest(.tag("v1"), in: "r/s") == nil)
            #expect(try await storage.manifestBytes(first.digest, in: "r") == Array("first".utf8))
            let again = try await made.reopened().manifest(.tag("B"), in: "r")
            #expect(again?.digest == second.digest && again?.tags == ["B", "v1"] && again?.size == 6)
            #expect(try await storage.removeTag("v1", from: "r"))
            #expect(try await storage.removeTag("v1", from: "r") == false)
            #expect(try await storage.manifest(.digest(second.digest), in: "r")?.tags == ["B"])
            #expect(try await storage.removeManifest(second.digest, from: "r"))
            #expect(try await storage.removeManifest(second.digest, from: "r") == false)
            #expect(try await storage.tags(in: "r") == ["a"])
            #expect(Set(try await storage.manifests(in: "r").map(\.digest)) == [first.digest, bare.digest])
            #expect(try await storage.repositories() == ["r"])
        }
    }

    @Test(arguments: StorageUnderTest.Kind.allCases)
    func manifestsAreNoBlobsToDelete(_ kind: StorageUnderTest.Kind) async throws {
        try await with(kind) { made in
            let manifest = try await made.put("manifest", tags: ["v1"], in: "r")
            #expect(try await made.storage.removeBlob(manifest.digest, from: "r") == false)
            #expect(try await made.storage.manifestBytes(manifest.digest, in: "r") != nil)
            #expect(try await made.storage.blob(manifest.digest, in: "r")?.size == 8, "but a blob to read")
        }
    }

    @Test(arguments: StorageUnderTest.Kind.allCases)
    func referrersAreFoundBySubject(_ kind: StorageUnderTest.Kind) async throws {
        try await with(kind) { made in
            let subject = try await made.put("subject", in: "r")
            let one = try await made.put("one", subject: subject.digest, in: "r")
            let two = try await made.put("two", subject: subject.digest, in: "r")
            _ = try await made.put("three", in: "r")
            #expect(try await made.storage.referrers(to: subject.digest, in: "r").map(\.digest) == [one.digest, two.digest].sorted())
            #expect(try await made.reopened().referrers(to: subject.digest, in: "r").count == 2)
            #expect(try await made.storage.referrers(to: subject.digest, in: "s").isEmpty)
        }
    }

    @Test(arguments: StorageUnderTest.Kind.allCases)
    func ageDecidesWhatIsDiscarded(_ kind: StorageUnderTest.Kind) async throws {
        try await with(kind) { made in
            let storage = made.storage
            let (kept, lost) = (try await made.push("kept", to: "r"), try await made.push("lost", to: "r"))
            let mounted = try await made.push("mounted", to: "elsewhere")
            let deadline = Int64(time(nil)) - 100
            #expect(Set(try await storage.contents(of: "r").map(\.digest)) == [kept, lost])
            _ = try await storage.discard(lost, from: "r", olderThan: deadline)
            #expect(try await storage.blob(lost, in: "r") != nil, "still young")
            try made.age(1000)
            #expect(try await storage.contents(of: "r").allSatisfy { $0.modified < deadline })
            try await storage.touch(kept, in: "r", ifOlderThan: 2000)
            #expect(try await storage.contents(of: "r").allSatisfy { $0.modified < deadline }, "not old enough to be touched")
            try await storage.touch(kept, in: "r", ifOlderThan: 500)
            #expect(try await storage.mount(mounted, from: "elsewhere", to: "r"))
            var freed = 0
            for digest in [kept, lost, mounted] { freed += try await storage.discard(digest, from: "r", olderThan: deadline) }
            freed += try await storage.sweep(olderThan: deadline)
            #expect(freed == 4)
            for digest in [kept, mounted] { #expect(try await storage.blob(digest, in: "r") != nil) }
            #expect(try await storage.blob(lost, in: "r") == nil)
            #expect(try await storage.blob(mounted, in: "elsewhere") != nil)
        }
    }

    /// Of many changes at once none is lost.
    @Test(arguments: StorageUnderTest.Kind.allCases)
    func changesAtOnceAreAllMade(_ kind: StorageUnderTest.Kind) async throws {
        try await with(kind) { made in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<40 {
                    group.addTask { _ = try await made.put("manifest \(number)", tags: ["t\(number)", "latest"], in: "r") }
                }
                try await group.waitForAll()
            }
            #expect(try await made.reopened().tags(in: "r")?.count == 41)
            #expect(try await made.storage.manifests(in: "r").count == 40)
            #expect(try await made.storage.manifests(in: "r").filter { $0.tags.contains("latest") }.count == 1)
        }
    }
}

@Suite struct ObjectStorageTests {
    /// Two servers on one bucket: the index of one is never laid over the other's.
    @Test func serversDoNotOverwriteEachOther() async throws {
        let objects = MemoryObjects()
        let servers = [ObjectStorage(objects), ObjectStorage(objects)]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let bytes = Array("\(number)".utf8)
                    let digest = ContentHasher.digest(of: bytes)
                    let entry = ManifestEntry(digest: digest, mediaType: MediaType.ociManifest, size: bytes.count)
                    try await servers[number % 2].put(entry, bytes, tags: ["t\(number)"], in: "r")
                }
            }
            try await group.waitForAll()
        }
        #expect(try await servers[0].tags(in: "r")?.count == 20)
        #expect(try await servers[1].tags(in: "r")?.count == 20)
    }

    @Test func aChangeIsTriedAgainAndGivenUpAtLast() async throws {
        let objects = MemoryObjects()
        let storage = ObjectStorage(objects)
        let entry = ManifestEntry(digest: ContentHasher.digest(of: [1]), mediaType: MediaType.ociManifest, size: 1)
        objects.refuse(2)
        try await storage.put(entry, [1], tags: ["v1"], in: "r")
        #expect(objects.refusalsLeft == 0)
        objects.refuse(1000)
        await #expect(throws: ObjectStoreError.self) { try await storage.put(entry, [1], tags: ["v2"], in: "r") }
        #expect(try await storage.tags(in: "r") == ["v1"])
    }

    /// A crash between content and link leaves content that nobody has.
    @Test func contentWithoutLinkIsSwept() async throws {
        let objects = MemoryObjects()
        let storage = ObjectStorage(objects)
        let lost = ContentHasher.digest(of: [1, 2, 3])
        try await objects.put(ObjectStorage.blobKey(lost), [1, 2, 3], metadata: [:], if: .always)
        #expect(try await storage.sweep(olderThan: Int64(time(nil)) - 10) == 0)
        objects.age(100)
        #expect(try await storage.sweep(olderThan: Int64(time(nil)) - 10) == 3)
        #expect(objects.keys.isEmpty)
    }
}
