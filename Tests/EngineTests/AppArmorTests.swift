import EngineTypes
import Linux
import Testing

@testable import Engine

/// A host with AppArmor made of files, and a parser that shows its profile among the kernel's, as the real one does.
private final class Host: Sendable {
    private let scratch: Scratch
    let calls = Locked<[[String]]>([])
    private let refusal: String?

    init(enabled: String = "Y\n", profiles: String? = "snap.x (complain)\n", hasParser: Bool = true, refusal: String? = nil) throws {
        scratch = try Scratch()
        self.refusal = refusal
        try scratch.write("sys/module/apparmor/parameters/enabled", enabled)
        try scratch.write("run/here", "")
        if let profiles { try show(profiles) }
        if hasParser { try scratch.write("sbin/apparmor_parser", "") }
    }

    func show(_ profiles: String) throws { try scratch.write("sys/kernel/security/apparmor/profiles", profiles) }

    func write(_ name: String, _ text: String) throws { try scratch.write(name, text) }

    /// What the parser was given last.
    var loaded: String? { try? Files.readText("\(scratch.path)/loaded") }

    func appArmor(container: String? = nil) -> AppArmor? {
        AppArmor(root: scratch.path, directory: "\(scratch.path)/run", container: container) { [self] program, arguments in
            calls.withLock { $0.append([String(program.dropFirst(scratch.path.utf8.count))] + arguments.dropLast()) }
            if let refusal { throw EngineError.invalid(refusal) }
            try write("loaded", try Files.readText(arguments[1]))
            try show("docker-default (enforce)\n")
            return ""
        }
    }
}

@Suite struct AppArmorTests {
    @Test func isThereWhereTheKernelHasItAndShowsItsPolicy() throws {
        #expect(try Host().appArmor() != nil && Host().appArmor(container: "") != nil)
        #expect(try Host().appArmor(container: "lxc") == nil)
        #expect(try Host(enabled: "N\n").appArmor() == nil)
        #expect(try Host(profiles: nil).appArmor() == nil)
    }

    @Test(
        arguments: [
            (nil, false, "docker-default"), ("", false, "docker-default"), (nil, true, "unconfined"), ("", true, "unconfined"),
            ("unconfined", false, "unconfined"), ("mine", false, "mine"), ("mine", true, "unconfined"),
        ] as [(String?, Bool, String)])
    func profiles(_ wanted: String?, _ isPrivileged: Bool, _ profile: String) throws {
        let appArmor = try #require(try Host().appArmor())
        #expect(appArmor.profile(wanted, isPrivileged: isPrivileged) == profile)
        #expect(appArmor.warnings.isEmpty)
    }

    /// Nobody can load the profile: what is loaded is used, what is asked for is not dropped, and who has nothing is told.
    @Test func withoutParser() throws {
        let host = try Host(hasParser: false)
        let appArmor = try #require(host.appArmor())
        #expect(appArmor.profile(nil, isPrivileged: false) == nil && appArmor.profile("mine", isPrivileged: false) == "mine")
        #expect(appArmor.warnings.first?.contains("apparmor_parser is not installed") == true)
        try appArmor.loadDefault()
        try host.show("docker-default (enforce)\n")
        #expect(appArmor.profile(nil, isPrivileged: false) == "docker-default" && appArmor.warnings.isEmpty)
        try appArmor.prepare("docker-default")
    }

    @Test func loadsItsProfileWhenTheKernelHasNone() throws {
        let host = try Host()
        let appArmor = try #require(host.appArmor())
        for other in ["mine", "unconfined", nil] { try appArmor.prepare(other) }
        #expect(host.calls.current.isEmpty)
        for _ in 0..<2 { try appArmor.prepare("docker-default") }
        #expect(host.calls.current == [["/sbin/apparmor_parser", "-Kr"]])
        #expect(host.loaded?.contains("profile docker-default flags=(attach_disconnected,mediate_deleted) {\n") == true)
        // An update of the host's policy has taken it out.
        try host.show("docker-default-2 (enforce)\n")
        try appArmor.prepare("docker-default")
        #expect(host.calls.current.count == 2)
        // Somebody else's of that name stays.
        try host.show("docker-default (complain)\n")
        try appArmor.loadDefault()
        #expect(host.calls.current.count == 2)
    }

    @Test func tellsWhyItCouldNotLoad() throws {
        let appArmor = try #require(try Host(refusal: "access denied").appArmor())
        #expect(
            message { try appArmor.prepare("docker-default") }
                == "AppArmor enabled on system but the docker-default profile could not be loaded: access denied")
        #expect(appArmor.warnings.isEmpty)
    }

    @Test func buildsOnTheHostsPolicy() throws {
        let host = try Host()
        try #require(host.appArmor()).loadDefault()
        var text = try #require(host.loaded)
        #expect(text.hasPrefix("@{PROC}=/proc/\n\nprofile ") && !text.contains("#include") && !text.contains("abi <"))
        try host.write("etc/apparmor.d/abi/3.0", "")
        try host.write("etc/apparmor.d/abstractions/base", "")
        try host.show("")
        try #require(host.appArmor()).loadDefault()
        text = try #require(host.loaded)
        #expect(text.hasPrefix("abi <abi/3.0>,\n@{PROC}=/proc/\n") && !text.contains("#include"))
        try host.write("etc/apparmor.d/tunables/global", "")
        try host.show("")
        try #require(host.appArmor()).loadDefault()
        text = try #require(host.loaded)
        #expect(text.hasPrefix("abi <abi/3.0>,\n#include <tunables/global>\n") && text.contains("{\n  #include <abstractions/base>\n"))
    }

    /// The daemon's own profile, from attr/current.
    @Test(
        arguments: [
            ("unconfined\n", nil), ("", nil), ("crun (unconfined)\n", nil), ("/usr/bin/clipperd (enforce)\n", "/usr/bin/clipperd"),
            ("my daemon (complain)", "my daemon"), ("a{b}*", "a\\{b\\}\\*"),
        ] as [(String, String?)])
    func signalsOfTheDaemonArrive(_ label: String, _ peer: String?) throws {
        let host = try Host()
        try host.write("proc/self/attr/current", label)
        try #require(host.appArmor()).loadDefault()
        let senders = try #require(host.loaded).split(separator: "\n").filter { $0.hasPrefix("  signal (receive)") }
        let usual = ["unconfined", "clipper-runtime", "runc", "crun"] + (peer.map { ["\"\($0)\""] } ?? [])
        #expect(senders == usual.map { "  signal (receive) peer=\($0)," })
    }
}
