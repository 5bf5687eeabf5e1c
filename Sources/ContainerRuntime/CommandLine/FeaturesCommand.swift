internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// `features` (features.md): generated from the tables that the code works with.
enum FeaturesCommand {
    static let definition = CommandDefinition(
        name: "features", operands: "", summary: "tell what the runtime can do, as JSON", options: []
    ) { _, arguments in
        try arguments.expectNothing()
        print(document.text(indent: 4))
        return 0
    }

    static var document: JSONValue {
        [
            "ociVersionMin": .string(Spec.oldestVersion),
            "ociVersionMax": .string(Spec.newestVersion),
            "hooks": strings(Spec.HookPoint.allCases.map(\.rawValue)),
            "mountOptions": strings(MountOptions.known),
            "linux": [
                "namespaces": strings(Spec.NamespaceType.allCases.map(\.rawValue).sorted()),
                "capabilities": strings(Capability.allCases.map(\.name)),
                "cgroup": ["v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true],
                "seccomp": [
                    "enabled": true,
                    "actions": strings(SeccompAction.allCases.map(\.rawValue).sorted()),
                    "operators": strings(SeccompComparison.allCases.map(\.rawValue).sorted()),
                    "archs": strings(SeccompArchitecture.allCases.map(\.rawValue).sorted()),
                    "knownFlags": strings(SeccompFlag.allCases.map(\.rawValue).sorted()),
                    "supportedFlags": strings(SeccompFlag.allCases.map(\.rawValue).sorted()),
                ],
                "apparmor": ["enabled": true],
                "selinux": ["enabled": true],
                "intelRdt": [
                    "enabled": .bool(takes(linux: "intelRdt", ["closID": "features"])),
                    "schemata": .bool(takes(linux: "intelRdt", ["schemata": ["L3:0=f"]])),
                    "monitoring": .bool(takes(linux: "intelRdt", ["enableMonitoring": true])),
                ],
                "memoryPolicy": [
                    "modes": strings(Spec.MemoryPolicy.Mode.allCases.map(\.rawValue)),
                    "flags": strings(Spec.MemoryPolicy.Flag.allCases.map(\.rawValue)),
                ],
                "mountExtensions": ["idmap": ["enabled": .bool(takes("mounts", [idMappedMount]))]],
                "netDevices": ["enabled": .bool(takes(linux: "netDevices", ["eth0": ["name": "eth0"]]))],
            ],
            "annotations": [
                "org.clipper.runtime.version": .string(RuntimeCommand.version),
                "org.opencontainers.runc.checkpoint.enabled": "true",
            ],
        ]
    }

    private static let mapping: JSONValue = [["containerID": 0, "hostID": 1000, "size": 1]]
    private static let idMappedMount: JSONValue = [
        "destination": "/data", "type": "bind", "source": "/", "options": ["bind"], "uidMappings": mapping, "gidMappings": mapping,
    ]

    /// Whether a field of the specification is implemented: the decoder and the validator are asked, which refuse by name
    /// what is not.
    private static func takes(_ name: String, _ value: JSONValue) -> Bool {
        var document = JSONObject()
        document.append("ociVersion", .string(Spec.newestVersion))
        document.append("process", ["args": ["true"], "cwd": "/"])
        document.append("root", ["path": "/"])
        document.append(name, value)
        if name != "linux" { document.append("linux", ["namespaces": [["type": "mount"]]]) }
        do throws(SpecError) { try SpecValidation.validate(try Spec(.object(document))) } catch { return error.kind != .notImplemented }
        return true
    }

    private static func takes(linux name: String, _ value: JSONValue) -> Bool {
        var linux = JSONObject()
        linux.append("namespaces", [["type": "mount"], ["type": "network"]])
        linux.append(name, value)
        return takes("linux", .object(linux))
    }

    private static func strings(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
}
