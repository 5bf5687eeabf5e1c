import Glibc
import Linux
import Logging
import RecordStore
import Testing

@testable import Volumes

private final class Fixture {
    let path = "/tmp/clp-volumes-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    private(set) var store: VolumeStore

    init() throws { store = try Self.open(path) }

    private static func open(_ path: String) throws -> VolumeStore {
        try VolumeStore(root: path, records: try RecordStore(root: path), logger: Logger(label: "test"))
    }

    /// What a second start of the daemon sees. The old store's records must be closed before.
    func reopen(between: () throws -> Void = {}) throws {
        let other = "\(path)-gap"
        store = try Self.open(other)
        try Files.removeTree(other)
        try between()
        store = try Self.open(path)
    }

    deinit { try? Files.removeTree(path) }
}

@Suite struct VolumeTests {
    @Test func lifeOfAVolume() throws {
        let fixture = try Fixture()
        let volume = try fixture.store.create(name: "data", labels: ["a": "b"])
        #expect(volume.mountpoint == "\(fixture.path)/volumes/data/_data" && Files.isDirectory(volume.mountpoint) && !volume.isAnonymous)
        try Files.write("\(volume.mountpoint)/f", "12345")
        #expect(try fixture.store.create(name: "data") == volume)
        #expect(try fixture.store.size(of: "data") == 5)
        try fixture.reopen()
        #expect(try fixture.store.volume("data") == volume)
        #expect(throws: VolumeError(code: .conflict, message: "remove data: volume is in use - [c1, c2]")) {
            try fixture.store.remove("data", force: true, users: { _ in ["c2", "c1"] })
        }
        try fixture.store.remove("data")
        #expect(!Files.exists("\(fixture.path)/volumes/data") && fixture.store.list().isEmpty)
        #expect(throws: VolumeError(code: .notFound, message: "get data: no such volume")) { try fixture.store.remove("data") }
        try fixture.store.remove("data", force: true)
    }

    @Test func anonymousNamesAndPrune() throws {
        let fixture = try Fixture()
        let one = try fixture.store.create()
        let two = try fixture.store.create()
        _ = try fixture.store.create(name: "named")
        #expect(one.name.count == 64 && one.name != two.name && one.isAnonymous)
        try Files.write("\(one.mountpoint)/f", "1234567")
        let pruned = try fixture.store.prune(users: { $0 == two.name ? ["c"] : [] })
        #expect(pruned.deleted == [one.name] && pruned.reclaimed == 7)
        #expect(try fixture.store.prune(all: true, users: { _ in [] }).deleted.count == 2)
    }

    @Test(arguments: ["../x", "a/b", ".hidden", "-x", "ä1", "a b", "x\u{0}y", String(repeating: "a", count: 256)]) func badNames(
        name: String
    ) throws {
        let fixture = try Fixture()
        let error = #expect(throws: VolumeError.self) { try fixture.store.create(name: name) }
        #expect(error?.code == .invalid && error?.message.contains("only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed") == true)
        #expect(try Files.list("\(fixture.path)/volumes").isEmpty)
    }

    @Test func refusals() throws {
        let fixture = try Fixture()
        #expect(throws: VolumeError.self) { try fixture.store.create(name: "a") }
        #expect(throws: VolumeError(code: .invalid, message: "invalid option: \"colour\"")) {
            try fixture.store.create(name: "aa", options: ["colour": "x"])
        }
        for (size, message) in [
            ("much", "invalid size: 'much'"), ("1x", "invalid suffix: 'x'"), ("1m", "quota size requested but no quota support"),
        ] {
            #expect(throws: VolumeError(code: .invalid, message: message)) {
                try fixture.store.create(name: "aa", options: ["size": size])
            }
        }
        #expect(throws: VolumeError(code: .invalid, message: "size limits the driver's own directories, not what is mounted")) {
            try fixture.store.create(name: "aa", options: ["type": "tmpfs", "device": "tmpfs", "size": "1m"])
        }
        for (options, message) in [
            (["type": "tmpfs"], "missing required option: \"device\""), (["o": "bind"], "missing required option: \"device\""),
            (["device": "/tmp"], "missing required option: \"type\""),
            (["o": "bind", "device": "/tmp"], "missing required option: \"type\""),
            (["type": "none", "device": ""], "missing device in volume options"),
            (["type": "", "device": "/tmp"], "missing type in volume options"),
        ] {
            #expect(throws: VolumeError(code: .invalid, message: message)) { try fixture.store.create(name: "aa", options: options) }
        }
        #expect(throws: VolumeError(code: .notImplemented, message: "not implemented: volumes of type nfs")) {
            try fixture.store.create(name: "aa", options: ["type": "nfs", "device": ":/x", "o": "addr=1.2.3.4"])
        }
        #expect(throws: VolumeError.self) { try fixture.store.create(name: "aa", driver: "other") }
        _ = try fixture.store.create(name: "aa")
        #expect(throws: VolumeError.self) { try fixture.store.create(name: "aa", options: ["type": "tmpfs", "device": "tmpfs"]) }
    }

    @Test func tmpfsIsMountedWhileInUse() throws {
        let fixture = try Fixture()
        let volume = try fixture.store.create(name: "tmp", options: ["type": "tmpfs", "device": "tmpfs", "o": "size=1m,nosuid,uid=7"])
        let path = try fixture.store.acquire("tmp", user: "c1")
        defer { umount2(path, Int32(MNT_DETACH)) }
        _ = try fixture.store.acquire("tmp", user: "c2")
        #expect(try MountOptions.isMounted(volume.mountpoint))
        var status = stat()
        #expect(stat(path, &status) == 0 && status.st_uid == 7)
        #expect(throws: VolumeError.self) { try fixture.store.remove("tmp") }
        // Another start takes the mount over.
        try fixture.reopen()
        _ = try fixture.store.acquire("tmp", user: "c1")
        try fixture.store.release("tmp", user: "c2")
        #expect(try MountOptions.isMounted(path))
        try fixture.store.release("tmp", user: "c1")
        #expect(try !MountOptions.isMounted(path))
        try fixture.store.remove("tmp")
    }

    @Test func bindToADirectory() throws {
        let fixture = try Fixture()
        try Files.makeDirectories("\(fixture.path)/elsewhere")
        try Files.write("\(fixture.path)/elsewhere/f", "x")
        _ = try fixture.store.create(name: "bound", options: ["type": "none", "device": "\(fixture.path)/elsewhere", "o": "bind,ro"])
        let path = try fixture.store.acquire("bound", user: "c")
        defer { umount2(path, Int32(MNT_DETACH)) }
        #expect(try Files.readText("\(path)/f") == "x")
        #expect(throws: (any Error).self) { try Files.write("\(path)/g", "x") }
        try fixture.store.release("bound", user: "c")
        try fixture.store.remove("bound")
        #expect(Files.exists("\(fixture.path)/elsewhere/f"))
    }

    @Test func failedMountLeavesNothing() throws {
        let fixture = try Fixture()
        _ = try fixture.store.create(name: "bad", options: ["type": "none", "device": "/nowhere/at/all", "o": "bind"])
        #expect(throws: VolumeError.self) { try fixture.store.acquire("bad", user: "c") }
        try fixture.store.remove("bad")
    }

    @Test func dataWithoutARecordBecomesAVolumeAgain() throws {
        let fixture = try Fixture()
        _ = try fixture.store.create(name: "kept")
        try fixture.reopen { try Files.removeTree("\(fixture.path)/clipper.db") }
        #expect(fixture.store.list().map(\.name) == ["kept"])
    }

    @Test func leftoversOfRemovalGoAtStart() throws {
        let fixture = try Fixture()
        try fixture.reopen { try Files.makeDirectories("\(fixture.path)/volumes/.removed-abc/_data") }
        #expect(try Files.list("\(fixture.path)/volumes").isEmpty)
    }
}
