import EngineTypes
import Glibc
import JSON
import Linux
import OCIImageSpec
import OCIRuntimeSpec
import Testing

@testable import Engine

@Suite struct SpecBuilderTests {
    private let scratch: Scratch
    private let configuration: EngineConfiguration

    init() throws {
        scratch = try Scratch()
        configuration = EngineConfiguration(dataRoot: scratch.path, execRoot: scratch.path, runtimeExecutable: "/usr/bin/clipper-runtime")
        try scratch.write("layer/etc/passwd", "root:x:0:0::/root:\nann:x:1000:1000::/home/ann:\n")
    }

    private func build(
        network: SpecBuilder.NetworkNamespaceChoice = .new, mounts: [ResolvedMount] = [], appArmor: AppArmor? = nil,
        _ fill: (inout HostConfig, inout ContainerConfig) -> Void = { _, _ in }
    ) throws -> Spec {
        var (host, config) = (HostConfig(), ContainerConfig())
        config.Hostname = "box"
        fill(&host, &config)
        var record = makeRecord(config: config, host: host.withDefaults(shmSize: 64, logDriver: "json-file"))
        record.mounts = mounts
        var configuration = configuration
        configuration.appArmor = appArmor
        var builder = SpecBuilder(
            record: record, paths: configuration.paths(of: "c1"), configuration: configuration, layers: ["\(scratch.path)/layer"],
            networkNamespace: network)
        (builder.sharedPID, builder.sharedIPC) = (11, 22)
        return try builder.build()
    }

    private func namespaces(_ spec: Spec) -> [String] {
        spec.linux.namespaces.map { $0.type.rawValue + ($0.path.map { "=\($0)" } ?? "") }
    }

    @Test func theUsualContainer() throws {
        let spec = try build { host, _ in host.CgroupnsMode = "private" }
        #expect(namespaces(spec) == ["mount", "network", "uts", "pid", "ipc", "cgroup"])
        #expect(spec.hostname == "box" && spec.root?.path == "rootfs" && spec.root?.readonly == false)
        #expect(
            spec.mounts.map(\.destination) == [
                "/proc", "/dev", "/sys", "/dev/pts", "/dev/mqueue", "/dev/shm", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts",
                "/sys/fs/cgroup",
            ])
        #expect(spec.mounts.first { $0.destination == "/sys" }?.options.contains("ro") == true)
        #expect(spec.mounts.first { $0.destination == "/dev/shm" }?.options.contains("size=64") == true)
        #expect(spec.linux.maskedPaths == SpecDefaults.maskedPaths && spec.linux.readonlyPaths == SpecDefaults.readonlyPaths)
        #expect(spec.linux.seccomp != nil && spec.linux.cgroupsPath == "/clipper/c1")
        #expect(spec.linux.devices.isEmpty == true && spec.linux.resources?.devices == SpecDefaults.deviceRules)
        let process = try #require(spec.process)
        #expect(process.args == ["/bin/ls", "-l"] && process.cwd == "/" && !process.terminal && !process.noNewPrivileges)
        #expect(process.env == [SpecDefaults.path, "HOSTNAME=box", "HOME=/root"])
        #expect(process.capabilities?.effective == SpecDefaults.capabilities)
    }

    @Test(arguments: [
        ("pid", "host", ["mount", "network", "uts", "ipc"]),
        ("pid", "container:x", ["mount", "network", "uts", "pid=/proc/11/ns/pid", "ipc"]),
        ("ipc", "host", ["mount", "network", "uts", "pid"]),
        ("ipc", "container:x", ["mount", "network", "uts", "pid", "ipc=/proc/22/ns/ipc"]),
        ("ipc", "none", ["mount", "network", "uts", "pid", "ipc"]), ("uts", "host", ["mount", "network", "pid", "ipc"]),
        ("cgroup", "private", ["mount", "network", "uts", "pid", "ipc", "cgroup"]),
    ])
    func namespaceModes(_ kind: String, _ mode: String, _ expected: [String]) throws {
        let spec = try build { host, _ in
            host.CgroupnsMode = kind == "cgroup" ? mode : "host"
            if kind == "pid" { host.PidMode = mode }
            if kind == "ipc" { host.IpcMode = mode }
            if kind == "uts" { host.UTSMode = mode }
        }
        #expect(namespaces(spec) == expected)
        #expect((spec.hostname == nil) == (kind == "uts"))
        let shm = spec.mounts.first { $0.destination == "/dev/shm" }
        let joined = configuration.paths(of: "c1").sharedMemory
        if kind == "ipc" { #expect(shm?.source == ["host": "/dev/shm", "container:x": joined, "none": nil][mode]) }
    }

    @Test func networkModes() throws {
        #expect(!namespaces(try build(network: .host)).contains { $0.hasPrefix("network") })
        #expect(namespaces(try build(network: .path("/run/n"))).contains("network=/run/n"))
    }

    @Test func privileged() throws {
        let spec = try build { host, _ in host.Privileged = true }
        #expect(spec.linux.maskedPaths.isEmpty == true && spec.linux.readonlyPaths.isEmpty == true && spec.linux.seccomp == nil)
        #expect(spec.process?.capabilities?.bounding == Engine.CapabilitySet.available)
        #expect(spec.mounts.first { $0.destination == "/sys" }?.options.contains("rw") == true)
        #expect(spec.linux.resources?.devices == [Spec.DeviceRule(allow: true, type: "a", access: "rwm")])
        #expect(spec.linux.devices.contains { $0.path == "/dev/null" } == true)
        #expect(spec.linux.devices.contains { $0.path.hasPrefix("/dev/pts/") || $0.path == "/dev/console" } == false)
    }

    @Test func usersOfOtherNumbersHaveNoCapabilitiesInEffect() throws {
        let process = try #require(
            try build { _, config in
                config.User = "ann"; config.Tty = true; config.Env = ["HOME=/x", "A=b"]
            }.process)
        #expect(process.user.uid == 1000 && process.capabilities?.effective.isEmpty == true)
        #expect(process.capabilities?.bounding == SpecDefaults.capabilities && process.capabilities?.permitted.isEmpty == true)
        #expect(process.env == [SpecDefaults.path, "HOSTNAME=box", "TERM=xterm", "HOME=/x", "A=b"] && process.terminal)
        #expect(message { _ = try build { _, config in config.User = "bob" } }?.hasPrefix("unable to find user bob") == true)
    }

    @Test func mountsOfTheUserReplaceAndFollowTheirParents() throws {
        let mounts = [
            ResolvedMount(kind: .bind, source: "/s", destination: "/a/b/c", isReadOnly: true, propagation: "rshared"),
            ResolvedMount(kind: .tmpfs, destination: "/a", options: ["exec", "size=1m"]),
            ResolvedMount(kind: .volume, name: "v", source: "/v", destination: "/etc/hosts"),
            ResolvedMount(kind: .tmpfs, destination: "/dev/shm"),
        ]
        let spec = try build(mounts: mounts)
        let places = spec.mounts.map(\.destination)
        #expect(Set(places).count == places.count)
        #expect(try #require(places.firstIndex(of: "/a")) < (try #require(places.firstIndex(of: "/a/b/c"))))
        #expect(spec.mounts.first { $0.destination == "/etc/hosts" }?.source == "/v")
        #expect(spec.mounts.first { $0.destination == "/a" }?.options == ["nosuid", "nodev", "exec", "size=1m"])
        #expect(spec.mounts.first { $0.destination == "/a/b/c" }?.options == ["rbind", "ro", "rshared"])
        #expect(spec.linux.rootfsPropagation == "shared")
    }

    @Test func readOnlyAndInit() throws {
        let spec = try build { host, _ in (host.ReadonlyRootfs, host.Init) = (true, true) }
        #expect(spec.root?.readonly == true && spec.process?.args.prefix(3) == ["/sbin/docker-init", "init", "--"])
        #expect(spec.mounts.first { $0.destination == "/etc/hosts" }?.options.contains("ro") == true)
        #expect(spec.mounts.first { $0.destination == "/sbin/docker-init" }?.source == "/usr/bin/clipper-runtime")
    }

    @Test(arguments: [
        ("apparmor=mine", "mine"), ("apparmor:mine", "mine"), ("apparmor=unconfined", "unconfined"), ("label=type:mine", nil),
    ])
    func appArmorProfiles(option: String, profile: String?) throws {
        try scratch.write("host/sys/module/apparmor/parameters/enabled", "Y")
        try scratch.write("host/sys/kernel/security/apparmor/profiles", "")
        let appArmor = try #require(AppArmor(root: "\(scratch.path)/host", directory: scratch.path, container: nil) { _, _ in "" })
        for appArmor in [appArmor, nil] {
            let spec = try build(appArmor: appArmor) { host, _ in host.SecurityOpt = [option] }
            #expect(spec.process?.apparmorProfile == (appArmor == nil ? nil : profile))
            #expect(spec.process?.selinuxLabel == nil && spec.linux.mountLabel == nil)
        }
    }

    /// What this host does not apply is said.
    @Test(arguments: [("apparmor=mine", true), ("apparmor=unconfined", false), ("apparmor=docker-default", false), ("apparmor=", false)])
    func warnings(option: String, isTold: Bool) throws {
        let options = try SecurityOptions([option], isPrivileged: false)
        #expect(options.warnings(hasAppArmor: true).isEmpty && options.warnings(hasAppArmor: false).isEmpty != isTold)
        let privileged = try SecurityOptions([option], isPrivileged: true).warnings(hasAppArmor: true)
        #expect(privileged.isEmpty == ["apparmor=unconfined", "apparmor="].contains(option))
    }

    @Test func securityOptions() throws {
        let spec = try build { host, _ in
            host.SecurityOpt = [
                "no-new-privileges", "seccomp=unconfined", "systempaths=unconfined", "label=disable", "apparmor:unconfined",
            ]
        }
        #expect(spec.process?.noNewPrivileges == true && spec.linux.seccomp == nil && spec.linux.maskedPaths.isEmpty == true)
        let refused = [
            ("no-new-privileges=x", "invalid --security-opt 2: \"no-new-privileges=x\""),
            ("what", "invalid --security-opt 1: \"what\""), ("", "invalid --security-opt 1: \"\""),
        ]
        for (option, text) in refused { #expect(message { _ = try SecurityOptions([option], isPrivileged: false) } == text) }
        #expect(
            message { _ = try SecurityOptions(["seccomp={"], isPrivileged: false) }?.hasPrefix("Decoding seccomp profile failed") == true)
        let own = try SecurityOptions(["seccomp={\"defaultAction\":\"SCMP_ACT_LOG\"}"], isPrivileged: true).seccomp(capabilities: [])
        #expect(own?.defaultAction == "SCMP_ACT_LOG")
    }

    /// What the daemon's own profile means for containers that ask for none.
    @Test func seccompProfileOfTheDaemon() throws {
        let log = SeccompDefault.file(path: "/p", try DockerSeccompProfile(parsing: Array(#"{"defaultAction":"SCMP_ACT_LOG"}"#.utf8)))
        func action(_ options: [String], isPrivileged: Bool = false, _ seccomp: SeccompDefault) throws -> String? {
            try SecurityOptions(options, isPrivileged: isPrivileged, seccomp: seccomp).seccomp(capabilities: [])?.defaultAction
        }
        #expect(try action([], log) == "SCMP_ACT_LOG")
        #expect(try action([], isPrivileged: true, log) == nil)
        #expect(try action(["seccomp=builtin"], log) == "SCMP_ACT_ERRNO")
        #expect(try action([], .unconfined) == nil)
        #expect(try action(["seccomp=builtin"], .unconfined) == "SCMP_ACT_ERRNO")
        #expect(try SeccompDefault("builtin") == .builtin && SeccompDefault("") == .builtin && SeccompDefault("unconfined") == .unconfined)
    }

    @Test func devices() throws {
        let spec = try build { host, _ in
            host.Devices = [DeviceMapping(PathOnHost: "/dev/null", PathInContainer: "/dev/mine", CgroupPermissions: "r")]
            host.DeviceCgroupRules = ["c 10:* rw"]
        }
        #expect(spec.linux.devices.map(\.path) == ["/dev/mine"] && spec.linux.devices.first?.major == 1)
        #expect(
            spec.linux.resources?.devices.suffix(2) == [
                Spec.DeviceRule(allow: true, type: "c", major: 1, minor: 3, access: "r"),
                Spec.DeviceRule(allow: true, type: "c", major: 10, minor: nil, access: "rw"),
            ])
        for rule in ["", "c 1:3", "x 1:3 r", "c 1 r", "c a:b r", "c 1:3 q"] {
            #expect(
                message { _ = try build { host, _ in host.DeviceCgroupRules = [rule] } } == "invalid device cgroup rule format: '\(rule)'")
        }
        for path in ["/etc/passwd", "/no/such", ""] {
            let text = message {
                _ = try build { host, _ in host.Devices = [DeviceMapping(PathOnHost: path, PathInContainer: nil, CgroupPermissions: nil)] }
            }
            #expect(text?.hasPrefix("error gathering device information while adding custom device \"\(path)\"") == true)
        }
    }

    @Test func limits() throws {
        let resources = try #require(
            try build { host, _ in
                (host.Memory, host.NanoCpus, host.CpuShares, host.PidsLimit) = (64 << 20, 500_000_000, 512, -5)
                host.BlkioDeviceReadBps = [ThrottleDevice(Path: "/dev/null", Rate: 1024)]
                host.Ulimits = [Ulimit(Name: "nofile", Soft: 10, Hard: -1)]
            }.linux.resources)
        #expect(resources.memory?.limit == 64 << 20 && resources.memory?.swap == 128 << 20 && resources.pidsLimit == -1)
        #expect(resources.cpu?.quota == 50_000 && resources.cpu?.period == 100_000 && resources.cpu?.shares == 512)
        #expect(resources.blockIO?.throttleReadBps == [Spec.DeviceRate(major: 1, minor: 3, rate: 1024)])
        let none = try ResourceLimits(HostConfig().withDefaults(shmSize: 1, logDriver: "x")).resolve()
        #expect(none.memory == nil && none.cpu == nil && none.blockIO == nil && none.pidsLimit == nil)
        var host = HostConfig()
        host.BlkioWeightDevice = [WeightDevice(Path: "/no/such", Weight: 5)]
        #expect(message { _ = try ResourceLimits(host).resolve() } == "no such device: /no/such")
        let process = try build { host, _ in host.Ulimits = [Ulimit(Name: "nofile", Soft: 10, Hard: -1)] }.process
        #expect(process?.rlimits == [Spec.ResourceLimit(type: "RLIMIT_NOFILE", soft: 10, hard: .max)])
    }
}

@Suite struct FrameSplitterTests {
    @Test(arguments: [1, 2, 3, 7, 8, 9, 100])
    func framesInAnyPieces(_ piece: Int) {
        let bytes =
            LogReader.frameHeader(isError: false, count: 5) + Array("hello".utf8) + LogReader.frameHeader(isError: true, count: 0)
            + LogReader.frameHeader(isError: true, count: 300) + [UInt8](repeating: 7, count: 300)
        var splitter = FrameSplitter()
        var seen: [(Bool, [UInt8])] = []
        for start in stride(from: 0, to: bytes.count, by: piece) {
            splitter.feed(bytes[start..<min(start + piece, bytes.count)]) { seen.append(($0, $1)) }
        }
        #expect(seen.map(\.0) == [false, true, true] && seen.map(\.1.count) == [5, 0, 300])
        #expect(seen.first?.1 == Array("hello".utf8))
    }

    @Test func anUnfinishedFrameGivesNothing() {
        var splitter = FrameSplitter()
        splitter.feed([1, 0, 0, 0, 0, 0, 0, 9, 65]) { _, _ in Issue.record("an unfinished frame was given out") }
    }
}
