import Archive
import CLinux
import Glibc
import Linux
import Testing

/// A root beside a directory that nothing may touch.
private final class Trap {
    let scratch: Scratch
    let root: String
    let outside: String

    init() throws {
        scratch = try Scratch()
        root = try scratch.make("root")
        outside = try scratch.make("outside")
        try Files.write("\(outside)/secret", "secret")
        chmod("\(outside)/secret", 0o600)
    }

    var isUntouched: Bool {
        var status = stat()
        return (try? Files.list(outside)) == ["secret"] && (try? Files.readText("\(outside)/secret")) == "secret"
            && stat("\(outside)/secret", &status) == 0 && status.st_nlink == 1 && status.st_mode & 0o7777 == 0o600
    }
}

@Suite struct HostileArchives {
    @Test(arguments: ["../outside/x", "a/../../outside/x", "/../outside/x", ".."], [TreeExtractor.Mode.plain, .layer])
    func pathsAboveTheRootAreRefused(path: String, mode: TreeExtractor.Mode) throws {
        let trap = try Trap()
        let error = #expect(throws: ArchiveError.self) {
            try extract(try tar([(entry(.file, path), [1])]), to: trap.root, .init(mode: mode))
        }
        #expect(error?.code == .refused)
        #expect(trap.isUntouched)
    }

    @Test func absolutePathsStayInside() throws {
        let trap = try Trap()
        try extract(try tar([(entry(.file, "/etc/x"), [1]), (entry(.file, "a/./..//b"), [2])]), to: trap.root)
        #expect(Files.exists("\(trap.root)/etc/x") && Files.exists("\(trap.root)/b"))
    }

    @Test(arguments: [TreeExtractor.Mode.plain, .layer]) func linksDoNotLeadOut(mode: TreeExtractor.Mode) throws {
        for target in ["../outside", "/../../outside", "OUTSIDE"] {
            let trap = try Trap()
            let link = target == "OUTSIDE" ? trap.outside : target
            _ = try? extract(
                try tar([
                    (entry(.symbolicLink, "l", link: link), []), (entry(.file, "l/x"), [1]), (entry(.file, "l/secret"), [1]),
                    (entry(.directory, "l/d", mode: 0o777), []), (entry(.file, "l/.wh.secret"), []),
                    (entry(.symbolicLink, "l/s", link: "/"), []),
                ]), to: trap.root, .init(mode: mode))
            #expect(trap.isUntouched, "\(target)")
        }
    }

    @Test func linksInTheWayAreResolvedInTheRoot() throws {
        let trap = try Trap()
        try extract(
            try tar([(entry(.directory, "usr/lib"), []), (entry(.symbolicLink, "lib", link: "/usr/lib"), []), (entry(.file, "lib/x"), [7])]
            ), to: trap.root)
        #expect(try Files.read("\(trap.root)/usr/lib/x") == [7])
    }

    @Test(arguments: ["../outside/secret", "/../outside/secret", "l/secret"]) func hardLinksToTheOutside(target: String) throws {
        let trap = try Trap()
        #expect(throws: (any Error).self) {
            try extract(
                try tar([(entry(.symbolicLink, "l", link: trap.outside), []), (entry(.hardLink, "x", link: target), [])]), to: trap.root)
        }
        #expect(trap.isUntouched)
        #expect(!Files.exists("\(trap.root)/x"))
    }

    @Test func hardLinkToALinkLinksTheLink() throws {
        let trap = try Trap()
        try extract(
            try tar([
                (entry(.symbolicLink, "l", link: "\(trap.outside)/secret"), []), (entry(.hardLink, "x", link: "l"), []),
                (entry(.file, "x"), [1]),
            ]), to: trap.root)
        #expect(trap.isUntouched)
        #expect(try Files.read("\(trap.root)/x") == [1])
    }

    @Test func ownerAndModeDoNotFollowLinks() throws {
        let trap = try Trap()
        var link = entry(.symbolicLink, "l", link: "\(trap.outside)/secret", mode: 0o777)
        link.uid = 99
        link.attributes = [ExtendedAttribute("user.x", [1])]
        _ = try? extract(try tar([(link, [])]), to: trap.root)
        #expect(trap.isUntouched)
        var status = stat()
        stat("\(trap.outside)/secret", &status)
        #expect(status.st_uid == 0)
    }

    @Test func overlayAttributesAreNotTaken() throws {
        let trap = try Trap()
        var directory = entry(.directory, "d", mode: 0o755)
        directory.attributes = [ExtendedAttribute("trusted.overlay.redirect", Array("/etc".utf8)), ExtendedAttribute("trusted.mine", [1])]
        try extract(try tar([(directory, [])]), to: trap.root, .init(mode: .layer))
        var value = [UInt8](repeating: 0, count: 16)
        #expect(getxattr("\(trap.root)/d", "trusted.overlay.redirect", &value, 16) == -1)
        #expect(getxattr("\(trap.root)/d", "trusted.mine", &value, 16) == 1)
    }

    @Test func truncatedStreams() throws {
        let whole = try tar([
            (entry(.file, "a"), [UInt8](repeating: 1, count: 3000)), (entry(.file, String(repeating: "b", count: 200)), [2]),
        ])
        // Ends at a block between entries are the end of an archive without its end mark.
        for length in stride(from: 100, to: whole.count - 1100, by: 300) where length % 512 != 0 {
            let trap = try Trap()
            let error = #expect(throws: ArchiveError.self, "\(length)") { try extract(Array(whole[..<length]), to: trap.root) }
            #expect(error?.code == .truncated)
        }
    }

    @Test func endWithoutFillingAndMark() throws {
        let whole = try tar([(entry(.file, "a"), [1, 2, 3]), (entry(.file, "b"), [4, 5])])
        // umoci's end: the last byte of the last file.
        #expect(try entries(Array(whole[..<(512 * 3 + 2)])).map(\.pathText) == ["a", "b"])
        #expect(throws: ArchiveError.self) { try entries(Array(whole[..<(512 * 3 + 3)])) }
        #expect(throws: ArchiveError.self) { try entries(Array(whole[..<(512 * 3 + 1)])) }
    }

    @Test func notTar() throws {
        #expect(throws: ArchiveError(.malformed, "invalid tar header")) { try entries([UInt8](repeating: 65, count: 2048)) }
        #expect(throws: ArchiveError.self) { try entries(Array("hello".utf8)) }
        #expect(try entries([]).isEmpty)
        var damaged = try tar([(entry(.file, "a"), [1])])
        damaged[10] ^= 1
        #expect(throws: ArchiveError(.malformed, "invalid tar header")) { try entries(damaged) }
    }

    @Test func limits() throws {
        let scratch = try Scratch()
        let giant = try tar([(entry(.file, String(repeating: "x", count: 2 << 20)), [])])
        #expect(throws: ArchiveError.self) { try entries(giant) }
        var limits = TarReader.Limits()
        limits.totalBytes = 100
        #expect(throws: ArchiveError.self) {
            try entries(try tar([(entry(.file, "a"), [UInt8](repeating: 0, count: 101))]), limits: limits)
        }
        limits = TarReader.Limits()
        limits.entries = 1
        #expect(throws: ArchiveError.self) { try entries(try tar([(entry(.file, "a"), []), (entry(.file, "b"), [])]), limits: limits) }
        #expect(throws: ArchiveError.self) {
            try extract(try tar([(entry(.file, String(repeating: "d/", count: 400) + "x"), [])]), to: scratch.path)
        }
    }

    @Test(arguments: ["1000000,10", "5,5,3,5", "0,-1", "0,9223372036854775807", "a,b", "1"]) func sparseMapsThatLie(map: String) throws {
        let scratch = try Scratch()
        let records = "GNU.sparse.map=\(map)|GNU.sparse.size=20|GNU.sparse.numblocks=1"
        try shell(
            """
            python3 -c "
            import tarfile, io
            t = tarfile.open('\(scratch.path)/x.tar', mode='w', format=tarfile.PAX_FORMAT)
            i = tarfile.TarInfo('s'); i.size = 10
            i.pax_headers = dict(r.split('=') for r in '\(records)'.split('|'))
            t.addfile(i, io.BytesIO(b'0123456789')); t.close()"
            """)
        let raw = try Files.read("\(scratch.path)/x.tar")
        #expect(throws: ArchiveError.self) { try entries(raw) }
    }

    @Test func typeThatNobodyKnows() throws {
        let scratch = try Scratch()
        var bytes = try tar([(entry(.file, "a"), [])])
        bytes[156] = UInt8(ascii: "Z")
        for index in 148..<156 { bytes[index] = 32 }
        let sum = String(bytes[..<512].reduce(0) { $0 + Int($1) }, radix: 8)
        for (index, digit) in "0\(sum)\0".utf8.prefix(8).enumerated() { bytes[148 + index] = digit }
        let error = #expect(throws: ArchiveError.self) { try extract(bytes, to: scratch.path) }
        #expect(error?.message == "not implemented: tar entry a of type \"Z\"")
    }
}
