import Archive
import Linux
import OCIImageSpec
import Testing

@testable import Builder

@Suite("Builder: rules")
struct RulesTests {
    @Test(arguments: [
        ("*", "abc", true), ("*", "", true), ("*", "a/b", false), ("a*b*c", "axxbyyc", true), ("a*b*c", "axxbyy", false), ("?", "é", true),
        ("?", "", false),
        ("?", "/", false), ("[a-c]x", "bx", true), ("[^a-c]x", "bx", false), ("[^a-c]x", "dx", true), ("[\\]]", "]", true),
        ("\\*", "*", true), ("\\*", "a", false),
        ("[a-]", "a", nil), ("[", "a", nil), ("a[", "a", nil), ("[]", "a", nil), ("\\", "a", nil), ("[c-a]", "b", false),
        ("**", "abc", true),
    ])
    func patterns(pattern: String, name: String, matches: Bool?) {
        #expect(PathPattern(pattern)?.matches(name) == matches)
    }

    @Test(arguments: [
        (["*.md"], "a.md", true), (["*.md"], "d/a.md", false), (["**/*.md"], "d/e/a.md", true), (["**/*.md"], "a.md", true),
        (["d"], "d/e/f", true),
        (["/d"], "d/e", true), (["d/"], "d", true), (["d/**"], "d", false), (["d/**"], "d/e", true), (["*", "!a"], "a", false),
        (["*", "!a"], "b", true),
        (["!a", "*"], "a", true), (["d", "!d/keep"], "d/keep", false), (["d", "!d/keep"], "d/other", true), (["# x", "  b  "], "b", true),
        (["[", "b"], "b", true),
        (["./x/../y"], "y", true), (["..", "."], "a", false), ([], "a", false),
    ])
    func ignoring(patterns: [String], path: String, isExcluded: Bool) {
        #expect(IgnorePatterns(file: patterns.joined(separator: "\n")).excludes(path) == isExcluded)
    }

    @Test func paths() {
        #expect(RelativePath.clean("a//./b/../c/") == ["a", "c"])
        #expect(RelativePath.clean("../a/../..") == ["..", ".."])
        #expect(RelativePath.clean("/../a") == ["a"])
        #expect(RelativePath.absolute("../x", from: "/w") == "/x")
        #expect(RelativePath.absolute(".", from: "/") == "/")
    }

    @Test func goPrintsLikeThis() {
        #expect(GoFormat.quoted("a\"b\\ü\n\u{1}") == "\"a\\\"b\\\\ü\\n\\x01\"")
        #expect(GoFormat.quoted(["a", "b c"]) == "[\"a\" \"b c\"]")
        #expect(GoFormat.quoted(character: 10) == "'\\n'")
        #expect(GoFormat.quoted(character: 3) == "'\\x03'")
        #expect(GoFormat.quoted(character: 39) == "'\\''")
        #expect(GoFormat.duration(90_000_000_000) == "1m30s")
        #expect(GoFormat.duration(3_600_500_000_000) == "1h0m0.5s")
        #expect(GoFormat.duration(1_500_000) == "1.5ms")
        #expect(GoFormat.duration(0) == "0s")
    }

    @Test func arguments() {
        var arguments = BuildArguments(
            given: ["a": "given", "b": nil, "HTTP_PROXY": "p"], platform: Platform(os: "linux", architecture: "arm64"))
        #expect(arguments.globalValue("TARGETARCH") == "arm64")
        #expect(arguments.globalValue("a") == nil)
        arguments.declareGlobal("g", default: "global")
        arguments.declareGlobal("TARGETOS", default: nil)
        #expect(arguments.globalValue("TARGETOS") == "linux")
        #expect(arguments.value("a") == nil)
        #expect(arguments.value("g") == nil)
        #expect(arguments.value("HTTP_PROXY") == "p")
        arguments.declare("a", default: "default")
        arguments.declare("b", default: "default")
        arguments.declare("g", default: nil)
        arguments.declare("none", default: nil)
        #expect(["a", "b", "g", "none"].map { arguments.value($0) } == ["given", "default", "global", nil])
        #expect(arguments.values(without: ["b"]).map(\.name) == ["HTTP_PROXY", "a", "g"])
        #expect(arguments.unused == [])
        arguments.beginStage()
        #expect(arguments.value("a") == nil)
    }

    @Test func textIsNotCutInsideACharacter() {
        var output = OutputText()
        let bytes = Array("aé😀".utf8)
        #expect(output.append(Array(bytes[..<2]), isError: false) == "a")
        #expect(output.append(Array(bytes[2..<5]), isError: false) == "é")
        #expect(output.append([0x62], isError: true) == "b")
        #expect(output.append(Array(bytes[5...]), isError: false) == "😀")
        #expect(output.append([0xE2, 0x82], isError: false) == "")
        #expect(output.finish().map(\.text) == ["\u{FFFD}"])
        #expect(output.append([0xFF, 0x41], isError: false) == "\u{FFFD}A")
    }

    @Test(arguments: ["9", "SIGTERM", "term", "sigkill", "RTMIN+3", "SIGRTMAX-14", "64"])
    func signals(text: String) { #expect(SignalName.isValid(text)) }

    @Test(arguments: ["", "0", "-1", "SIG", "SIGFOO", "RTMIN+16", "9x"])
    func notSignals(text: String) { #expect(!SignalName.isValid(text)) }

    @Test func stubsOfMountsGoAndOtherFilesStay() throws {
        let fixture = try BuildFixture()
        let lower = fixture.directory + "/lower", upper = fixture.directory + "/upper"
        for path in ["/etc", "/dev"] { try Files.makeDirectories(lower + path) }
        try Files.write(lower + "/etc/hostname", "lower")
        for path in ["/etc", "/proc", "/sys", "/dev/pts", "/cache/deep", "/opt/made"] { try Files.makeDirectories(upper + path) }
        for path in ["/etc/hosts", "/etc/hostname", "/.dockerenv"] { try Files.write(upper + path, "") }
        try Files.write(upper + "/etc/resolv.conf", "written by the command")
        let stubs = MountStubs(layers: [lower], mounts: [.tmpfs(target: "/cache/deep", size: nil)])
        try stubs.remove(from: upper)
        #expect(try Files.list(upper).sorted() == ["etc", "opt"])
        // An empty /etc/hostname where the image has one was emptied by the command.
        #expect(try Files.list(upper + "/etc").sorted() == ["hostname", "resolv.conf"])
        try Files.removeTree(upper + "/etc/hostname")
        try Files.write(upper + "/etc/resolv.conf", "")
        try stubs.remove(from: upper)
        #expect(try Files.list(upper) == ["opt"])
    }

    @Test func overlaysLeaveNoMountBehind() throws {
        let fixture = try BuildFixture()
        let before = try Files.readText("/proc/self/mountinfo").split(separator: "\n").count { $0.contains(fixture.directory) }
        let image = try fixture.build("FROM base\nRUN mkdir /a && ln -s /a /b\nCOPY Dockerfile /b/\nRUN rm /bin/id\n").image
        #expect(try fixture.read("/a/Dockerfile", in: image).hasPrefix("FROM base"))
        #expect(throws: SystemError.self) { try fixture.read("/bin/id", in: image) }
        #expect(try fixture.read("/etc/group", in: image).contains("staff"))
        #expect(try Files.readText("/proc/self/mountinfo").split(separator: "\n").count { $0.contains(fixture.directory) } == before)
    }

    @Test func overlaysWorkTheOldWayToo() throws {
        let fixture = try BuildFixture()
        var layers: [String] = []
        for number in 0..<40 {
            let layer = fixture.directory + "/l\(number)"
            try Files.makeDirectories(layer)
            try Files.write(layer + "/own\(number)", "\(number)")
            try Files.write(layer + "/same", "\(number)")
            layers.append(layer)
        }
        for directory in ["upper", "work"] { try Files.makeDirectories(fixture.directory + "/" + directory) }
        let directory = try Files.list("/proc/self/cwd").sorted()
        let root = try DetachedOverlay.openWithShortNames(
            layers: layers, upper: fixture.directory + "/upper", work: fixture.directory + "/work")
        #expect(try Files.list(try root.openAt(".")).count == 41)
        #expect(try root.openAt("same").readAll() == Array("0".utf8))
        #expect(try Files.list("/proc/self/cwd").sorted() == directory)
    }
}
