internal import JSON

/// A seccomp profile as a user writes it for Docker (`--security-opt seccomp=profile.json`): OCI's rules, each with
/// conditions on capabilities, architecture and kernel, and a map from an architecture to those it can also run.
///
/// `DockerSeccompProfile(parsing: bytes).resolve(…)` answers the OCI rules for one container on one machine.
public struct DockerSeccompProfile: Sendable, Equatable {
    /// Everything but the architectures of `archMap` and the conditional rules.
    private var base: Spec.Seccomp
    /// Native architecture, then its sub-architectures, in the words of OCI.
    private var architectureMap: [[String]] = []
    private var rules: [Rule] = []

    private struct Rule: Sendable, Equatable {
        var syscalls: Spec.SyscallRule
        var includes: Condition
        var excludes: Condition
    }

    private struct Condition: Sendable, Equatable {
        var capabilities: [String] = []
        var architectures: [String] = []
        var minimumKernel: Version?
    }

    private struct Version: Sendable, Equatable {
        var major: Int
        var minor: Int
    }

    /// Throws `SeccompFileError` for text that is not JSON, a wrong shape, a member that the format does not have.
    public init(parsing bytes: [UInt8]) throws(SeccompFileError) {
        do {
            self = try DockerSeccompProfile(SpecObject(try JSONValue(parsing: bytes)))
        } catch let error as SpecError {
            throw SeccompFileError(error.field.isEmpty ? error.message : "\(error.field): \(error.message)")
        } catch {
            throw SeccompFileError("\(error)")
        }
    }

    private init(_ fields: SpecObject) throws(SpecError) {
        try fields.allow(
            "defaultAction", "defaultErrnoRet", "architectures", "archMap", "flags", "listenerPath", "listenerMetadata", "syscalls")
        guard let action = try fields.string("defaultAction") else { throw SpecError.missing("defaultAction") }
        base = Spec.Seccomp(defaultAction: action)
        base.defaultErrnoRet = try fields.number("defaultErrnoRet")
        base.architectures = try fields.strings("architectures")
        base.flags = try fields.strings("flags")
        base.listenerPath = try fields.string("listenerPath")
        base.listenerMetadata = try fields.string("listenerMetadata")
        architectureMap = try fields.array("archMap") { (entry) throws(SpecError) in
            try entry.allow("architecture", "subArchitectures")
            guard let architecture = try entry.string("architecture") else { throw SpecError.missing("architecture") }
            return [architecture] + (try entry.strings("subArchitectures"))
        }
        if !base.architectures.isEmpty && !architectureMap.isEmpty {
            throw SpecError.invalid("archMap", "only one of architectures and archMap can be given")
        }
        rules = try fields.array("syscalls", Self.rule)
    }

    private static func rule(_ fields: SpecObject) throws(SpecError) -> Rule {
        try fields.allow("name", "names", "action", "errnoRet", "args", "includes", "excludes")
        var names = try fields.strings("names")
        if let name = try fields.string("name"), !name.isEmpty {
            if !names.isEmpty { throw SpecError.invalid("name", "only one of name and names can be given") }
            names = [name]
        }
        guard let action = try fields.string("action") else { throw SpecError.missing("action") }
        let arguments = try fields.array("args", Spec.SyscallArgument.init)
        return Rule(
            syscalls: Spec.SyscallRule(names: names, action: action, errnoRet: try fields.number("errnoRet"), args: arguments),
            includes: try fields.object("includes", Self.condition) ?? Condition(),
            excludes: try fields.object("excludes", Self.condition) ?? Condition())
    }

    private static func condition(_ fields: SpecObject) throws(SpecError) -> Condition {
        try fields.allow("caps", "arches", "minKernel")
        var condition = Condition(capabilities: try fields.strings("caps"), architectures: try fields.strings("arches"))
        condition.minimumKernel = try fields.value("minKernel") { (value) throws(SpecError) in
            let text = try SpecObject.text(value)
            let parts = text.split(separator: ".", omittingEmptySubsequences: false)
            guard parts.count == 2, let major = Int(parts[0]), let minor = Int(parts[1]) else {
                throw SpecError(message: "\(text.debugDescription) is no kernel version such as 4.8")
            }
            return Version(major: major, minor: minor)
        }
        return condition
    }

    /// The rules that hold for a container with these capabilities (its bounding set) on this machine.
    /// - Parameters:
    ///   - architecture: the machine's, as Go names it (`amd64`, `arm64`).
    ///   - kernel: major and minor version of the running kernel.
    public func resolve(capabilities: some Sequence<String>, architecture: String, kernel: (major: Int, minor: Int)) -> Spec.Seccomp {
        var result = base
        if let native = Self.nativeNames[architecture], let entry = architectureMap.first(where: { $0.first == native }) {
            result.architectures = entry
        }
        let held = Set(capabilities)
        for rule in rules where !rule.syscalls.names.isEmpty {
            let (includes, excludes) = (rule.includes, rule.excludes)
            if excludes.architectures.contains(architecture) || excludes.capabilities.contains(where: held.contains) { continue }
            if let excluded = excludes.minimumKernel, kernel >= (excluded.major, excluded.minor) { continue }
            if !includes.architectures.isEmpty && !includes.architectures.contains(architecture) { continue }
            if !includes.capabilities.allSatisfy(held.contains) { continue }
            if let minimum = includes.minimumKernel, kernel < (minimum.major, minimum.minor) { continue }
            result.syscalls.append(rule.syscalls)
        }
        return result
    }

    /// Go's names of architectures and OCI's.
    private static let nativeNames = [
        "386": "SCMP_ARCH_X86", "amd64": "SCMP_ARCH_X86_64", "arm": "SCMP_ARCH_ARM", "arm64": "SCMP_ARCH_AARCH64",
        "mips64": "SCMP_ARCH_MIPS64", "mips64n32": "SCMP_ARCH_MIPS64N32", "mipsel64": "SCMP_ARCH_MIPSEL64",
        "mips64le": "SCMP_ARCH_MIPSEL64", "mipsel64n32": "SCMP_ARCH_MIPSEL64N32", "s390x": "SCMP_ARCH_S390X",
        "ppc64le": "SCMP_ARCH_PPC64LE", "riscv64": "SCMP_ARCH_RISCV64", "loong64": "SCMP_ARCH_LOONGARCH64",
    ]
}

/// A seccomp profile file that cannot be used.
public struct SeccompFileError: Error, Equatable, Sendable, CustomStringConvertible {
    public let message: String

    init(_ message: String) { self.message = message }

    public var description: String { "seccomp profile: \(message)" }
}

extension SpecObject {
    /// Refuses members that the format does not have: a misspelt `excludes` would otherwise open what it should close.
    /// Comments pass, and the errno names with which Podman's profiles repeat their numbers; Docker skips both.
    fileprivate func allow(_ known: String...) throws(SpecError) {
        let skipped = ["comment", "errno", "defaultErrno"]
        let stranger = names.first { !known.contains($0) && !skipped.contains($0) && !$0.hasPrefix("$") && !$0.hasPrefix("_") }
        if let stranger { throw SpecError.invalid(stranger, "unknown member") }
    }
}
