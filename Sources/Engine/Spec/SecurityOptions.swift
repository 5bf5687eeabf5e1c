internal import EngineTypes
internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// `--security-opt`, read and checked.
struct SecurityOptions {
    var noNewPrivileges = false
    var systemPathsUnconfined = false
    /// The profile that was asked for, `unconfined` among them; it is applied where the kernel has AppArmor, as in Docker.
    private(set) var appArmorProfile: String?
    /// SELinux labels that were asked for. They are for daemons with `selinux-enabled`, which dockerd is not by itself either.
    private var labels: [String] = []
    private let isPrivileged: Bool
    private var filter: Filter

    private enum Filter {
        case standard, unconfined
        case custom(DockerSeccompProfile)
    }

    /// What was asked for and is not applied on this host; dockerd passes over it without a word.
    func warnings(hasAppArmor: Bool) -> [String] {
        var result = labels.map { "SELinux is not enabled for this daemon: the label \($0) is not applied." }
        guard let profile = appArmorProfile, !["", AppArmor.unconfined].contains(profile) else { return result }
        if isPrivileged {
            result.append("A privileged container is not confined: the AppArmor profile \(profile) is not applied.")
        } else if !hasAppArmor && profile != AppArmor.defaultProfile {
            result.append("This host has no AppArmor: the profile \(profile) is not applied.")
        }
        return result
    }

    /// - Parameters:
    ///   - noNewPrivileges: what holds where no option says otherwise.
    ///   - seccomp: the same, for containers that are not privileged.
    init(
        _ options: [String], isPrivileged: Bool, noNewPrivileges: Bool = false, seccomp: SeccompDefault = .builtin
    ) throws(EngineError) {
        self.noNewPrivileges = noNewPrivileges
        self.isPrivileged = isPrivileged
        switch seccomp {
        case _ where isPrivileged: filter = .unconfined
        case .builtin: filter = .standard
        case .unconfined: filter = .unconfined
        case .file(_, let profile): filter = .custom(profile)
        }
        for option in options {
            let separator: Character = option.contains("=") ? "=" : ":"
            let parts = option.split(separator: separator, maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2 else {
                switch option {
                case "no-new-privileges": self.noNewPrivileges = true
                case "disable": break  // `label=disable`.
                default: throw .invalid("invalid --security-opt 1: \"\(option)\"")
                }
                continue
            }
            let value = parts[1]
            switch parts[0] {
            case "no-new-privileges":
                guard let flag = Self.flag(value) else { throw .invalid("invalid --security-opt 2: \"\(option)\"") }
                self.noNewPrivileges = flag
            case "systempaths" where value == "unconfined": systemPathsUnconfined = true
            case "seccomp": try readSeccomp(value)
            case "apparmor": appArmorProfile = value
            case "label": if value != "disable" { labels.append(value) }
            default: throw .invalid("invalid --security-opt 2: \"\(option)\"")
            }
        }
    }

    /// Go's booleans (strconv.ParseBool).
    private static func flag(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: nil
        }
    }

    private mutating func readSeccomp(_ value: String) throws(EngineError) {
        switch value {
        case "unconfined": filter = .unconfined
        case "builtin", "": filter = .standard
        default:
            do { filter = .custom(try DockerSeccompProfile(parsing: Array(value.utf8))) } catch {
                throw .invalid("Decoding seccomp profile failed: \(error)", cause: error)
            }
        }
    }

    /// The filter for a container with these capabilities; nil for none.
    func seccomp(capabilities: [String]) throws(EngineError) -> Spec.Seccomp? {
        switch filter {
        case .unconfined: return nil
        case .standard: return Self.standard(capabilities)
        case .custom(let profile):
            return profile.resolve(capabilities: capabilities, architecture: SeccompHost.architecture, kernel: SeccompHost.kernelVersion)
        }
    }

    /// Resolved profiles by capability set: resolving and converting the default takes longer than the rest of the configuration.
    private static let resolved = Locked<[[String]: Spec.Seccomp]>([:])

    private static func standard(_ capabilities: [String]) -> Spec.Seccomp {
        let key = capabilities.sorted()
        if let known = resolved.withLock({ $0[key] }) { return known }
        let seccomp = Spec.Seccomp(DefaultSeccompProfile.resolve(capabilities: capabilities))
        resolved.withLock { cache in
            if cache.count > 64 { cache.removeAll() }
            cache[key] = seccomp
        }
        return seccomp
    }
}

extension Spec.Seccomp {
    /// The default profile in the specification's words.
    init(_ profile: SeccompProfile) {
        self.init(defaultAction: profile.defaultAction.rawValue)
        defaultErrnoRet = profile.defaultErrnoRet
        architectures = profile.architectures.map(\.rawValue)
        flags = profile.flags.map(\.rawValue)
        syscalls = profile.rules.map { rule in
            Spec.SyscallRule(
                names: rule.names, action: rule.action.rawValue, errnoRet: rule.errnoRet,
                args: rule.arguments.map {
                    Spec.SyscallArgument(index: $0.index, value: $0.value, valueTwo: $0.valueTwo, op: $0.comparison.rawValue)
                })
        }
    }
}
