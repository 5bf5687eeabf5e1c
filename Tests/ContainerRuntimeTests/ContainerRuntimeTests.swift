import Glibc
import JSON
import Linux
import OCIRuntimeSpec
import Testing

@testable import ContainerRuntime

/// A spec that every rule accepts; a test breaks one thing.
func goodSpec() -> Spec {
    var spec = Spec.example
    spec.process?.terminal = false
    return spec
}

@Suite struct SpecValidationTests {
    @Test func acceptsTheExample() throws { try SpecValidation.validate(goodSpec()) }

    private func expectRefusal(_ field: String, _ change: (inout Spec) -> Void) {
        var spec = goodSpec()
        change(&spec)
        let error = #expect(throws: SpecError.self) { try SpecValidation.validate(spec) }
        #expect(error?.field == field)
    }

    @Test(arguments: ["", "2.0.0", "0.9.0", "one", "1", "1.0", "1.x.0"])
    func version(_ version: String) { expectRefusal("ociVersion") { $0.ociVersion = version } }

    @Test(arguments: ["1.0.0", "1.0.2-dev", "1.2.1", "1.3.0", "1.99.0-rc.1"])
    func versionsOfTheFirstSeries(_ version: String) throws {
        var spec = goodSpec()
        spec.ociVersion = version
        try SpecValidation.version(spec)
    }

    @Test func process() {
        expectRefusal("process") { $0.process = nil }
        expectRefusal("process.args") { $0.process?.args = [] }
        expectRefusal("process.cwd") { $0.process?.cwd = "tmp" }
        expectRefusal("process.cwd") { $0.process?.cwd = "" }
        expectRefusal("process.user.umask") { $0.process?.user.umask = 0o1000 }
        expectRefusal("process.oomScoreAdj") { $0.process?.oomScoreAdj = 1001 }
    }

    @Test func rlimits() {
        expectRefusal("process.rlimits[0].type") { $0.process?.rlimits = [.init(type: "RLIMIT_MOON", soft: 1, hard: 1)] }
        expectRefusal("process.rlimits[0].soft") { $0.process?.rlimits = [.init(type: "RLIMIT_CPU", soft: 2, hard: 1)] }
        expectRefusal("process.rlimits[1].type") {
            $0.process?.rlimits = [.init(type: "RLIMIT_CPU", soft: 1, hard: 1), .init(type: "RLIMIT_CPU", soft: 1, hard: 1)]
        }
    }

    @Test func root() { expectRefusal("root") { $0.root = nil } }

    @Test func namespaces() {
        expectRefusal("linux.namespaces[6].type") { $0.linux.namespaces.append(.init(.pid)) }
        let fields = ["linux.maskedPaths", "linux.readonlyPaths", "linux.rootfsPropagation", "linux.namespaces"]
        for (index, field) in fields.enumerated() {
            expectRefusal(field) {
                $0.linux.namespaces = [.init(.pid)] + (index == 3 ? [.init(.user)] : [])
                $0.linux.maskedPaths = index == 0 ? ["/proc/acpi"] : []
                $0.linux.readonlyPaths = index == 1 ? ["/proc/sys"] : []
                $0.linux.rootfsPropagation = index == 2 ? "slave" : nil
            }
        }
    }

    @Test func userMappings() {
        let one = Spec.IDMapping(containerID: 0, hostID: 1000, size: 10)
        expectRefusal("linux.uidMappings") { $0.linux.uidMappings = [one] }
        expectRefusal("linux.uidMappings") { $0.linux.namespaces.append(.init(.user)) }
        func withUser(_ field: String, _ mappings: [Spec.IDMapping]) {
            expectRefusal(field) {
                $0.linux.namespaces.append(.init(.user))
                $0.linux.uidMappings = mappings
                $0.linux.gidMappings = [one]
            }
        }
        withUser("linux.uidMappings[0].size", [.init(containerID: 0, hostID: 0, size: 0)])
        withUser("linux.uidMappings[0]", [.init(containerID: .max, hostID: 0, size: 2)])
        withUser("linux.uidMappings[1]", [one, .init(containerID: 5, hostID: 5000, size: 1)])
        withUser("linux.uidMappings[1]", [one, .init(containerID: 50, hostID: 1009, size: 1)])
        withUser("linux.uidMappings", (0..<341).map { .init(containerID: $0 * 2, hostID: $0 * 2, size: 1) })
    }

    @Test func mappedUsers() throws {
        let few = Spec.IDMapping(containerID: 0, hostID: 1000, size: 10)
        func withUser(_ user: Spec.User, _ mapping: Spec.IDMapping) -> Spec {
            var spec = goodSpec()
            spec.linux.namespaces.append(.init(.user))
            spec.linux.uidMappings = [mapping]
            spec.linux.gidMappings = [few]
            spec.process?.user = user
            return spec
        }
        try SpecValidation.validate(withUser(Spec.User(uid: 9, gid: 9), few))
        var groups = Spec.User(uid: 0, gid: 0)
        groups.additionalGids = [9, 10]
        let high = Spec.IDMapping(containerID: 1, hostID: 1000, size: .max - 1000)
        for (field, user, mapping) in [
            ("process.user.uid", Spec.User(uid: 10, gid: 0), few), ("process.user.gid", Spec.User(uid: 0, gid: 10), few),
            ("process.user.additionalGids[1]", groups, few), ("linux.uidMappings", Spec.User(uid: 1, gid: 0), high),
        ] {
            let error = #expect(throws: SpecError.self) { try SpecValidation.validate(withUser(user, mapping)) }
            #expect(error?.field == field)
        }
    }

    @Test func hostnames() {
        expectRefusal("hostname") { $0.hostname = String(repeating: "x", count: 65) }
        expectRefusal("domainname") {
            $0.hostname = nil
            $0.domainname = "d"
            $0.linux.namespaces.removeAll { $0.type == .uts }
        }
    }

    @Test func mounts() {
        expectRefusal("mounts[0].destination") { $0.mounts = [.init(destination: "", type: "proc")] }
        expectRefusal("mounts[0].destination") { $0.mounts = [.init(destination: "/a/../../etc", type: "tmpfs")] }
        expectRefusal("mounts[0].source") { $0.mounts = [.init(destination: "/a", type: "bind")] }
        expectRefusal("mounts[0].type") { $0.mounts = [.init(destination: "/a", source: "x")] }
    }

    /// Both mappings or none, and then those of a user namespace; bind mounts alone.
    @Test func idMappedMounts() throws {
        var mount = Spec.Mount(destination: "/a", source: "/x", options: ["rbind", "idmap"])
        expectRefusal("mounts[0].options") { $0.mounts = [mount] }
        mount.uidMappings = [.init(containerID: 0, hostID: 5, size: 1)]
        expectRefusal("mounts[0].gidMappings") { $0.mounts = [mount] }
        mount.gidMappings = [.init(containerID: 0, hostID: 5, size: 0)]
        expectRefusal("mounts[0].gidMappings[0].size") { $0.mounts = [mount] }
        mount.gidMappings = mount.uidMappings
        var spec = goodSpec()
        spec.mounts = [mount]
        try SpecValidation.validate(spec)
        let planned = PlannedMount(mount, bundle: "/b")
        #expect(planned.idMap == .own(users: "0 5 1\n", groups: "0 5 1\n"))
        #expect(planned.options.idMap == .mount)
        mount.type = "tmpfs"
        mount.options = ["ridmap"]
        expectRefusal("mounts[0].uidMappings") { $0.mounts = [mount] }
    }

    @Test func devicesAndPaths() {
        expectRefusal("linux.devices[0].path") { $0.linux.devices = [.init(path: "/dev/../x", kind: .fifo, major: 0, minor: 0)] }
        expectRefusal("linux.maskedPaths[0]") { $0.linux.maskedPaths = ["proc/kcore"] }
        expectRefusal("linux.readonlyPaths[0]") { $0.linux.readonlyPaths = ["proc"] }
        expectRefusal("linux.rootfsPropagation") { $0.linux.rootfsPropagation = "sideways" }
    }

    @Test func sysctls() {
        expectRefusal("linux.sysctl.kernel.panic") { $0.linux.sysctl = ["kernel.panic": "1"] }
        expectRefusal("linux.sysctl.vm/swappiness") { $0.linux.sysctl = ["vm/swappiness": "1"] }
        expectRefusal("linux.sysctl.net.ipv4.ip_forward") {
            $0.linux.sysctl = ["net.ipv4.ip_forward": "1"]
            $0.linux.namespaces.removeAll { $0.type == .network }
        }
        expectRefusal("linux.sysctl.net.ipv4.ip_forward") {
            $0.linux.sysctl = ["net.ipv4.ip_forward": "1"]
            $0.linux.namespaces.removeAll { $0.type == .network }
            $0.linux.namespaces.append(.init(.network, path: "/proc/self/ns/net"))
        }
        #expect(Sysctl.path("net.ipv4.conf.eth0/1.forwarding") == "net/ipv4/conf/eth0.1/forwarding")
        #expect(Sysctl.path("net/ipv4/conf/eth0.1/forwarding") == "net/ipv4/conf/eth0.1/forwarding")
    }

    @Test func capabilitiesAndSeccompWords() {
        var sets = Spec.Capabilities(all: ["CAP_KILL"])
        sets.ambient = ["CAP_MOON"]
        let wrong = #expect(throws: SpecError.self) { try CapabilitySets(sets) }
        #expect(wrong?.field == "process.capabilities.ambient[0]")
        var seccomp = Spec.Seccomp(defaultAction: "SCMP_ACT_ALLOW")
        seccomp.architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_Z80"]
        let unknown = #expect(throws: SpecError.self) { try SeccompProfile(seccomp) }
        #expect(unknown?.field == "linux.seccomp.architectures[1]")
    }
}

@Suite struct PlanTests {
    @Test(arguments: ["a", "A-b_c+d.e", "...", String(repeating: "x", count: 1024)])
    func acceptsIDs(_ id: String) throws { try ContainerID.validate(id) }

    @Test(arguments: ["", ".", "..", "a/b", "../x", "a b", "ä", "a\0b", String(repeating: "x", count: 1025)])
    func refusesIDs(_ id: String) { #expect(throws: RuntimeError.self) { try ContainerID.validate(id) } }

    /// The order of mounts is the spec's, each understood as what it is.
    @Test func plansMountsInOrder() {
        let mounts = [
            Spec.Mount(destination: "/proc/", type: "proc", source: "proc"),
            Spec.Mount(destination: "/data", type: "none", source: "vol", options: ["rbind", "ro", "rslave"]),
            Spec.Mount(destination: "x//./y", type: "bind", source: "/abs"),
            Spec.Mount(destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro"]),
            Spec.Mount(destination: "/", options: ["remount", "ro"]),
        ].map { PlannedMount($0, bundle: "/bundle") }
        #expect(mounts.map(\.destination) == ["/proc", "/data", "/x/y", "/sys/fs/cgroup", "/"])
        #expect(mounts.map(\.kind) == [.filesystem("proc", source: "proc"), .bind("/bundle/vol"), .bind("/abs"), .cgroup, .remount])
        #expect(mounts[1].options.isRecursive)
        #expect(mounts[1].options.isReadOnly)
        #expect(mounts[1].options.propagation.count == 1)
        #expect(mounts[2].options.isBind)
        #expect(!mounts[2].options.isRecursive)
    }

    @Test func findsTheCgroup() {
        #expect(ContainerPlan.cgroupPath(nil, id: "x") == "/clipper-runtime-x")
        #expect(ContainerPlan.cgroupPath("/a/b", id: "x") == "/a/b")
        #expect(ContainerPlan.cgroupPath("a", id: "x") == "/clipper-runtime/a")
    }

    @Test func dividesNamespacesAmongParentAndChild() {
        var linux = Spec.LinuxConfig()
        linux.namespaces = [.init(.pid), .init(.network, path: "/run/netns/x"), .init(.uts), .init(.cgroup), .init(.mount, path: "/m")]
        let plan = NamespacePlan(linux)
        #expect(plan.cloned == NamespaceKind.pid.flag)
        #expect(plan.unshared == NamespaceKind.uts.flag)
        #expect(plan.joined.map(\.path) == ["/run/netns/x"])
        #expect(plan.mountPath == "/m")
        #expect(plan.isNewCgroup)
        #expect(!plan.isNewNetwork)
    }

    @Test func carriesResourcesOver() throws {
        var spec = Spec.Resources()
        spec.memory = Spec.Memory()
        spec.memory?.limit = 5
        spec.pidsLimit = 7
        spec.devices = [.init(allow: false), .init(allow: true, type: "c", major: 1, minor: -1, access: "rw")]
        let resources = try CgroupResources(spec)
        #expect(resources.memory.limit == 5)
        #expect(resources.pidsLimit == 7)
        #expect(resources.devices[1].major == 1)
        #expect(resources.devices[1].minor == nil)
        #expect(resources.devices[1].access == [.read, .write])
        spec.devices = [.init(allow: true, type: "c", major: -5)]
        let error = #expect(throws: SpecError.self) { try CgroupResources(spec) }
        #expect(error?.field == "linux.resources.devices[0].major")
    }
}

@Suite struct CommandLineTests {
    private let rules: [OptionRule] = [.value("bundle", "b"), .flag("force", "f")]

    @Test func readsOptions() throws {
        let arguments = try CommandArguments(["--bundle=/x", "-f", "id", "-b", "/y"], rules)
        #expect(arguments.all("bundle") == ["/x", "/y"])
        #expect(arguments.has("force"))
        #expect(arguments.positionals == ["id"])
    }

    @Test func leavesAProgramItsOptions() throws {
        let arguments = try CommandArguments(["-f", "id", "sh", "-b", "--", "x"], rules, stopsAtPositional: true)
        #expect(arguments.positionals == ["id", "sh", "-b", "--", "x"])
    }

    @Test(arguments: [["--nope"], ["-b"], ["--bundle"]])
    func refusesOptions(_ list: [String]) { #expect(throws: RuntimeError.self) { try CommandArguments(list, rules) } }

    /// Anything but digits would become another user, in the worst case root (CVE-2026-30892).
    @Test(arguments: ["", ":", "a", "1:", ":1", "1:2:3", "-1", "+1", " 1", "1 ", "0x1", "4294967295", "4294967296", "1:x"])
    func refusesUsers(_ text: String) {
        #expect(throws: RuntimeError.self) { try ExecCommand.parseUser(text, Spec.User(uid: 5, gid: 6)) }
    }

    @Test func readsUsers() throws {
        #expect(try ExecCommand.parseUser("7", Spec.User(uid: 5, gid: 6)) == (7, 6))
        #expect(try ExecCommand.parseUser("7:8", Spec.User(uid: 5, gid: 6)) == (7, 8))
    }

    @Test(
        arguments: [("64m", 64 << 20), ("1g", 1 << 30), ("1.5g", 3 << 29), ("5", 5), ("-1", -1), ("2KiB", 2048), ("3kb", 3072)]
            as [(String, Int64)])
    func readsSizes(_ text: String, _ bytes: Int64) throws {
        #expect(try UpdateCommand.size(try CommandArguments(["--memory", text], [.value("memory")]), "memory") == bytes)
    }

    @Test(arguments: ["", "m", "1x", "99999999999g"])
    func refusesSizes(_ text: String) throws {
        let arguments = try CommandArguments(["--memory", text], [.value("memory")])
        #expect(throws: RuntimeError.self) { try UpdateCommand.size(arguments, "memory") }
    }

    @Test func featuresAreTheTables() {
        let features = FeaturesCommand.document
        #expect(features["linux"]?["capabilities"]?.arrayValue?.count == Capability.allCases.count)
        #expect(features["mountOptions"]?.arrayValue?.contains("rro") == true)
        #expect(features["hooks"]?.arrayValue?.count == 6)
        for module in SecurityModule.allCases { #expect(features["linux"]?[module.rawValue]?["enabled"] == true) }
        for name in ["v1", "v2", "systemd", "systemdUser", "rdma"] { #expect(features["linux"]?["cgroup"]?[name] == true, "\(name)") }
    }

    /// A state file that is read is the one that was written.
    @Test func stateSurvives() throws {
        let options = CreateOptions(id: "s", bundle: "/")
        var spec = goodSpec()
        spec.root = Spec.Root(path: "/")
        let plan = try ContainerPlan(spec: spec, options: options)
        let state = ContainerState(plan: plan, pid: 42, startTime: 99)
        let again = try ContainerState(try JSONValue(parsing: state.json.serialized()))
        #expect(again.pid == 42)
        #expect(again.startTime == 99)
        #expect(again.spec == state.spec)
        #expect(again.created == state.created)
    }

    /// What a message quotes comes from outside: it must not write on the terminal, nor look like two messages.
    @Test(arguments: [
        ("plain: größer", "plain: größer"), ("a\nb\r\n\nc", "a; b; c"), ("\u{1b}[2Jx\u{7f}\u{9b}", "\\u{1b}[2Jx\\u{7f}\\u{9b}"),
    ])
    func errorsAreOneLine(_ message: String, _ line: String) { #expect(RuntimeError(kind: .usage, message: message).line == line) }

    @Test func endlessErrorsAreCut() {
        let line = RuntimeError(kind: .usage, message: "cwd \(String(repeating: "ä", count: 1 << 20)): reason").line
        #expect(line.utf8.count <= RuntimeError.longestLine && line.hasPrefix("cwd ä") && line.hasSuffix("ä: reason"))
        // Control characters are shown in more bytes than they have.
        #expect(RuntimeError(kind: .usage, message: String(repeating: "\u{1}", count: 4000)).line.utf8.count <= RuntimeError.longestLine)
    }

    @Test func errorsCrossTheSocketWhole() throws {
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let child = SyncChannel(pair.first)
        let parent = SyncChannel(pair.second)
        child.fail(RuntimeError(kind: .invalidSpec("mounts[0]"), message: "no: such\u{1}thing"))
        guard let event = try parent.receive() else {
            Issue.record("no message came")
            return
        }
        let failure = event.failure
        #expect(failure.kind == .invalidSpec("mounts[0]"))
        #expect(failure.message == "no: such\u{1}thing")
    }
}
