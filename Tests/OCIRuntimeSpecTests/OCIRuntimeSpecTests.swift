import JSON
import Testing

@testable import OCIRuntimeSpec

/// A valid document into which one test puts one thing.
let smallest = #"""
    {"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 1, "gid": 2}},
     "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}
    """#

func parse(_ text: String) throws(SpecError) -> Spec { try Spec(parsing: Array(text.utf8)) }

@Suite struct SpecDecodingTests {
    @Test func readsWhatIsThere() throws {
        let spec = try parse(smallest)
        #expect(spec.ociVersion == "1.0.2")
        #expect(spec.root?.path == "rootfs")
        #expect(spec.root?.readonly == false)
        #expect(spec.process?.args == ["sh"])
        #expect(spec.process?.user.uid == 1)
        #expect(spec.process?.user.gid == 2)
        #expect(spec.linux.namespaces == [.init(.mount), .init(.pid)])
    }

    /// Wrong types and values: each is refused with the path of its field.
    @Test(arguments: [
        (#"{"ociVersion": 1}"#, "ociVersion"),
        (#"{}"#, "ociVersion"),
        (#"{"ociVersion": "1.0.0", "process": []}"#, "process"),
        (#"{"ociVersion": "1.0.0", "process": {"args": "sh"}}"#, "process.args"),
        (#"{"ociVersion": "1.0.0", "process": {"args": ["sh", 1]}}"#, "process.args[1]"),
        (#"{"ociVersion": "1.0.0", "process": {"args": ["a\u0000b"]}}"#, "process.args[0]"),
        (#"{"ociVersion": "1.0.0", "process": {"user": {"uid": "root"}}}"#, "process.user.uid"),
        (#"{"ociVersion": "1.0.0", "process": {"user": {"uid": -1}}}"#, "process.user.uid"),
        (#"{"ociVersion": "1.0.0", "process": {"user": {"uid": 1.5}}}"#, "process.user.uid"),
        (#"{"ociVersion": "1.0.0", "process": {"user": {"uid": 4294967296}}}"#, "process.user.uid"),
        (#"{"ociVersion": "1.0.0", "process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1}]}}"#, "process.rlimits[0].hard"),
        (#"{"ociVersion": "1.0.0", "root": {}}"#, "root.path"),
        (#"{"ociVersion": "1.0.0", "mounts": [{"destination": "/a"}, {"destination": 7}]}"#, "mounts[1].destination"),
        (#"{"ociVersion": "1.0.0", "annotations": {"a.b": 1}}"#, "annotations.a.b"),
        (#"{"ociVersion": "1.0.0", "hooks": {"prestart": [{"path": "sh"}]}}"#, "hooks.prestart[0].path"),
        (#"{"ociVersion": "1.0.0", "hooks": {"poststop": [{"path": "/sh", "timeout": 0}]}}"#, "hooks.poststop[0].timeout"),
        (#"{"ociVersion": "1.0.0", "linux": {"namespaces": [{"type": "moon"}]}}"#, "linux.namespaces[0].type"),
        (#"{"ociVersion": "1.0.0", "linux": {"namespaces": [{"type": "pid", "path": "x"}]}}"#, "linux.namespaces[0].path"),
        (#"{"ociVersion": "1.0.0", "linux": {"devices": [{"path": "/dev/x", "type": "z"}]}}"#, "linux.devices[0].type"),
        (#"{"ociVersion": "1.0.0", "linux": {"devices": [{"path": "/dev/x", "type": "c", "minor": 1}]}}"#, "linux.devices[0].major"),
        (#"{"ociVersion": "1.0.0", "linux": {"resources": {"memory": {"limit": "1g"}}}}"#, "linux.resources.memory.limit"),
        (
            #"{"ociVersion": "1.0.0", "linux": {"resources": {"devices": [{"allow": true, "access": "rx"}]}}}"#,
            "linux.resources.devices[0].access"
        ),
        (
            #"{"ociVersion": "1.0.0", "linux": {"seccomp": {"defaultAction": "A", "syscalls": [{"names": [], "action": "B"}]}}}"#,
            "linux.seccomp.syscalls[0].names"
        ),
    ])
    func refusesByFieldName(_ text: String, _ field: String) {
        let error = #expect(throws: SpecError.self) { try parse(text) }
        #expect(error?.field == field)
        #expect(error?.kind == .invalid)
        #expect(error?.description.contains("\n") == false)
        #expect(error?.description.hasPrefix("config.json: \(field): ") == true)
    }

    /// Fields of the specification that are not implemented are refused by name.
    @Test(arguments: [
        (#""process": {"commandLine": "x"}"#, "process.commandLine"),
        (#""linux": {"intelRdt": {"enableCMT": true}}"#, "linux.intelRdt.enableCMT"),
        (#""linux": {"personality": {"domain": "LINUX", "flags": ["X"]}}"#, "linux.personality.flags"),
        (#""windows": {}"#, "windows"), (#""vm": {}"#, "vm"), (#""solaris": {}"#, "solaris"),
    ])
    func refusesWhatIsNotImplemented(_ member: String, _ field: String) {
        let error = #expect(throws: SpecError.self) { try parse(#"{"ociVersion": "1.2.0", \#(member)}"#) }
        #expect(error?.kind == .notImplemented)
        #expect(error?.field == field)
    }

    /// config.md, "Extensibility": unknown properties are no error; null is absent.
    @Test func ignoresWhatNoSpecificationKnows() throws {
        let spec = try parse(#"{"ociVersion": "1.0.0", "futureField": {"x": [1]}, "windows": null, "linux": {"intelRdt": null, "new": 1}}"#)
        #expect(spec.linux == Spec.LinuxConfig())
    }

    @Test func readsUnlimitedInBothSpellings() throws {
        let text = #"{"ociVersion": "1.0.0", "process": {"rlimits": [{"type": "RLIMIT_CORE", "soft": -1, "hard": 18446744073709551615}]}}"#
        let limit = try #require(try parse(text).process?.rlimits.first)
        #expect(limit.soft == .max)
        #expect(limit.hard == .max)
    }

    @Test(arguments: ["", "{", "[]", "null", "\"x\"", "{\"ociVersion\": \"1.0.0\"} x", "\u{FEFF}{}"])
    func refusesWhatIsNoObject(_ text: String) {
        #expect(throws: SpecError.self) { try parse(text) }
    }

    @Test func refusesDeepNesting() {
        let deep = String(repeating: "[", count: 100_000)
        let error = #expect(throws: SpecError.self) { try parse(#"{"ociVersion": "1.0.0", "x": "# + deep) }
        #expect(error?.kind == .notJSON)
    }

    /// Ten megabytes are read, not refused.
    @Test func readsAHugeDocument() throws {
        let words = (0..<200_000).map { #""VARIABLE_NUMBER_\#($0)=some value that takes its place""# }.joined(separator: ",")
        let spec = try parse(#"{"ociVersion": "1.0.0", "process": {"env": [\#(words)]}}"#)
        #expect(spec.process?.env.count == 200_000)
    }
}

@Suite struct SpecEncodingTests {
    /// What is written is read back the same, with every field set.
    /// Other runtimes take a null for a value of the wrong type.
    @Test func writesNoNull() throws {
        let written = Spec().json.text()
        #expect(!written.contains("null"), "\(written)")
    }

    @Test func survivesARoundTrip() throws {
        var spec = try parse(smallest)
        spec.hostname = "h"
        spec.mounts = [Spec.Mount(destination: "/proc", type: "proc", source: "proc", options: ["ro"])]
        spec.hooks.poststop = [Spec.Hook(path: "/bin/x", args: ["x", "y"], env: ["A=B"], timeout: 3)]
        spec.annotations = ["b": "2", "a": "1"]
        spec.process?.capabilities = Spec.Capabilities(all: ["CAP_KILL"])
        spec.process?.rlimits = [Spec.ResourceLimit(type: "RLIMIT_CORE", soft: 0, hard: .max)]
        spec.process?.oomScoreAdj = -3
        spec.process?.user.additionalGids = [7]
        spec.linux.sysctl = ["net.ipv4.ip_forward": "1"]
        spec.linux.devices = [Spec.Device(path: "/dev/x", kind: .block, major: 8, minor: 1, fileMode: 0o600, uid: 1, gid: 2)]
        spec.linux.uidMappings = [Spec.IDMapping(containerID: 0, hostID: 1000, size: 10)]
        spec.linux.cgroupsPath = "/a/b"
        spec.linux.seccomp = Spec.Seccomp(defaultAction: "SCMP_ACT_ERRNO")
        spec.linux.seccomp?.syscalls = [
            Spec.SyscallRule(
                names: ["read"], action: "SCMP_ACT_ALLOW", args: [.init(index: 1, value: .max, valueTwo: 2, op: "SCMP_CMP_EQ")])
        ]
        var resources = Spec.Resources()
        resources.pidsLimit = -1
        resources.memory = Spec.Memory()
        resources.memory?.limit = 1 << 40
        resources.blockIO = Spec.BlockIO()
        resources.blockIO?.throttleReadBps = [.init(major: 8, minor: 0, rate: 5)]
        resources.rdma = ["mlx": Spec.RDMA(hcaHandles: 1)]
        resources.unified = ["memory.high": "max"]
        resources.devices = [Spec.DeviceRule(allow: false), Spec.DeviceRule(allow: true, type: "c", major: 1, minor: nil, access: "rw")]
        spec.linux.resources = resources
        #expect(try Spec(parsing: spec.json.serialized()) == spec)
    }
}
