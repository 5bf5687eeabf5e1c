import JSON
import Linux
import Testing

@testable import OCIRuntimeSpec

@Suite struct DockerSeccompProfileTests {
    private static let reference = "../shared/reference/seccomp-default.json"

    private func parse(_ text: String) throws -> DockerSeccompProfile { try DockerSeccompProfile(parsing: Array(text.utf8)) }

    private func resolve(
        _ text: String, _ capabilities: [String] = [], architecture: String = "amd64", kernel: (major: Int, minor: Int) = (6, 1)
    ) throws -> Spec.Seccomp {
        try parse(text).resolve(capabilities: capabilities, architecture: architecture, kernel: kernel)
    }

    private func message(_ text: String) -> String {
        do {
            _ = try parse(text)
            return "no error"
        } catch { return "\(error)" }
    }

    /// Docker's own file and the built-in table are the same profile, whatever the container may do.
    @Test(
        .enabled(if: Files.exists(reference), "the reference profile is not beside the checkout"),
        arguments: [[], ["CAP_SYS_ADMIN"], ["CAP_SYS_PTRACE", "CAP_BPF", "CAP_SYS_TIME"]])
    func referenceResolvesLikeTheTable(capabilities: [String]) throws {
        let profile = try DockerSeccompProfile(parsing: try Files.read(Self.reference))
        for architecture in ["amd64", "arm64", "s390x", "riscv64"] {
            for kernel in [(4, 7), (6, 1)] as [(major: Int, minor: Int)] {
                let file = profile.resolve(capabilities: capabilities, architecture: architecture, kernel: kernel)
                let table = DefaultSeccompProfile.resolve(capabilities: capabilities, architecture: architecture, kernel: kernel)
                #expect(file.defaultAction == table.defaultAction.rawValue && file.defaultErrnoRet == table.defaultErrnoRet)
                #expect(file.architectures == table.architectures.map(\.rawValue), "\(architecture)")
                #expect(file.syscalls.map(\.names) == table.rules.map(\.names), "\(architecture)")
                #expect(file.syscalls.map(\.action) == table.rules.map(\.action.rawValue))
                #expect(file.syscalls.map { $0.args.map(\.value) } == table.rules.map { $0.arguments.map(\.value) })
            }
        }
    }

    @Test func conditionsDecide() throws {
        let text = """
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
              {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_X", "CAP_Y"]}},
              {"names": ["b"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_X", "CAP_Z"]}},
              {"names": ["c"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64", "amd64"]}},
              {"names": ["d"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
              {"names": ["e"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "5.10"}},
              {"names": ["f"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.10"}},
              {"names": [], "action": "SCMP_ACT_ALLOW"}]}
            """
        func names(_ capabilities: [String], _ architecture: String, _ kernel: (major: Int, minor: Int)) throws -> String {
            try resolve(text, capabilities, architecture: architecture, kernel: kernel).syscalls.flatMap(\.names).joined()
        }
        #expect(try names([], "amd64", (5, 10)) == "bce")
        #expect(try names(["CAP_X"], "amd64", (5, 9)) == "cf")
        #expect(try names(["CAP_X", "CAP_Y"], "arm64", (6, 0)) == "acde")
        #expect(try names(["CAP_Z"], "riscv64", (4, 19)) == "df")
    }

    @Test func everyMemberArrives() throws {
        let result = try resolve(
            """
            {"defaultAction": "SCMP_ACT_KILL", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
             "listenerPath": "/run/l", "listenerMetadata": "m", "comment": "free", "$schema": "x", "syscalls": [
              {"name": "read", "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "comment": "c", "args": [
                {"index": 1, "value": 18446744073709551615, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]},
              {"names": ["write"], "action": "SCMP_ACT_LOG", "args": null, "includes": {}, "excludes": {}}]}
            """)
        var expected = Spec.Seccomp(defaultAction: "SCMP_ACT_KILL")
        expected.defaultErrnoRet = 38
        expected.architectures = ["SCMP_ARCH_X86"]
        expected.flags = ["SECCOMP_FILTER_FLAG_LOG"]
        expected.listenerPath = "/run/l"
        expected.listenerMetadata = "m"
        let argument = Spec.SyscallArgument(index: 1, value: .max, valueTwo: 2, op: "SCMP_CMP_MASKED_EQ")
        expected.syscalls = [
            Spec.SyscallRule(names: ["read"], action: "SCMP_ACT_ERRNO", errnoRet: 5, args: [argument]),
            Spec.SyscallRule(names: ["write"], action: "SCMP_ACT_LOG"),
        ]
        #expect(result == expected)
    }

    @Test func architectureMapIsForTheNativeOne() throws {
        let text =
            #"{"defaultAction":"SCMP_ACT_ALLOW","archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}]}"#
        #expect(try resolve(text).architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
        #expect(try resolve(text, architecture: "arm64").architectures.isEmpty)
    }

    private static let mistakes: [(String, String)] = [
        ("", "invalid JSON at line 1, column 1"), ("{", "invalid JSON"), ("[]", "expected an object, found array"),
        ("{}", "defaultAction: is required"), (#"{"defaultAction":1}"#, "defaultAction: expected a string"),
        (#"{"defaultAction":"x","syscals":[]}"#, "syscals: unknown member"),
        (#"{"defaultAction":"x","syscalls":[{"names":["a"]}]}"#, "syscalls[0].action: is required"),
        (#"{"defaultAction":"x","syscalls":[{"name":"a","names":["b"],"action":"y"}]}"#, "only one of name and names"),
        (#"{"defaultAction":"x","syscalls":[{"names":["a"],"action":"y","exclude":{}}]}"#, "syscalls[0].exclude: unknown member"),
        (#"{"defaultAction":"x","syscalls":[{"names":["a"],"action":"y","includes":{"minKernel":"4"}}]}"#, "is no kernel version"),
        (#"{"defaultAction":"x","syscalls":[{"names":["a"],"action":"y","args":[{"index":6,"value":1,"op":"z"}]}]}"#, "args[0].index"),
        (#"{"defaultAction":"x","architectures":["a"],"archMap":[{"architecture":"b"}]}"#, "only one of architectures and archMap"),
        (#"{"defaultAction":"x","archMap":[{}]}"#, "archMap[0].architecture: is required"),
    ]

    @Test(arguments: mistakes) func mistakesAreNamed(text: String, part: String) {
        let message = message(text)
        #expect(message.hasPrefix("seccomp profile: ") && message.contains(part), "\(message)")
    }
}
