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
                "intelRdt": ["enabled": false],
                "mountExtensions": ["idmap": ["enabled": false]],
            ],
            "annotations": ["org.clipper.runtime.version": .string(RuntimeCommand.version)],
        ]
    }

    private static func strings(_ names: [String]) -> JSONValue { .array(names.map { .string($0) }) }
}
