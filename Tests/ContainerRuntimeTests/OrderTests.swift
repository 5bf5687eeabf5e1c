import CLinux
import Glibc
import OCIRuntimeSpec
import Testing

@testable import ContainerRuntime
@testable import Linux

/// A child's whole way from clone to execve on a kernel of paper: what it asks for, in which order, with which arguments.
/// Each rule here is a hole when it is broken; the comments in Sources/ContainerRuntime/Child say which.
private struct Run {
    let recorder: SystemCallRecorder
    /// What the child told the runtime, by kind.
    var messages: [SyncMessage] = []
    var failure: RuntimeError?

    var calls: [String] { recorder.calls }
    func calls(_ beginning: String) -> [String] { recorder.calls(beginning) }

    /// Runs the first process of a container. The runtime's answers are sent before it begins: nothing here waits.
    init(_ recorder: SystemCallRecorder = SystemCallRecorder(), _ change: (inout Spec, inout CreateOptions) -> Void = { _, _ in }) throws {
        var spec = goodSpec()
        spec.root = Spec.Root(path: "/", readonly: true)
        spec.process?.args = ["/bin/sh"]
        spec.linux.maskedPaths = ["/proc/keys", "/proc/acpi", "/sys/firmware"]
        var options = CreateOptions(id: "x", bundle: "/")
        change(&spec, &options)
        let plan = try ContainerPlan(spec: spec, options: options)
        recorder.files.formUnion(["/proc/keys", "/dev/null"])
        self.recorder = recorder
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let parent = SyncChannel(pair.first)
        if plan.namespaces.isNewUser { try parent.send(.mapped) }
        let nowhere = CgroupManager(layout: plan.cgroupLayout, path: "/x", directories: [])
        let child = ContainerInit(
            plan: plan, sync: SyncChannel(pair.second), entrance: try nowhere.entrance(includingUnified: false), gate: .open,
            available: CapabilitySet(rawValue: .max))
        let code = recorder.run { child.run() }
        #expect(code != 0)
        try follow(parent, child)
    }

    /// Runs a further process.
    init(exec process: Spec.Process, seccomp: Spec.Seccomp? = nil, hasUserNamespace: Bool = false) throws {
        recorder = SystemCallRecorder()
        recorder.name(99, "the container")
        var linux = Spec.LinuxConfig()
        linux.seccomp = seccomp
        let plan = try ProcessPlan(process, linux, preserveFDs: 0, cacheDirectory: nil)
        let pair = try OwnedFD.socketPair(type: Int32(SOCK_SEQPACKET.rawValue))
        let parent = SyncChannel(pair.first)
        let child = ExecInit(
            plan: plan, container: 99, joins: .init(user: hasUserNamespace), stdio: .inherited, sync: SyncChannel(pair.second),
            entrance: nil,
            available: CapabilitySet(rawValue: .max))
        let code = recorder.run { child.run() }
        #expect(code != 0)
        try follow(parent, child)
    }

    private mutating func follow(_ parent: borrowing SyncChannel, _ child: borrowing some ~Copyable) throws {
        var sent = recorder.calls("send message").count
        while sent > 0, let event = try parent.receive() {
            sent -= 1
            messages.append(event.kind)
            if event.kind == .failed { failure = event.failure }
        }
    }

    /// Where a call is; it must be there, and once.
    func place(_ beginning: String, _ location: SourceLocation = #_sourceLocation) -> Int {
        let places = calls.indices.filter { calls[$0].hasPrefix(beginning) }
        #expect(places.count == 1, "\(beginning): \(places.count) times in\n\(calls.joined(separator: "\n"))", sourceLocation: location)
        return places.first ?? -1
    }

    /// Each of these once, in this order, whatever stands between them.
    func expectOrder(_ beginnings: [String], _ location: SourceLocation = #_sourceLocation) {
        var last = (place: -1, call: "the beginning")
        for beginning in beginnings {
            let here = place(beginning, location)
            #expect(here > last.place, "\(beginning) before \(last.call)", sourceLocation: location)
            last = (here, beginning)
        }
    }

    /// All calls of one kind come before the first of another.
    func expectAll(_ earlier: String, before later: String, _ location: SourceLocation = #_sourceLocation) {
        let last = calls.lastIndex { $0.hasPrefix(earlier) }
        let first = calls.firstIndex { $0.hasPrefix(later) }
        guard let last, let first else {
            Issue.record("no \(last == nil ? earlier : later) in\n\(calls.joined(separator: "\n"))", sourceLocation: location)
            return
        }
        #expect(last < first, "\(calls[last]) comes after \(calls[first])", sourceLocation: location)
    }
}

@Suite struct OrderTests {
    /// The way ends at the program, which the paper kernel refuses.
    @Test func reachesTheProgram() throws {
        let run = try Run()
        #expect(run.calls.contains("execve /bin/sh"), "\(run.calls.joined(separator: "\n"))\n\(String(describing: run.failure))")
        #expect(run.messages == [.executing, .failed])
        #expect(run.failure?.message.hasPrefix("exec /bin/sh: exec format error: it is a program for ") == true)
        #expect(run.calls.filter { $0.hasPrefix("unknown call") } == [])
    }

    /// Undumpable before anything else: a container's process must never trace it or open its memory (CVE-2019-5736).
    @Test func isUndumpableFirst() throws { #expect(try Run().calls.first == "prctl dumpable 0") }

    @Test func goesThroughTheStagesInOrder() throws {
        let run = try Run()
        run.expectOrder([
            "prctl dumpable 0", "unshare ", "setsid", "join keyring _ses.x", "sethostname clipper", "mount  on / flags", "pivot_root . .",
            "umount . 2", "prctl keepcaps 1", "setgroups", "setresgid 0", "setresuid 0", "umask 18", "close_range 3 flags 4",
            "prctl no_new_privs 1", "send message \(SyncMessage.executing.rawValue)", "execve /bin/sh",
        ])
    }

    /// The first mount call keeps every later one from the host.
    @Test func isolatesMountsBeforeItMounts() throws {
        let run = try Run()
        let first = run.calls.first { $0.hasPrefix("mount ") || $0.hasPrefix("move_mount") }
        #expect(first == "mount  on / flags \(String(UInt(CLinux.MS_SLAVE | CLinux.MS_REC), radix: 16))")
    }

    @Test func mountsInTheSpecsOrder() throws {
        let run = try Run()
        let targets = run.calls("mount ").dropFirst().map { $0.split(separator: " ")[3] }
        let wanted = ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"]
        #expect(targets.filter { wanted.contains(String($0)) }.map(String.init) == wanted)
        let nosuid = UInt(CLinux.MS_NOSUID | CLinux.MS_NOEXEC)
        #expect(
            run.calls.contains(
                "mount devpts on /dev/pts type devpts flags \(String(nosuid, radix: 16)) data newinstance,ptmxmode=0666,mode=0620,gid=5"))
        run.expectAll("mount ", before: "pivot_root")
    }

    @Test func makesDevicesBeforeThePivot() throws {
        let run = try Run()
        let nodes = run.calls("mknod")
        #expect(
            nodes == [
                "mknod /dev/null 20666 1:3", "mknod /dev/zero 20666 1:5", "mknod /dev/full 20666 1:7", "mknod /dev/random 20666 1:8",
                "mknod /dev/urandom 20666 1:9", "mknod /dev/tty 20666 5:0",
            ])
        run.expectAll("mknod", before: "pivot_root")
        run.expectOrder(["umask 0", "mknod /dev/null", "mknod /dev/tty", "umask 63"])
    }

    /// Parameters are set while /proc/sys can be written, read-only binds come next, masks last: they may lie below those.
    @Test func setsParametersThenSealsThenMasks() throws {
        let run = try Run { spec, _ in spec.linux.sysctl = ["net.ipv4.ip_forward": "1"] }
        run.expectOrder([
            "pivot_root", "write 1 to /proc/sys/net/ipv4/ip_forward", "open_tree /proc/sys recursive", "move_mount tree of /proc/sys to",
            "open_tree /dev/null", "move_mount tree of /dev/null to /proc/keys",
        ])
        run.expectAll("move_mount tree of /proc", before: "move_mount tree of /dev/null")
        run.expectAll("move_mount", before: "setresuid")
        // Read-only before it can be seen, so that no moment is left to write.
        run.expectOrder(["mount_setattr tree of /proc/sys set 1", "move_mount tree of /proc/sys to"])
    }

    @Test func masksDirectoriesWithOneEmptyTmpfs() throws {
        let run = try Run()
        #expect(run.calls("fsopen") == ["fsopen tmpfs"])
        #expect(run.calls("move_mount").suffix(3).map { $0.split(separator: " ").last } == ["/proc/keys", "/proc/acpi", "/sys/firmware"])
    }

    /// The bounding set is cut while CAP_SETPCAP is held; the three sets are set after the change of user, which
    /// would clear them; ambient ones last, for they need the others.
    @Test func changesCredentialsInOrder() throws {
        let run = try Run { spec, _ in
            spec.process?.user = Spec.User(uid: 33, gid: 10)
            spec.process?.user.additionalGids = [5, 7]
            spec.process?.capabilities = Spec.Capabilities(all: ["CAP_KILL"])
            spec.process?.capabilities?.inheritable = ["CAP_KILL"]
            spec.process?.capabilities?.ambient = ["CAP_KILL"]
        }
        run.expectAll("prctl drop", before: "prctl keepcaps")
        run.expectOrder(["prctl keepcaps 1", "setgroups 5 7", "setresgid 10", "setresuid 33"])
        run.expectAll("setresuid 33", before: "capset")
        run.expectAll("capset", before: "prctl ambient clear")
        run.expectOrder(["prctl ambient clear", "prctl ambient raise 5", "execve"])
        #expect(run.calls("prctl drop").count == 40)
        #expect(!run.calls.contains("prctl drop 5"))
        #expect(run.calls("capset").last == "capset effective 20 permitted 20 inheritable 20")
    }

    /// With no_new_privs the filter needs no capability and is the last thing before the program.
    @Test func loadsTheFilterLast() throws {
        let run = try Run { spec, _ in spec.linux.seccomp = Spec.Seccomp(defaultAction: "SCMP_ACT_ALLOW") }
        run.expectOrder(["prctl no_new_privs 1", "send message \(SyncMessage.executing.rawValue)", "seccomp", "execve"])
        run.expectAll("capset", before: "seccomp")
        #expect(run.calls.suffix(3).first == "seccomp", "\(run.calls.suffix(4))")
    }

    /// Without it the filter needs CAP_SYS_ADMIN, which is held for it alone and gone before the program.
    @Test func givesTheFiltersCapabilityBack() throws {
        let run = try Run { spec, _ in
            spec.process?.noNewPrivileges = false
            spec.process?.capabilities = Spec.Capabilities(all: ["CAP_KILL"])
            spec.linux.seccomp = Spec.Seccomp(defaultAction: "SCMP_ACT_ALLOW")
        }
        #expect(run.calls("prctl no_new_privs") == [])
        let filter = run.place("seccomp")
        let sets = run.calls.enumerated().filter { $0.element.hasPrefix("capset") }
        // 0x200020: CAP_SYS_ADMIN and CAP_KILL.
        #expect(sets.last { $0.offset < filter }?.element == "capset effective 200020 permitted 200020 inheritable 0")
        #expect(sets.first { $0.offset > filter }?.element == "capset effective 20 permitted 20 inheritable 0")
        run.expectAll("capset", before: "execve")
    }

    @Test func setsLimitsBeforeTheChangeOfUser() throws {
        let run = try Run { spec, _ in
            spec.process?.rlimits = [.init(type: "RLIMIT_CORE", soft: 1, hard: 2), .init(type: "RLIMIT_NOFILE", soft: 3, hard: 4)]
        }
        #expect(run.calls("setrlimit") == ["setrlimit 4 1:2", "setrlimit 7 3:4"])
        run.expectAll("setrlimit", before: "setresuid")
    }

    /// Everything from 3 on ends at execve (CVE-2024-21626), but for what the caller asked to keep.
    @Test func closesDescriptors() throws {
        #expect(try Run().calls("close_range") == ["close_range 3 flags 4"])
        let kept = try Run { _, options in options.preserveFDs = 2 }
        #expect(kept.calls("close_range") == ["close_range 5 flags 4"])
    }

    @Test func rootIsReadOnlyAfterThePivot() throws {
        let run = try Run()
        run.expectOrder(["pivot_root", "mount_setattr tree of / set 1", "setresuid"])
        let writable = try Run { spec, _ in spec.root?.readonly = false }
        #expect(writable.calls("mount_setattr tree of / ") == [])
    }

    @Test func movesTheRootWhereItCannotPivot() throws {
        let run = try Run { _, options in options.noPivot = true }
        #expect(run.calls("pivot_root") == [])
        run.expectOrder(["mount . on / flags \(String(UInt(CLinux.MS_MOVE), radix: 16))", "chroot ."])
    }

    /// Identity first: what is made after it belongs to the new user namespace.
    @Test func becomesRootOfANewUserNamespaceFirst() throws {
        let run = try Run { spec, _ in
            spec.linux.namespaces.append(.init(.user))
            spec.linux.uidMappings = [.init(containerID: 0, hostID: 1000, size: 10)]
            spec.linux.gidMappings = [.init(containerID: 0, hostID: 1000, size: 10)]
        }
        let group = run.calls.firstIndex(of: "setresgid 0") ?? -1
        let user = run.calls.firstIndex(of: "setresuid 0") ?? -1
        #expect(0 < group && group < user && user < run.place("unshare"))
    }

    @Test func rootfsPropagationIsSetWhereItWasAsked() throws {
        let run = try Run { spec, _ in spec.linux.rootfsPropagation = "shared" }
        let shared = "mount  on / flags \(String(UInt(CLinux.MS_SHARED), radix: 16))"
        let place = run.calls.lastIndex(of: shared) ?? -1
        #expect(place > run.place("pivot_root"))
    }

    // MARK: - What fails stops all

    /// A step that fails is told by name, and nothing comes after it: least of all the program.
    @Test(arguments: [
        ("unshare", "create namespaces"), ("mount proc", "mount proc on /proc"), ("pivot_root", "pivot_root"),
        ("move_mount tree of /dev/null", "mount on /proc/keys"), ("mount_setattr tree of / ", "set mount attributes of /"),
        ("prctl drop", "drop capability"), ("setgroups", "set supplementary groups"), ("setresuid", "set user"),
        ("setresgid", "set group"), ("capset", "set capabilities"), ("prctl no_new_privs", "set no_new_privs"),
        ("close_range", "close descriptors"), ("seccomp", "load seccomp filter"), ("prctl dumpable", "make undumpable"),
        ("setrlimit", "set RLIMIT_NOFILE"), ("prctl keepcaps", "keep capabilities"), ("mknod", "create device /dev/null"),
    ])
    func failureStopsAll(_ call: String, _ words: String) throws {
        let recorder = SystemCallRecorder()
        recorder.failures = [(call, EIO)]
        let run = try Run(recorder) { spec, _ in spec.linux.seccomp = Spec.Seccomp(defaultAction: "SCMP_ACT_ALLOW") }
        #expect(run.failure?.message.hasPrefix(words) == true, "\(run.failure?.message ?? "none")")
        #expect(run.failure?.kind == .system(EIO))
        #expect(run.calls("execve") == [])
        #expect(
            run.calls.last { !$0.hasPrefix("send message") && !$0.hasPrefix("umask") }?.hasPrefix(call) == true, "\(run.calls.suffix(3))")
    }

    /// The image's idea of /dev/null would make what it masks writable (CVE-2025-31133).
    @Test func refusesAFalseNullDevice() throws {
        let recorder = SystemCallRecorder()
        let run = try Run(recorder) { spec, _ in
            spec.linux.maskedPaths = ["/proc/keys"]
            recorder.standIns["/dev/null"] = "/etc/passwd"
        }
        #expect(run.failure?.message.hasPrefix("mask paths: /dev/null is not the null device") == true, "\(run.failure?.message ?? "none")")
    }
}

@Suite struct ExecOrderTests {
    private func process(_ change: (inout Spec.Process) -> Void = { _ in }) -> Spec.Process {
        var process = goodSpec().process ?? Spec.Process()
        process.args = ["/bin/sh"]
        change(&process)
        return process
    }

    /// Undumpable before it joins: from then on the container's processes can see it (CVE-2016-9962).
    @Test func isUndumpableBeforeItJoins() throws {
        let run = try Run(exec: process())
        run.expectOrder([
            "prctl dumpable 0", "setns the container", "setsid", "join keyring", "prctl keepcaps 1", "setgroups", "setresgid", "setresuid",
            "close_range 3 flags 4", "prctl no_new_privs 1", "execve /bin/sh",
        ])
    }

    @Test func joinsAllNamespacesAtOnce() throws {
        let kinds: [NamespaceKind] = [.mnt, .net, .ipc, .uts, .cgroup]
        let flags = kinds.reduce(0) { $0 | $1.flag }
        #expect(try Run(exec: process()).calls("setns") == ["setns the container \(String(flags, radix: 16))"])
        let withUser = try Run(exec: process(), hasUserNamespace: true)
        #expect(withUser.calls("setns") == ["setns the container \(String(flags | NamespaceKind.user.flag, radix: 16))"])
    }

    /// The filter of the container is the filter of whoever comes in, and as late.
    @Test func getsTheContainersFilter() throws {
        let run = try Run(exec: process(), seccomp: Spec.Seccomp(defaultAction: "SCMP_ACT_ALLOW"))
        run.expectOrder(["setns", "prctl no_new_privs 1", "seccomp", "execve"])
        run.expectAll("capset", before: "seccomp")
    }

    @Test func keepsNothingOfTheHostsCapabilities() throws {
        let run = try Run(exec: process { $0.capabilities = Spec.Capabilities() })
        #expect(run.calls("prctl drop").count == 41)
        #expect(run.calls("capset").last == "capset effective 0 permitted 0 inheritable 0")
    }
}
