import EngineTypes
import Linux
import OCIRuntimeSpec
import Testing

@testable import Engine

@Suite struct DeviceRequestTests {
    private let scratch: Scratch

    init() throws {
        scratch = try Scratch()
        try scratch.write(
            "static/acme.json",
            """
            {"cdiVersion": "0.6.0", "kind": "acme.com/unit",
             "devices": [
               {"name": "zero", "containerEdits": {
                 "env": ["UNIT=zero", "PATH=/acme"],
                 "deviceNodes": [{"path": "/dev/unit0", "hostPath": "/dev/zero", "permissions": "r"}],
                 "additionalGids": [0, 44]}},
               {"name": "null", "containerEdits": {
                 "deviceNodes": [{"path": "/dev/null", "fileMode": 438, "uid": 5}],
                 "mounts": [{"hostPath": "/acme/lib", "containerPath": "/usr/lib/acme", "options": ["ro", "bind"]}],
                 "hooks": [{"hookName": "createContainer", "path": "/acme/hook", "args": ["hook", "x"]}]}}],
             "containerEdits": {"env": ["ACME=1"]}}
            """)
    }

    private var directories: [String] { ["\(scratch.path)/static", "\(scratch.path)/dynamic"] }

    private func request(_ driver: String?, _ ids: [String] = [], capabilities: [[String]]? = nil, count: Int? = nil) -> DeviceRequest {
        var request = DeviceRequest()
        (request.Driver, request.DeviceIDs, request.Capabilities, request.Count) = (driver, ids, capabilities, count)
        return request
    }

    private func apply(_ requests: DeviceRequest...) throws -> Spec {
        var spec = Spec()
        spec.process = Spec.Process()
        spec.process?.env = ["PATH=/bin", "A=1"]
        try DeviceRequests(requests, directories: directories).apply(to: &spec)
        return spec
    }

    @Test func editsOfFileAndDevice() throws {
        let spec = try apply(request("cdi", ["acme.com/unit=zero", "acme.com/unit=null"]))
        let process = try #require(spec.process)
        #expect(process.env == ["A=1", "ACME=1", "UNIT=zero", "PATH=/acme"])
        #expect(process.user.additionalGids == [44])
        let zero = try #require(spec.linux.devices.first { $0.path == "/dev/unit0" })
        #expect(zero.kind == .character && zero.major == 1 && zero.minor == 5 && zero.fileMode == nil)
        let null = try #require(spec.linux.devices.first { $0.path == "/dev/null" })
        #expect(null.minor == 3 && null.fileMode == 0o666 && null.uid == 5)
        #expect(
            spec.linux.resources?.devices == [
                Spec.DeviceRule(allow: true, type: "c", major: 1, minor: 5, access: "r"),
                Spec.DeviceRule(allow: true, type: "c", major: 1, minor: 3, access: "rwm"),
            ])
        #expect(
            spec.mounts == [Spec.Mount(destination: "/usr/lib/acme", type: "bind", source: "/acme/lib", options: ["ro", "bind"])])
        #expect(spec.hooks.createContainer == [Spec.Hook(path: "/acme/hook", args: ["hook", "x"])])
    }

    @Test func whatCannotBeResolved() {
        #expect(
            message { _ = try apply(request("cdi", ["acme.com/unit=zero", "acme.com/unit=nine", "x"])) }
                == "CDI device injection failed: unresolvable CDI devices acme.com/unit=nine, x")
        #expect(
            message { _ = try apply(request("", capabilities: [["gpu", "nvidia"], ["x"]], count: -1)) }
                == "could not select device driver \"\" with capabilities: [[gpu nvidia] [x]]")
        #expect(
            message { _ = try apply(request("nvidia", capabilities: [["gpu"]])) }
                == "could not select device driver \"nvidia\" with capabilities: [[gpu]]")
        #expect(message { _ = try apply(request("cdi", ["acme.com/unit=zero"], count: 1)) }?.contains("DeviceRequests.Count") == true)
    }

    @Test func theLaterDirectoryWins() throws {
        try scratch.write(
            "dynamic/acme.json",
            #"{"cdiVersion": "0.6.0", "kind": "acme.com/unit", "devices": [{"name": "zero", "containerEdits": {"env": ["UNIT=late"]}}]}"#)
        #expect(try apply(request("cdi", ["acme.com/unit=zero"])).process?.env.last == "UNIT=late")
        #expect(CDIRegistry(directories: directories).names == ["acme.com/unit=null", "acme.com/unit=zero"])
    }

    @Test func filesInYAML() throws {
        try scratch.write(
            "dynamic/gadget.yaml",
            """
            ---
            cdiVersion: 0.5.0
            kind: acme.com/gadget
            devices:
            - name: "0"
              containerEdits:
                deviceNodes:
                - path: /dev/gadget
                  type: c
                  major: 1
                  minor: 7
                  fileMode: 0o640
                env: [GADGET=yes]
            """)
        let spec = try apply(request("cdi", ["acme.com/gadget=0"]))
        #expect(spec.process?.env.last == "GADGET=yes")
        let node = try #require(spec.linux.devices.first)
        #expect(node.path == "/dev/gadget" && node.major == 1 && node.minor == 7 && node.fileMode == 0o640)
    }

    @Test func badFilesAreLeftOutAndNamed() throws {
        try scratch.write("static/bad.json", "{")
        try scratch.write("static/kind.json", #"{"cdiVersion": "0.6.0", "kind": "acme", "devices": []}"#)
        try scratch.write(
            "static/twice.json",
            #"{"cdiVersion": "0.6.0", "kind": "acme.com/unit", "devices": [{"name": "zero", "containerEdits": {}}]}"#)
        let registry = CDIRegistry(directories: directories)
        #expect(registry.names == ["acme.com/unit=null"])
        #expect(registry.problems.count == 3 && registry.problems.contains { $0.contains("invalid kind \"acme\"") })
        #expect(message { _ = try apply(request("cdi", ["acme.com/unit=zero"])) }?.contains("conflicting device") == true)
    }

    @Test(arguments: [
        ("vendor.com/class=name", true), ("v/c=0", true), ("v/c=a:b.c-1", true), ("vendor.com/class", false), ("class=name", false),
        ("v/c=", false), ("v/c=-a", false), ("1v/c=a", false), ("/dev/null", false), ("v/c/d=e", false),
    ])
    func names(_ text: String, _ isValid: Bool) { #expect((CDIDeviceName(text)?.description == text) == isValid) }
}
