internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// What a process is given before its program runs, for the first process and for those of `exec`.
struct ProcessPlan {
    let spec: Spec.Process
    let capabilities: CapabilitySets
    let rlimits: [ResourceLimit]
    let filter: SeccompFilter?
    let preserveFDs: Int
    let personality: Spec.Personality?
    let memoryPolicy: Spec.MemoryPolicy?
    /// Whether the filter's descriptor is sent as such. Its number alone needs less of a filtered process, but only
    /// root can fetch a descriptor out of one that is not dumpable.
    let sendsListener: Bool

    init(_ process: Spec.Process, _ linux: Spec.LinuxConfig, preserveFDs: Int, cacheDirectory: String?) throws {
        spec = process
        personality = linux.personality
        memoryPolicy = linux.memoryPolicy
        capabilities = try CapabilitySets(process.capabilities ?? Spec.Capabilities())
        rlimits = process.rlimits.compactMap { limit in
            ResourceLimitKind(name: limit.type).map { ResourceLimit($0, soft: limit.soft, hard: limit.hard) }
        }
        sendsListener = linux.seccomp?.listenerPath != nil && geteuid() != 0
        filter = try linux.seccomp.map { [sendsListener] (seccomp) throws in
            if sendsListener && seccomp.syscalls.contains(where: { $0.action == "SCMP_ACT_NOTIFY" && $0.names.contains("sendmsg") }) {
                throw SpecError.invalid("linux.seccomp.syscalls", "SCMP_ACT_NOTIFY cannot be used for sendmsg by a user who is not root")
            }
            let profile = try SeccompProfile(seccomp)
            if let cacheDirectory { return try SeccompCache(directory: cacheDirectory).filter(for: profile) }
            return try SeccompFilter.compile(profile)
        }
        self.preserveFDs = preserveFDs
    }
}

extension CapabilitySets {
    /// An unknown name is refused: a misspelt capability would otherwise be missing in silence. A known one that this
    /// host does not have itself is left out later (the specification asks not to fail: config.md, "capabilities").
    init(_ capabilities: Spec.Capabilities) throws(SpecError) {
        self.init()
        bounding = try Self.set(capabilities.bounding, "bounding")
        effective = try Self.set(capabilities.effective, "effective")
        permitted = try Self.set(capabilities.permitted, "permitted")
        inheritable = try Self.set(capabilities.inheritable, "inheritable")
        ambient = try Self.set(capabilities.ambient, "ambient")
        // The kernel raises an ambient capability only when it is permitted and inheritable.
        ambient.formIntersection(permitted.intersection(inheritable))
    }

    private static func set(_ names: [String], _ field: String) throws(SpecError) -> CapabilitySet {
        var result: CapabilitySet = []
        for (index, name) in names.enumerated() {
            guard let capability = Capability(name: name) else {
                throw SpecError.invalid("process.capabilities.\(field)[\(index)]", "unknown capability \"\(name)\"")
            }
            result.insert(CapabilitySet(capability))
        }
        return result
    }
}

extension SeccompProfile {
    /// The spec's words as the compiler's types; an unknown word is refused by its field.
    init(_ seccomp: Spec.Seccomp) throws {
        self.init(defaultAction: try Self.word(seccomp.defaultAction, "defaultAction", SeccompAction.init(rawValue:)))
        defaultErrnoRet = seccomp.defaultErrnoRet
        architectures = try seccomp.architectures.enumerated().map { (index, name) in
            try Self.word(name, "architectures[\(index)]", SeccompArchitecture.init(rawValue:))
        }
        flags = try seccomp.flags.enumerated().map { (index, name) in try Self.word(name, "flags[\(index)]", SeccompFlag.init(rawValue:)) }
        listenerPath = seccomp.listenerPath
        listenerMetadata = seccomp.listenerMetadata
        rules = try seccomp.syscalls.enumerated().map { (index, rule) in
            Rule(
                names: rule.names, action: try Self.word(rule.action, "syscalls[\(index)].action", SeccompAction.init(rawValue:)),
                errnoRet: rule.errnoRet,
                arguments: try rule.args.map { argument in
                    Argument(
                        index: argument.index, value: argument.value, valueTwo: argument.valueTwo,
                        comparison: try Self.word(argument.op, "syscalls[\(index)].args.op", SeccompComparison.init(rawValue:)))
                })
        }
    }

    private static func word<T>(_ word: String, _ field: String, _ make: (String) -> T?) throws(SpecError) -> T {
        guard let value = make(word) else { throw SpecError.invalid("linux.seccomp.\(field)", "unknown word \"\(word)\"") }
        return value
    }
}
