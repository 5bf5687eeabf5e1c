import Archive
import Images
import Linux
import Testing

@testable import Builder

/// COPY, ADD and WORKDIR against what Docker's classic builder made of the same instructions.
@Suite("Builder: where files go")
struct CopyRulesTests {
    /// Where this builder differs, on purpose.
    private static let differences: [String: (reason: String, result: [String])] = [
        "COPY --chown=bob a.txt /x": (
            "a user without a group brings his own", ["f 0644 1000:1001 2 1000000000 /x"]
        ),
        "COPY --from=base --chown=bob /etc/passwd /p": (
            "a user without a group brings his own", ["f 0644 1000:1001 137 now /p"]
        ),
        "ADD --chown=bob t.tgz /x/": (
            "a user without a group brings his own, and --chown counts for what is in the archive",
            ["d 0755 1000:1001 0 - /x", "d 0755 0:0 0 - /x/in", "f 0600 1000:1001 2 900000000 /x/in/f"]
        ),
        "COPY --chown=bob:staff d /nn/dd": (
            "every directory that is made gets the owner, as BuildKit does",
            [
                "d 0755 1000:50 0 - /nn", "d 0755 1000:50 0 - /nn/dd", "l 0777 1000:50 0 - /nn/dd/abs -> /etc/passwd",
                "l 0777 1000:50 0 - /nn/dd/bad -> nowhere", "l 0777 1000:50 0 - /nn/dd/ln -> x", "d 0750 1000:50 0 - /nn/dd/sub",
                "f 0644 1000:50 2 1000000000 /nn/dd/sub/y", "f 0640 1000:50 2 1000000000 /nn/dd/x",
            ]
        ),
    ]

    private static func context() -> TestArchive {
        var archive = TestArchive()
        archive.add("a.txt", "A\n")
        archive.add("b.txt", "B\n", mode: 0o600)
        archive.add("run.sh", "#!/bin/sh\n", mode: 0o4755)
        archive.addDirectory("d", mode: 0o700)
        archive.add("d/x", "x\n", mode: 0o640)
        archive.addDirectory("d/sub", mode: 0o750)
        archive.add("d/sub/y", "y\n")
        archive.addLink("d/ln", to: "x")
        archive.addLink("d/abs", to: "/etc/passwd")
        archive.addLink("d/bad", to: "nowhere")
        archive.addDirectory("e")
        archive.add("e/x", "ex\n")
        archive.add("e/z.txt", "z\n")
        archive.addLink("lnf", to: "a.txt")
        archive.addLink("lnd", to: "d")
        archive.addLink("lnabs", to: "/a.txt")
        archive.addLink("lnup", to: "../../a.txt")
        archive.addDirectory("empty", mode: 0o644)
        archive.add("sp ace.txt", "s\n")
        archive.add("t.tgz", packed)
        archive.add("t.txt.gz", hello)
        return archive
    }

    /// gzip of a tar with one file: in/f, mode 0600, owner 7:8, from 1998.
    private static let packed: [UInt8] = bytes(
        "1f8b0800c0c1046b02ffedcdc109c2401404d07f4e1576e05f93acf5780978c92189fdbb26588282f8de65181898fb7c9ee2c3b2a9997b665e8f2ceffe7289ace358"
            + "4a1d867dd74a1fa78c2f78acdb6d6997f19fa62e000000000000000000f8414fd4515fa200280000")
    /// gzip of a word: compressed, and no archive.
    private static let hello: [UInt8] = bytes("1f8b0800000000000203cb48cdc9c9e7020020303a3606000000")

    private static func bytes(_ hex: String) -> [UInt8] {
        let digits = Array(hex)
        return stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
    }

    private let fixture: BuildFixture

    init() throws { fixture = try BuildFixture() }

    /// All in one fixture: what a case builds doesn't touch the others.
    @Test func asDocker() throws {
        for example in CopyRulesGolden.cases {
            // Permissions are kept whole, as BuildKit does; the classic builder loses set-id bits to a chown.
            let golden = example.result.map { $0.hasSuffix("/run.sh") ? "f 4755" + $0.dropFirst(6) : $0 }
            let expected = Self.differences[example.instructions]?.result ?? golden
            let result = try result(of: example.instructions)
            // Docker's text names directories of its own there.
            if let first = expected.first, first.contains("/overlay2/") {
                let error = result.first ?? ""
                #expect(error.hasPrefix("ERR ") && error.hasSuffix("not a directory"), "\(example.instructions)")
            } else {
                #expect(result == expected, "\(example.instructions)")
            }
        }
    }

    private func result(of instructions: String) throws -> [String] {
        do {
            let outcome = try fixture.build("FROM base\n\(instructions)\n", Self.context())
            return try fixture.listing(of: outcome.image)
        } catch let error as BuildError {
            return ["ERR \(error.message)"]
        }
    }

    @Test func linksInTheImageStayInTheImage() throws {
        let victim = "/tmp/clp-builder-victim-\(UInt64.random(in: 0...UInt64.max))"
        let outcome = try fixture.build(
            "FROM base\nRUN ln -s \(victim) /out && ln -s ../../../../../../tmp /up\nCOPY a.txt /out/x\nCOPY a.txt /up/clp-y\n",
            Self.context())
        #expect(!Files.exists(victim))
        #expect(!Files.exists("/tmp/clp-y"))
        #expect(try fixture.read(victim + "/x", in: outcome.image) == "A\n")
        #expect(try fixture.read("/tmp/clp-y", in: outcome.image) == "A\n")
        let loop = fixture.failure("FROM base\nRUN ln -s b /a && ln -s a /b\nCOPY a.txt /a/x\n", Self.context())
        #expect(loop?.message == "COPY failed: lstat /a/x: too many levels of symbolic links")
    }

    @Test func permissionsParentsExclusionsAndLink() throws {
        func listing(_ instructions: String) throws -> [String] {
            try fixture.listing(of: try fixture.build("FROM base\n\(instructions)\n", Self.context()).image)
        }
        #expect(try listing("COPY --chmod=0701 a.txt /x") == ["f 0701 0:0 2 1000000000 /x"])
        #expect(
            try listing("COPY --parents d/sub/y e/z.txt /p/") == [
                "d 0755 0:0 0 - /p", "d 0755 0:0 0 - /p/d", "d 0755 0:0 0 - /p/d/sub", "f 0644 0:0 2 1000000000 /p/d/sub/y",
                "d 0755 0:0 0 - /p/e", "f 0644 0:0 2 1000000000 /p/e/z.txt",
            ])
        #expect(
            try listing("COPY --parents d/./sub/y /p/") == [
                "d 0755 0:0 0 - /p", "d 0755 0:0 0 - /p/sub", "f 0644 0:0 2 1000000000 /p/sub/y",
            ])
        #expect(
            try listing("COPY --exclude=ln --exclude=**/y --exclude=abs --exclude=bad d /x/") == [
                "d 0755 0:0 0 - /x", "d 0750 0:0 0 - /x/sub", "f 0640 0:0 2 1000000000 /x/x",
            ])
        #expect(try listing("RUN ln -s /tmp /l\nCOPY --link a.txt /l/x").contains("f 0644 0:0 2 1000000000 /l/x"))
    }

    @Test func ownersOfAStageAreKept() throws {
        let outcome = try fixture.build(
            "FROM base AS a\nRUN mkdir /o && echo x > /o/f && chown -R bob /o && chmod 6711 /o/f\nFROM scratch\nCOPY --from=a /o /n\n")
        #expect(outcome.image.layers.count == 1)
        let directory = try #require(outcome.image.layers.first).directory
        #expect(try fixture.describe(directory + "/n/f") == "6711 1000:0")
        #expect(try fixture.describe(directory + "/n") == "755 0:0")
    }

    @Test func capabilitiesOfFilesSurvive() throws {
        // struct vfs_cap_data, revision 2: CAP_NET_BIND_SERVICE permitted and effective (linux/capability.h).
        let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        var archive = TestArchive()
        archive.add("tool", Array("x".utf8), attributes: [ExtendedAttribute("security.capability", capability)])
        let outcome = try fixture.build("FROM scratch AS a\nCOPY --chown=5:6 tool /\nFROM scratch\nCOPY --from=a /tool /t/\n", archive)
        let directory = try #require(outcome.image.layers.first).directory
        let file = try OwnedFD.open(directory + "/t/tool")
        #expect(try FileTransfer.attributes(of: file.raw, "tool").map(\.value) == [capability])
    }
}
