import Archive
import CLinux
import Glibc
import Linux
import Testing

/// A tree with everything tar can say, made by a shell.
private func makeTree(_ path: String) throws {
    let long = String(repeating: "long-name-", count: 15)
    try shell(
        """
        cd \(path); umask 022
        mkdir -p a/b/c empty; echo hello > a/b/c/file; ln a/b/c/file a/hard; ln -s ../nowhere a/link; ln -s /abs/target abs
        chmod 4755 a/hard; mkdir -m 1777 tmp; mknod null c 1 3; mkfifo pipe; : > zero; chown 1234:5678 zero
        mkdir -p \(long)/\(long); echo x > \(long)/\(long)/\(long); ln -s \(long)/\(long)/\(long) longlink
        echo u > 'sp ace-é'; truncate -s 1M sparse; printf data | dd of=sparse bs=1 seek=300000 conv=notrunc status=none
        touch -d '2001-02-03 04:05:06.123456789 UTC' a/b; touch -d '1969-12-31 23:59:58.5 UTC' zero
        """)
    #expect(setxattr("\(path)/zero", "user.colour", "red", 3, 0) == 0)
}

/// One line per file with all that should survive.
private func describe(_ path: String) throws -> String {
    try shell(
        """
        cd \(path); find . -mindepth 1 -printf '%P %y %m %U %G %l %n %T@ ' \\( -type f -exec sha256sum {} \\; -o -type c -exec stat -c %t:%T {} \\; -o -printf '\\n' \\) | sort
        """)
}

@Suite struct RoundTrips {
    @Test(arguments: [
        "gnu", "pax", "posix", "oldgnu", "pax --sparse", "gnu --sparse", "oldgnu --sparse", "pax --sparse --sparse-version=0.0",
        "pax --sparse --sparse-version=0.1",
    ])
    func readsWhatTarWrites(format: String) throws {
        let scratch = try Scratch()
        let source = try scratch.make("source")
        try makeTree(source)
        try shell("tar -C \(source) --format=\(format) --sort=name -cf \(scratch.path)/x.tar .")
        let target = try scratch.make("target")
        try extract(try Files.read("\(scratch.path)/x.tar"), to: target)
        var expected = try describe(source)
        var actual = try describe(target)
        if !format.hasPrefix("p") {  // Only pax keeps fractions of seconds.
            expected = expected.replacingFractions()
            actual = actual.replacingFractions()
        }
        #expect(actual == expected)
        if format.contains("sparse") {
            var status = stat()
            stat("\(target)/sparse", &status)
            #expect(status.st_size == 1 << 20 && status.st_blocks * 512 < 1 << 19)
        }
    }

    @Test func tarReadsWhatWeWrite() throws {
        let scratch = try Scratch()
        let source = try scratch.make("source")
        try makeTree(source)
        let bytes = try archive(source)
        try OwnedFD.open("\(scratch.path)/x.tar", O_WRONLY | O_CREAT).writeAll(bytes)
        let target = try scratch.make("target")
        try shell("tar -C \(target) --xattrs --xattrs-include='*' --numeric-owner -xpf \(scratch.path)/x.tar")
        #expect(try describe(target) == (try describe(source)))
        var value = [UInt8](repeating: 0, count: 8)
        #expect(getxattr("\(target)/zero", "user.colour", &value, 8) == 3)
    }

    @Test func pythonReadsWhatWeWrite() throws {
        let scratch = try Scratch()
        let source = try scratch.make("source")
        try makeTree(source)
        try OwnedFD.open("\(scratch.path)/x.tar", O_WRONLY | O_CREAT).writeAll(try archive(source))
        let listing = try shell(
            """
            python3 -c "
            import tarfile
            for m in tarfile.open('\(scratch.path)/x.tar'): print(m.name, m.type.decode(), oct(m.mode), m.uid, m.gid, m.size, m.linkname, m.pax_headers.get('SCHILY.xattr.user.colour'))"
            """)
        #expect(listing.contains("zero 0 0o644 1234 5678 0  red"))
        #expect(listing.contains("a/hard 0 0o4755 0 0 6  None") || listing.contains("a/hard 1 0o4755 0 0 0 a/b/c/file None"))
        #expect(listing.contains("sp ace-é 0"))
    }

    @Test func ownRoundTripIsIdentical() throws {
        let scratch = try Scratch()
        let source = try scratch.make("source")
        try makeTree(source)
        let first = try archive(source)
        let target = try scratch.make("target")
        let summary = try extract(first, to: target)
        #expect(try archive(target) == first)
        #expect(summary.attributesNotSupported == 0)
        #expect(summary.fileBytes >= 1 << 20)
    }

    @Test func numbersThatDoNotFitOctal() throws {
        var big = entry(.file, "big")
        big.uid = 4_000_000_000
        big.gid = 3_000_000
        big.modified = FileTime(seconds: -1, nanoseconds: 500_000_000)
        let read = try #require(try entries(try tar([(big, [1, 2, 3])])).first)
        #expect(
            read
                == {
                    var expected = big; expected.size = 3; return expected
                }())
    }

    @Test func namesThatAreNotUTF8() throws {
        let scratch = try Scratch()
        let name: [UInt8] = [0x66, 0xff, 0xfe, 0x78]
        let long = Array(repeating: UInt8(0xe9), count: 150)
        let bytes = try tar([(TarEntry(kind: .file, path: name), [65]), (TarEntry(kind: .file, path: long), [66])])
        #expect(try entries(bytes).map(\.path) == [name, long])
        try extract(bytes, to: scratch.path)
        #expect(try archive(scratch.path).count == bytes.count)
        #expect(try shell("cd \(scratch.path); cat $(printf 'f\\377\\376x')") == "A")
    }

    @Test func readAllFillsHoles() throws {
        let scratch = try Scratch()
        try shell(
            "cd \(scratch.path); truncate -s 8192 s; printf end | dd of=s bs=1 seek=6000 conv=notrunc status=none; tar --format=pax --sparse -cf x.tar s"
        )
        let reader = TarReader(MemorySource(try Files.read("\(scratch.path)/x.tar")))
        #expect(try reader.next()?.size == 8192)
        #expect(try reader.readAll(limit: 10000) == (try Files.read("\(scratch.path)/s")))
    }
}

extension String {
    /// `1234.5678900000` → `1234`.
    fileprivate func replacingFractions() -> String {
        split(separator: "\n").map { line in
            line.split(separator: " ", omittingEmptySubsequences: false)
                .map { $0.contains(".") && Double($0) != nil ? String($0.prefix { $0 != "." }) : String($0) }.joined(separator: " ")
        }.joined(separator: "\n")
    }
}

@Suite struct ReadingData {
    @Test(arguments: [1, 511, 65536, 3 << 20]) func inPiecesOfAnySize(size: Int) throws {
        let content = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 11) }
        let small = Array(content[..<(size == 1 ? 3000 : 100_000)])
        let bytes = try tar([(entry(.file, "a"), size == 1 ? small : content), (entry(.file, "b"), []), (entry(.file, "c"), small)])
        let reader = TarReader(MemorySource(bytes))
        var buffer = [UInt8](repeating: 0, count: size)
        for expected in [size == 1 ? small : content, [], small] {
            _ = try #require(try reader.next())
            var found: [UInt8] = []
            while true {
                let count = try buffer.withUnsafeMutableBytes { try reader.read(into: $0) }
                if count == 0 { break }
                found += buffer[..<count]
            }
            #expect(found == expected)
        }
        #expect(try reader.next() == nil)
    }
}
