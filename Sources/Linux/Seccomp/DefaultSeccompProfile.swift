internal import Glibc

/// The profile that a container gets unless told otherwise: the same rules as Docker's default.
public enum DefaultSeccompProfile {
    /// The rules for a container with these capabilities (`CAP_SYS_ADMIN`…, its bounding set), on this machine unless told
    /// otherwise. A system call that is not named fails with EPERM.
    /// - Parameters:
    ///   - architecture: as Go names it: `amd64`, `arm64`; nil is this machine's.
    ///   - kernel: major and minor version; nil is the running kernel's.
    public static func resolve(
        capabilities: some Sequence<String>, architecture: String? = nil, kernel: (major: Int, minor: Int)? = nil
    ) -> SeccompProfile {
        let held = Set(capabilities)
        let machine = architecture ?? SeccompHost.architecture
        let version = kernel ?? SeccompHost.kernelVersion
        var profile = SeccompProfile(defaultAction: .errno, defaultErrnoRet: UInt32(EPERM), architectures: architectures[machine] ?? [])
        for rule in rules {
            if !rule.architectures.isEmpty && !rule.architectures.contains(machine) { continue }
            if rule.notArchitectures.contains(machine) { continue }
            if !rule.capabilities.allSatisfy(held.contains) || rule.withoutCapabilities.contains(where: held.contains) { continue }
            if let minimum = rule.minimumKernel, version < minimum { continue }
            profile.rules.append(
                SeccompProfile.Rule(
                    names: rule.names.split { $0 == " " || $0 == "\n" }.map(String.init), action: rule.action, errnoRet: rule.errnoRet,
                    arguments: rule.arguments))
        }
        return profile
    }
}

/// What a profile's conditions are tested against.
public enum SeccompHost {
    /// This machine's architecture as Go and Docker's profiles name it.
    public static var architecture: String {
        #if arch(x86_64)
            "amd64"
        #elseif arch(arm64)
            "arm64"
        #elseif arch(riscv64)
            "riscv64"
        #else
            "unknown"
        #endif
    }

    /// Major and minor number of the running kernel; (0, 0) when its release cannot be read.
    public static var kernelVersion: (major: Int, minor: Int) {
        var name = utsname()
        guard uname(&name) == 0 else { return (0, 0) }
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        return numbers.count == 2 ? (numbers[0], numbers[1]) : (0, 0)
    }
}
