import Archive
import CLinux
import Glibc
import Linux
import OCIImageSpec
import RecordStore
import Testing

@testable import Images

/// A store beside a directory that nothing may touch, and layers that try.
private final class Trap {
    let fixture: Fixture
    var outside: String { "\(fixture.path)/outside" }
    private var before = ""

    init(limits: UnpackLimits = .standard) throws {
        fixture = try Fixture(limits: limits)
        try Files.makeDirectories("\(outside)/d")
        try Files.write("\(outside)/secret", "secret")
        try Files.write("\(outside)/d/inner", "inner")
        chmod("\(outside)/secret", 0o600)
        before = try describe()
    }

    /// Everything that an entry could change: names, kinds, modes, owners, links, sizes, times to the nanosecond, contents and
    /// attributes.
    private func describe() throws -> String {
        let text = try shell("cd \(outside); find . -printf '%p %y %m %U %G %n %s %T@ %l\\n' | sort; cat secret d/inner")
        let attributes = ["", "/secret", "/d", "/d/inner"].map { listxattr(outside + $0, nil, 0) }
        return text + "\(attributes)"
    }

    func isUntouched() throws -> Bool { try describe() == before }

    /// The layer's directory; throws what the import throws.
    @discardableResult
    func take(_ entries: [(TarEntry, [UInt8])], packing: String = "cat") throws -> String {
        let sink = MemorySink()
        let writer = TarWriter(sink)
        for (entry, content) in entries {
            if entry.kind == .file { try writer.add(entry, content: content) } else { try writer.add(entry) }
        }
        try writer.finish()
        let plain = try fixture.file(sink.bytes)
        let packed = "\(fixture.path)/packed-\(UInt64.random(in: 0 ... .max))"
        try shell("\(packing) < /proc/\(getpid())/fd/\(plain.raw) > \(packed)")
        let source = try OwnedFD.open(packed)
        let image = try fixture.store.importRootfs(from: source.raw, config: nil, message: "", reference: nil)
        return fixture.store.layerDirectories(of: image)[0]
    }
}

private func entry(_ kind: TarEntry.Kind, _ path: String, link: String = "", mode: UInt32 = 0o644) -> TarEntry {
    TarEntry(kind: kind, path: Array(path.utf8), linkTarget: Array(link.utf8), mode: mode)
}

@Suite struct HostileLayers {
    /// What each tries, and with what; OUT stands for the directory outside.
    private static let escapes: [(String, [(TarEntry, [UInt8])])] = [
        ("path above", [(entry(.file, "../outside/x"), [1])]),
        ("path above, later", [(entry(.file, "a/b/../../../outside/secret"), [1])]),
        ("whiteout above", [(entry(.file, "../outside/.wh.secret"), [])]),
        ("opaque above", [(entry(.file, "../outside/.wh..wh..opq"), [])]),
        ("whiteout of a parent", [(entry(.file, "d/.wh..."), [])]),
        ("file through a link", [(entry(.symbolicLink, "l", link: "OUT"), []), (entry(.file, "l/secret"), [1])]),
        ("file over a link", [(entry(.symbolicLink, "l", link: "OUT/secret"), []), (entry(.file, "l"), [1])]),
        ("link through a link", [(entry(.symbolicLink, "a", link: "OUT"), []), (entry(.symbolicLink, "a/new", link: "/"), [])]),
        (
            "link chain",
            [
                (entry(.symbolicLink, "a", link: "b"), []), (entry(.symbolicLink, "b", link: "../../../../../../OUT"), []),
                (entry(.file, "a/x"), [1]),
            ]
        ),
        ("directory over a link", [(entry(.symbolicLink, "l", link: "OUT/d"), []), (entry(.directory, "l", mode: 0o777), [])]),
        ("whiteout through a link", [(entry(.symbolicLink, "l", link: "OUT"), []), (entry(.file, "l/.wh.secret"), [])]),
        ("opaque through a link", [(entry(.symbolicLink, "l", link: "OUT/d"), []), (entry(.file, "l/.wh..wh..opq"), [])]),
        ("hard link above", [(entry(.hardLink, "h", link: "../outside/secret"), [])]),
        ("hard link to an absolute path", [(entry(.hardLink, "h", link: "OUT/secret"), []), (entry(.file, "h"), [1])]),
        ("hard link through a link", [(entry(.symbolicLink, "l", link: "OUT"), []), (entry(.hardLink, "h", link: "l/secret"), [])]),
        (
            "hard link to a link, then written",
            [
                (entry(.symbolicLink, "l", link: "OUT/secret"), []), (entry(.hardLink, "h", link: "l"), []), (entry(.file, "h"), [1]),
            ]
        ),
        (
            "directory becomes a link",
            [
                (entry(.directory, "d", mode: 0o755), []), (entry(.file, "d/x"), [1]), (entry(.file, ".wh.d"), []),
                (entry(.symbolicLink, "d", link: "OUT/d"), []), (entry(.file, "d/inner"), [1]),
            ]
        ),
        (
            "link becomes a directory",
            [
                (entry(.symbolicLink, "d", link: "OUT/d"), []), (entry(.directory, "d", mode: 0o700), []), (entry(.file, "d/inner"), [1]),
            ]
        ),
        ("owner and mode of a link", [(entry(.symbolicLink, "l", link: "OUT/secret", mode: 0o4777), [])]),
        ("process directory", [(entry(.symbolicLink, "l", link: "/proc/self/cwd"), []), (entry(.file, "l/outside-probe"), [1])]),
    ]

    @Test(arguments: escapes.map(\.0)) func nothingOutsideIsTouched(name: String) throws {
        let trap = try Trap()
        let entries = try #require(Self.escapes.first { $0.0 == name }).1.map { entry, content in
            var entry = entry
            let link = String(decoding: entry.linkTarget, as: UTF8.self).split(separator: "OUT", omittingEmptySubsequences: false)
            entry.linkTarget = Array(link.joined(separator: trap.outside).utf8)
            entry.uid = 1234
            entry.gid = 1234
            entry.attributes = entry.kind == .symbolicLink ? [] : [ExtendedAttribute("user.mine", [1])]
            return (entry, content)
        }
        // Taken or refused: either is right, as long as it stays inside.
        _ = try? trap.take(entries)
        #expect(try trap.isUntouched())
        #expect(!Files.exists("\(getcwdText())/outside-probe"))
        #expect(try trap.fixture.count("tmp") == 0)
    }

    private func getcwdText() -> String { (try? shell("pwd"))?.split(separator: "\n").first.map(String.init) ?? "/" }

    @Test func devicesAndFifosAreNeverOpened() throws {
        let trap = try Trap()
        var disk = entry(.blockDevice, "disk", mode: 0o666)
        (disk.deviceMajor, disk.deviceMinor) = (254, 0)
        var tty = entry(.characterDevice, "tty", mode: 0o666)
        (tty.deviceMajor, tty.deviceMinor) = (5, 0)
        // Opening the fifo would wait for ever; writing to the device would be worse.
        let directory = try trap.take([
            (disk, []), (entry(.file, "disk"), [1]), (entry(.fifo, "pipe"), []), (entry(.hardLink, "pipe2", link: "pipe"), []),
            (entry(.file, "pipe"), [2]), (tty, []), (entry(.symbolicLink, "to-tty", link: "tty"), []), (entry(.file, "to-tty"), [3]),
        ])
        #expect(
            try shell("cd \(directory); stat -c '%n %F %s' disk pipe pipe2 tty to-tty")
                == "disk regular file 1\npipe regular file 1\npipe2 fifo 0\ntty character special file 0\nto-tty regular file 1\n")
        #expect(try trap.isUntouched())
    }

    /// What honest layers hold, all of it kept.
    @Test func everythingThatALayerSays() throws {
        let trap = try Trap()
        let long = String(repeating: "n", count: 255)
        var setuid = entry(.file, "su", mode: 0o6755)
        (setuid.uid, setuid.gid) = (12, 34)
        setuid.modified = FileTime(seconds: 1_000_000_000, nanoseconds: 123_456_789)
        setuid.attributes = [
            ExtendedAttribute("security.capability", [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            ExtendedAttribute("user.colour", Array("red".utf8)),
        ]
        var null = entry(.characterDevice, "null", mode: 0o666)
        (null.deviceMajor, null.deviceMinor) = (1, 3)
        let directory = try trap.take([
            (setuid, [1, 2, 3]), (entry(.hardLink, "su2", link: "su"), []), (null, []), (entry(.directory, "sticky", mode: 0o1777), []),
            (entry(.file, "\(long)/\(long)/\(long)"), [1]), (entry(.symbolicLink, "long", link: "/\(long)/\(long)"), []),
            (entry(.file, "gone/.wh.old"), []), (entry(.file, "new/.wh..wh..opq"), []),
        ])
        #expect(
            try shell("cd \(directory); stat -c '%n %a %u %g %h %y' su | cut -c-48; stat -c '%n %F %t:%T' null gone/old; stat -c %a sticky")
                == "su 6755 12 34 2 2001-09-09 01:46:40.123456789 +0\nnull character special file 1:3\ngone/old character special file 0:0\n1777\n"
        )
        var value = [UInt8](repeating: 0, count: 32)
        #expect(getxattr("\(directory)/su2", "security.capability", &value, 32) == 20)
        #expect(getxattr("\(directory)/new", "trusted.overlay.opaque", &value, 32) == 1)
        #expect(try Files.read("\(directory)/\(long)/\(long)/\(long)") == [1])
    }

    @Test(arguments: ["gzip -c", "zstd -qc"]) func bombsAreRefused(packing: String) throws {
        var limits = UnpackLimits()
        limits.freeBytes = 1 << 20
        let trap = try Trap(limits: limits)
        let zeros = [UInt8](repeating: 0, count: 64 << 20)
        let error = #expect(throws: ArchiveError.self) { try trap.take([(entry(.file, "zeros"), zeros)], packing: packing) }
        #expect(error?.code == .refused && error?.message.hasPrefix("packed data grows to more than 250 times its size") == true)
        #expect(try trap.fixture.isEmpty)
        // The same is welcome plain: as many bytes as were sent.
        #expect(throws: Never.self) { try trap.take([(entry(.file, "zeros"), zeros)]) }
        // And what packs as files do, however large.
        let text = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 20) }
        #expect(throws: Never.self) { try trap.take([(entry(.file, "text"), text)], packing: packing) }
    }

    @Test func bombsAroundArchives() throws {
        var limits = UnpackLimits()
        limits.freeBytes = 1 << 20
        limits.documentBytes = 1000
        let fixture = try Fixture(limits: limits)
        let layer = try tar([("zeros", [UInt8](repeating: 0, count: 32 << 20))])
        let file = try fixture.file(try dockerArchive(layers: [layer]))
        try shell("gzip -c < /proc/\(getpid())/fd/\(file.raw) > \(fixture.path)/outer.gz")
        let source = try OwnedFD.open("\(fixture.path)/outer.gz")
        let error = #expect(throws: ImageError.self) { try fixture.store.load(from: source.raw) }
        #expect(error?.message.contains("packed data grows to more than 250 times") == true)
        let documents = try tar((0..<20).map { ("\($0).json", [UInt8](repeating: UInt8(ascii: "{"), count: 100)) })
        #expect(throws: ImageError(.invalid, "invalid archive: more than 1000 bytes of documents")) { try fixture.load(documents) }
        #expect(try fixture.isEmpty)
    }

    @Test func entriesHaveALimit() throws {
        var limits = UnpackLimits()
        limits.entries = 100
        let trap = try Trap(limits: limits)
        let error = #expect(throws: ArchiveError.self) { try trap.take((0...100).map { (entry(.directory, "d\($0)"), []) }) }
        #expect(error == ArchiveError(.refused, "archive has more than 100 entries"))
        #expect(try trap.fixture.isEmpty)
    }

    /// A pax header of a gigabyte, and one entry with a thousand of a mebibyte: refused before they are in memory.
    @Test(arguments: [1 << 30, 1 << 20]) func gigantic(header size: Int) throws {
        let trap = try Trap()
        let source = GiganticHeaders(size: size)
        let work = "\(trap.fixture.path)/work"
        let error = #expect(throws: ArchiveError.self) { try LayerIngest.run(source, workDirectory: work) }
        #expect(error?.code == .refused)
        // The ring between the threads and the buffers hold some; a gigabyte was never read.
        #expect(source.given < 32 << 20)
        #expect(!Files.exists(work))
    }

    @Test func holesCostNothing() throws {
        let trap = try Trap()
        try shell(
            """
            cd \(trap.fixture.path); truncate -s 1T huge; echo end >> huge; tar --sparse --format=pax -cf huge.tar huge; rm huge
            """)
        let source = try OwnedFD.open("\(trap.fixture.path)/huge.tar")
        let image = try trap.fixture.store.importRootfs(from: source.raw, config: nil, message: "", reference: nil)
        let directory = trap.fixture.store.layerDirectories(of: image)[0]
        let numbers = try shell("stat -c '%s %b' \(directory)/huge").split(separator: "\n")[0].split(separator: " ")
        #expect(numbers.first == "1099511627780" && (numbers.last.flatMap { Int($0) } ?? .max) < 64)
    }
}

/// pax headers without end: each of `size` bytes, whose records are filled as they are read.
private final class GiganticHeaders: ByteSource {
    private let header: [UInt8]
    private let size: Int
    private var position = 0
    private(set) var given = 0

    init(size: Int) {
        self.size = size
        var block = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, _ offset: Int) { block.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8) }
        put("pax", 0)
        put("0000644\0", 100)
        put("0000000\0", 108)
        put("0000000\0", 116)
        put(String(repeating: "0", count: 11 - String(size, radix: 8).count) + String(size, radix: 8), 124)
        put("00000000000", 136)
        put("        x", 148)
        put("ustar\u{0}00", 257)
        let sum = String(block.reduce(0) { $0 + Int($1) }, radix: 8)
        put(String(repeating: "0", count: 6 - sum.count) + sum + "\0 ", 148)
        let key = "\(size) k="
        header = block + key.utf8
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let total = 512 + size
        for index in 0..<buffer.count {
            let place = (position + index) % total
            buffer[index] = place < header.count ? header[place] : place == total - 1 ? 10 : UInt8(ascii: "v")
        }
        position += buffer.count
        given += buffer.count
        return buffer.count
    }
}
