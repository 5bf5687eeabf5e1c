import JSON
import Testing

@testable import Linux

@Suite struct SeccompDefaultProfileTests {
    /// Docker's own file, beside the checkout.
    private static let reference = "../shared/reference/seccomp-default.json"

    @Test(.enabled(if: Files.exists(reference), "the reference profile is not beside the checkout"))
    func tableIsTheReference() throws {
        let document = try JSONValue(parsing: try Files.read(Self.reference))
        let rules = try #require(document["syscalls"]?.arrayValue)
        #expect(rules.count == DefaultSeccompProfile.rules.count)
        for (wanted, rule) in zip(rules, DefaultSeccompProfile.rules) {
            func strings(_ group: String, _ name: String) -> [String] {
                wanted[group]?[name]?.arrayValue?.compactMap(\.stringValue) ?? []
            }
            let names = wanted["names"]?.arrayValue?.compactMap(\.stringValue) ?? []
            #expect(rule.names.split { $0 == " " || $0 == "\n" }.map(String.init) == names)
            #expect(rule.action.rawValue == wanted["action"]?.stringValue, "\(names)")
            #expect(rule.errnoRet.map(Int64.init) == wanted["errnoRet"]?.intValue, "\(names)")
            #expect(rule.capabilities == strings("includes", "caps"), "\(names)")
            #expect(rule.architectures == strings("includes", "arches"), "\(names)")
            #expect(rule.withoutCapabilities == strings("excludes", "caps"), "\(names)")
            #expect(rule.notArchitectures == strings("excludes", "arches"), "\(names)")
            #expect(rule.minimumKernel.map { "\($0.major).\($0.minor)" } == wanted["includes"]?["minKernel"]?.stringValue, "\(names)")
            let arguments = wanted["args"]?.arrayValue ?? []
            #expect(rule.arguments.count == arguments.count, "\(names)")
            for (argument, wanted) in zip(rule.arguments, arguments) {
                #expect(argument.index == UInt32(wanted["index"]?.intValue ?? -1))
                #expect(argument.value == wanted["value"]?.unsignedValue)
                #expect(argument.valueTwo == wanted["valueTwo"]?.unsignedValue ?? 0)
                #expect(argument.comparison.rawValue == wanted["op"]?.stringValue)
            }
        }
        let map = try #require(document["archMap"]?.arrayValue)
        #expect(map.count == DefaultSeccompProfile.architectures.count)
        for entry in map {
            let wanted =
                [entry["architecture"]?.stringValue ?? ""] + (entry["subArchitectures"]?.arrayValue ?? []).compactMap(\.stringValue)
            #expect(DefaultSeccompProfile.architectures.values.contains { $0.map(\.rawValue) == wanted }, "\(wanted)")
        }
    }

    private func filter(_ capabilities: [String] = [], architecture: String = "amd64") throws -> SeccompInterpreter {
        let profile = DefaultSeccompProfile.resolve(capabilities: capabilities, architecture: architecture, kernel: (6, 1))
        return SeccompInterpreter(instructions: try SeccompFilter.compile(profile).instructions)
    }

    @Test func ordinaryContainer() throws {
        let filter = try filter()
        func answer(_ number: Int, _ arguments: UInt64...) throws -> UInt32 { try filter.answer(to: .init(number, arguments)) }
        #expect(try answer(0) == .allow)
        #expect(try answer(165) == .errno(1), "mount")
        #expect(try answer(435) == .errno(38), "clone3, so that libc falls back to clone")
        #expect(try answer(56, 0x0001_0000) == .allow, "clone of a thread")
        #expect(try answer(56, 0x1000_0000) == .errno(1), "clone with CLONE_NEWUSER")
        #expect(try answer(272, 0x1000_0000) == .errno(1), "unshare")
        #expect(try answer(41, 2) == .allow, "socket AF_INET")
        #expect(try answer(41, 38) == .errno(1), "socket AF_ALG")
        #expect(try answer(41, 40) == .errno(1), "socket AF_VSOCK")
        #expect(try answer(135, 0xffff_ffff) == .allow, "personality query")
        #expect(try answer(135, 0x0040_000) == .errno(1), "personality ADDR_NO_RANDOMIZE")
        #expect(try answer(250) == .errno(1), "keyctl")
        #expect(try answer(600) == .errno(38), "a call of the future")
    }

    @Test func capabilitiesOpenTheirCalls() throws {
        let admin = try filter(["CAP_SYS_ADMIN"])
        #expect(try admin.answer(to: .init(165)) == .allow)
        #expect(try admin.answer(to: .init(435)) == .allow)
        #expect(try admin.answer(to: .init(56, [0x1000_0000])) == .allow)
        #expect(try admin.answer(to: .init(169)) == .errno(1), "reboot needs CAP_SYS_BOOT")
        #expect(try filter(["CAP_SYS_BOOT"]).answer(to: .init(169)) == .allow)
    }

    @Test func kernelAndArchitectureDecide() {
        func names(_ profile: SeccompProfile) -> Set<String> { Set(profile.rules.flatMap(\.names)) }
        let none: [String] = []
        #expect(!names(DefaultSeccompProfile.resolve(capabilities: none, architecture: "amd64", kernel: (4, 7))).contains("ptrace"))
        #expect(names(DefaultSeccompProfile.resolve(capabilities: none, architecture: "amd64", kernel: (4, 8))).contains("ptrace"))
        let arm = DefaultSeccompProfile.resolve(capabilities: none, architecture: "arm64", kernel: (6, 1))
        #expect(arm.architectures == [.aarch64, .arm])
        #expect(names(arm).contains("set_tls") && !names(arm).contains("arch_prctl"))
        #expect(DefaultSeccompProfile.resolve(capabilities: none, architecture: "amd64").architectures == [.x86_64, .x86, .x32])
        let s390 = DefaultSeccompProfile.resolve(capabilities: none, architecture: "s390x", kernel: (6, 1))
        #expect(s390.rules.first { $0.names == ["clone"] }?.arguments.first?.index == 1)
    }
}
