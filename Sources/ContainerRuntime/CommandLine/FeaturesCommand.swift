internal import JSON
internal import Linux
internal import OCIRuntimeSpec
internal import Systemd

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
                "cgroup": [
                    "v1": .bool(CgroupLayout.Version.allCases.contains(.v1)),
                    "v2": .bool(CgroupLayout.Version.allCases.contains(.v2)),
                    "systemd": .bool(SystemdManager.Owner.allCases.contains(.system)),
                    "systemdUser": .bool(SystemdManager.Owner.allCases.contains(.user)),
                    "rdma": .bool(limits("rdma", ["mlx5_1": ["hcaHandles": 3]])),
                ],
                "seccomp": [
                    "enabled": true,
                    "actions": strings(SeccompAction.allCases.map(\.rawValue).sorted()),
                    "operators": strings(SeccompComparison.allCases.map(\.rawValue).sorted()),
                    "archs": strings(SeccompArchitecture.allCases.map(\.rawValue).sorted()),
                    "knownFlags": strings(SeccompFlag.allCases.map(\.rawValue).sorted()),
                    "supportedFlags": strings(SeccompFlag.allCases.map(\.rawValue).sorted()),
                ],
                "apparmor": ["enabled": .bool(labels(.apparmor))],
                "selinux": ["enabled": .bool(labels(.selinux))],
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
            "potentiallyUnsafeConfigAnnotations": strings([UnitAnnotations.prefix, CriuOptions.configAnnotation]),
            "annotations": [
                "io.github.seccomp.libseccomp.version": .string(SeccompHost.libraryVersion),
                "org.clipper.runtime.version": .string(RuntimeCommand.version),
                "org.opencontainers.runc.checkpoint.enabled": "true",
            ],
        ]
    }

    private static let mapping: JSONValue = [["containerID": 0, "hostID": 1000, "size": 1]]
    private static let idMappedMount: JSONValue = [
        "destination": "/data", "type": "bind", "source": "/", "options": ["bind"], "uidMappings": mapping, "gidMappings": mapping,
    ]

    /// Whether a field of the specification is implemented: the decoder is asked, which passes over what it does not know,
    /// and the validator, which refuses by name what is not built. A kernel without it is another matter.
    private static func takes(_ name: String, _ value: JSONValue) -> Bool {
        let process: JSONValue = ["args": ["true"], "cwd": "/"]
        var document = JSONObject()
        document.append("ociVersion", .string(Spec.newestVersion))
        document.append("process", name == "process" ? value : process)
        document.append("root", ["path": "/"])
        if name != "process" { document.append(name, value) }
        if name != "linux" { document.append("linux", ["namespaces": [["type": "mount"]]]) }
        do throws(SpecError) {
            let spec = try Spec(.object(document))
            guard let found = spec.json[name], contains(found, value) else { return false }
            try SpecValidation.validate(spec)
        } catch { return error.kind != .notImplemented }
        return true
    }

    /// Whether everything that was asked for came through the decoder.
    private static func contains(_ found: JSONValue, _ wanted: JSONValue) -> Bool {
        switch (found, wanted) {
        case (.object(let found), .object(let wanted)):
            wanted.members.allSatisfy { member in found[member.name].map { contains($0, member.value) } ?? false }
        case (.array(let found), .array(let wanted)):
            found.count == wanted.count && zip(found, wanted).allSatisfy { contains($0, $1) }
        default: found == wanted
        }
    }

    /// Whether a security module's label is taken for the process, and put there by `SecurityModule`.
    private static func labels(_ module: SecurityModule) -> Bool {
        SecurityModule.allCases.contains(module) && takes("process", ["args": ["true"], "cwd": "/", module.field: "label"])
    }

    /// Whether a limit of the specification becomes a limit of the controller of that name.
    private static func limits(_ controller: String, _ value: JSONValue) -> Bool {
        var resources = JSONObject()
        resources.append(controller, value)
        guard takes(linux: "resources", .object(resources)),
            let decoded = try? Spec.Resources(parsing: JSONValue.object(resources).serialized()),
            let limits = try? CgroupResources(decoded)
        else { return false }
        return limits.needed.contains(controller)
    }

    private static func takes(linux name: String, _ value: JSONValue) -> Bool {
        var linux = JSONObject()
        linux.append("namespaces", [["type": "mount"], ["type": "network"]])
        linux.append(name, value)
        return takes("linux", .object(linux))
    }

    private static func strings(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
}
