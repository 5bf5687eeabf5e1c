import Archive
import CLinux
import Glibc
import Linux
import Testing

private func isWhiteout(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFCHR && status.st_rdev == 0
}

private func isOpaque(_ path: String) -> Bool {
    var value: UInt8 = 0
    return getxattr(path, "trusted.overlay.opaque", &value, 1) == 1 && value == UInt8(ascii: "y")
}

@Suite struct Layers {
    let layer = TreeExtractor.Options(mode: .layer)

    @Test func whiteoutsGoBothWays() throws {
        let scratch = try Scratch()
        let bytes = try tar([
            (entry(.directory, "d", mode: 0o755), []), (entry(.file, "d/.wh..wh..opq", mode: 0o600), []), (entry(.file, "d/new"), [1]),
            (entry(.file, "e/.wh.gone", mode: 0o600), []), (entry(.file, ".wh.top", mode: 0o600), []),
        ])
        try extract(bytes, to: scratch.path, layer)
        #expect(isOpaque("\(scratch.path)/d") && isWhiteout("\(scratch.path)/e/gone") && isWhiteout("\(scratch.path)/top"))
        let names = try entries(try archive(scratch.path, .init(mode: .layer))).map(\.pathText)
        #expect(names == ["d/", "d/.wh..wh..opq", "d/new", "e/", "e/.wh.gone", ".wh.top"])
    }

    @Test func whiteoutNeverHidesTheSameLayer() throws {
        let scratch = try Scratch()
        try extract(
            try tar([
                (entry(.file, "f"), [1]), (entry(.file, ".wh.f"), []), (entry(.file, ".wh.g"), []), (entry(.file, "g"), [2]),
                (entry(.directory, "d", mode: 0o755), []), (entry(.file, ".wh.d"), []),
                (entry(.file, ".wh.e"), []), (entry(.directory, "e", mode: 0o755), []), (entry(.file, ".wh..wh.plnk/1.2"), []),
            ]), to: scratch.path, layer)
        #expect(try Files.read("\(scratch.path)/f") == [1])
        #expect(try Files.read("\(scratch.path)/g") == [2])
        #expect(isOpaque("\(scratch.path)/d") && isOpaque("\(scratch.path)/e"))
    }

    @Test(arguments: [".wh.", ".wh..", ".wh..."]) func emptyWhiteoutIsRefused(name: String) throws {
        let scratch = try Scratch()
        #expect(throws: ArchiveError.self) { try extract(try tar([(entry(.file, name), [])]), to: scratch.path, layer) }
    }

    @Test func overlayUpperBecomesALayerAndIsReproduced() throws {
        let scratch = try Scratch()
        for name in ["lower", "upper", "work", "merged", "again"] { _ = try scratch.make(name) }
        let base = scratch.path
        // In a mount namespace of its own: nothing stays mounted, whatever happens.
        try shell(
            """
            cd \(base); mkdir lower/dir lower/keep; echo 1 > lower/dir/a; echo 2 > lower/gone; echo 3 > lower/gone2
            unshare -m sh -ec 'mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,redirect_dir=off merged
            rm merged/gone merged/gone2; rm -r merged/dir; mkdir merged/dir; echo n > merged/dir/b; echo c > merged/keep/c'
            """)
        let bytes = try archive("\(base)/upper", .init(mode: .layer))
        let names = try entries(bytes).map(\.pathText)
        #expect(names == ["dir/", "dir/.wh..wh..opq", "dir/b", ".wh.gone", ".wh.gone2", "keep/", "keep/c"])
        try extract(bytes, to: "\(base)/again", layer)
        #expect(try archive("\(base)/again", .init(mode: .layer)) == bytes)
        let listing = try shell(
            """
            cd \(base); unshare -m sh -ec 'mount -t overlay overlay -o lowerdir=again:lower merged; cd merged; find . | sort | tr "\\n" " "'
            """)
        #expect(listing == ". ./dir ./dir/b ./keep ./keep/c ")
    }

    @Test func redirectsAreRefused() throws {
        let scratch = try Scratch()
        _ = try scratch.make("d")
        #expect(setxattr("\(scratch.path)/d", "trusted.overlay.redirect", "x", 1, 0) == 0)
        #expect(throws: ArchiveError.self) { try archive(scratch.path, .init(mode: .layer)) }
    }

    @Test func directoryTimesOwnersAndSpecialBits() throws {
        let scratch = try Scratch()
        var directory = entry(.directory, "d", mode: 0o2750)
        directory.gid = 77
        directory.modified = FileTime(seconds: 1000, nanoseconds: 5)
        var file = entry(.file, "d/f", mode: 0o4711)
        file.attributes = [ExtendedAttribute("security.capability", [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])]
        try extract(try tar([(directory, []), (file, [1, 2]), (entry(.symbolicLink, "d/l", link: "f"), [])]), to: scratch.path, layer)
        let text = try shell("cd \(scratch.path); stat -c '%a %g %Y' d; stat -c '%a %g' d/f; stat -c %g d/l; getcap d/f || true")
        #expect(text.hasPrefix("2750 77 1000\n4711 0\n0\n"))
        var value = [UInt8](repeating: 0, count: 32)
        #expect(getxattr("\(scratch.path)/d/f", "security.capability", &value, 32) == 20)
    }
}

@Suite struct PlainExtraction {
    @Test func optionsOfCopying() throws {
        let scratch = try Scratch()
        _ = try scratch.make("in/to")
        try shell("ln -s in \(scratch.path)/alias")
        var options = TreeExtractor.Options()
        options.destination = "/alias/to"
        options.owner = Owner(uid: 5, gid: 6)
        options.permissions = 0o640
        options.rename = { $0.elementsEqual("skip".utf8) ? nil : Array("renamed-".utf8) + $0 }
        try extract(
            try tar([(entry(.file, "x"), [1]), (entry(.file, "skip"), [1]), (entry(.hardLink, "y", link: "x"), [])]), to: scratch.path,
            options)
        #expect(try shell("cd \(scratch.path)/in/to; stat -c '%n %u %g %a %h' *") == "renamed-x 5 6 640 2\nrenamed-y 5 6 640 2\n")
    }

    @Test func directoriesAreKeptWhenAsked() throws {
        let scratch = try Scratch()
        _ = try scratch.make("d/inner")
        try Files.write("\(scratch.path)/f", "x")
        var options = TreeExtractor.Options()
        options.keepsDirectories = true
        #expect(throws: ArchiveError.self) { try extract(try tar([(entry(.file, "d"), [1])]), to: scratch.path, options) }
        #expect(throws: ArchiveError.self) { try extract(try tar([(entry(.directory, "f"), [])]), to: scratch.path, options) }
        #expect(Files.isDirectory("\(scratch.path)/d/inner"))
        try extract(
            try tar([(entry(.file, "d"), [1]), (entry(.directory, "f", mode: 0o755), []), (entry(.file, "f/x"), [2])]), to: scratch.path)
        #expect(try Files.read("\(scratch.path)/d") == [1])
    }

    @Test func excludesAndSingleFiles() throws {
        let scratch = try Scratch()
        try shell(
            "cd \(scratch.path); mkdir -p a/b c; touch a/b/x a/y c/z; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"sock\")'"
        )
        var options = TreeArchiver.Options()
        options.excludes = { path, isDirectory in isDirectory && path.elementsEqual("a/b".utf8) }
        #expect(try entries(try archive(scratch.path, options)).map(\.pathText) == ["a/", "a/y", "c/", "c/z"])
        let sink = MemorySink()
        let writer = TarWriter(sink)
        _ = try TreeArchiver().archive("c", in: try OwnedFD.open(scratch.path, O_DIRECTORY), as: "new", to: writer)
        try writer.finish()
        #expect(try entries(sink.bytes).map(\.pathText) == ["new/", "new/z"])
    }
}
