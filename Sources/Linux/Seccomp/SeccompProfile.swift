/// Which system calls a container may make: OCI's `linux.seccomp` (runtime-spec, config-linux.md, "Seccomp").
///
/// The raw values of the enumerations are OCI's own words, so that a spec converts both ways.
public struct SeccompProfile: Sendable, Hashable {
    public var defaultAction: SeccompAction
    /// errno of `defaultAction` when it returns one; nil is EPERM.
    public var defaultErrnoRet: UInt32?
    /// Empty: the native architecture only.
    public var architectures: [SeccompArchitecture]
    public var flags: [SeccompFlag]
    /// Unix socket that takes the notify descriptor; for `SeccompAction.notify`.
    public var listenerPath: String?
    public var listenerMetadata: String?
    public var rules: [Rule]

    public init(
        defaultAction: SeccompAction, defaultErrnoRet: UInt32? = nil, architectures: [SeccompArchitecture] = [], flags: [SeccompFlag] = [],
        listenerPath: String? = nil, listenerMetadata: String? = nil, rules: [Rule] = []
    ) {
        self.defaultAction = defaultAction
        self.defaultErrnoRet = defaultErrnoRet
        self.architectures = architectures
        self.flags = flags
        self.listenerPath = listenerPath
        self.listenerMetadata = listenerMetadata
        self.rules = rules
    }

    /// System calls by name, what to do with them, and the conditions on their arguments (all must hold).
    public struct Rule: Sendable, Hashable {
        public var names: [String]
        public var action: SeccompAction
        public var errnoRet: UInt32?
        public var arguments: [Argument]

        public init(names: [String], action: SeccompAction, errnoRet: UInt32? = nil, arguments: [Argument] = []) {
            self.names = names
            self.action = action
            self.errnoRet = errnoRet
            self.arguments = arguments
        }
    }

    public struct Argument: Sendable, Hashable {
        /// 0–5.
        public var index: UInt32
        public var value: UInt64
        /// Only for `maskedEqual`, where `value` is the mask and this the datum.
        public var valueTwo: UInt64
        public var comparison: SeccompComparison

        public init(index: UInt32, value: UInt64, valueTwo: UInt64 = 0, comparison: SeccompComparison) {
            self.index = index
            self.value = value
            self.valueTwo = valueTwo
            self.comparison = comparison
        }
    }
}

public enum SeccompAction: String, Sendable, Hashable, CaseIterable {
    /// Kills the thread: what SCMP_ACT_KILL has always meant.
    case kill = "SCMP_ACT_KILL"
    case killThread = "SCMP_ACT_KILL_THREAD"
    case killProcess = "SCMP_ACT_KILL_PROCESS"
    case trap = "SCMP_ACT_TRAP"
    case errno = "SCMP_ACT_ERRNO"
    case trace = "SCMP_ACT_TRACE"
    case allow = "SCMP_ACT_ALLOW"
    case log = "SCMP_ACT_LOG"
    case notify = "SCMP_ACT_NOTIFY"

    /// Throws `SeccompError.unknown` for any other word.
    public init(name: String) throws(SeccompError) {
        guard let known = SeccompAction(rawValue: name) else { throw .unknown(kind: "action", name: name) }
        self = known
    }
}

public enum SeccompArchitecture: String, Sendable, Hashable, CaseIterable {
    case x86 = "SCMP_ARCH_X86"
    case x86_64 = "SCMP_ARCH_X86_64"
    case x32 = "SCMP_ARCH_X32"
    case arm = "SCMP_ARCH_ARM"
    case aarch64 = "SCMP_ARCH_AARCH64"
    case mips = "SCMP_ARCH_MIPS"
    case mips64 = "SCMP_ARCH_MIPS64"
    case mips64n32 = "SCMP_ARCH_MIPS64N32"
    case mipsel = "SCMP_ARCH_MIPSEL"
    case mipsel64 = "SCMP_ARCH_MIPSEL64"
    case mipsel64n32 = "SCMP_ARCH_MIPSEL64N32"
    case ppc = "SCMP_ARCH_PPC"
    case ppc64 = "SCMP_ARCH_PPC64"
    case ppc64le = "SCMP_ARCH_PPC64LE"
    case s390 = "SCMP_ARCH_S390"
    case s390x = "SCMP_ARCH_S390X"
    case parisc = "SCMP_ARCH_PARISC"
    case parisc64 = "SCMP_ARCH_PARISC64"
    case riscv64 = "SCMP_ARCH_RISCV64"
    case loongarch64 = "SCMP_ARCH_LOONGARCH64"
    case m68k = "SCMP_ARCH_M68K"
    case sh = "SCMP_ARCH_SH"
    case sheb = "SCMP_ARCH_SHEB"

    /// Throws `SeccompError.unknown` for any other word.
    public init(name: String) throws(SeccompError) {
        guard let known = SeccompArchitecture(rawValue: name) else { throw .unknown(kind: "architecture", name: name) }
        self = known
    }
}

public enum SeccompFlag: String, Sendable, Hashable, CaseIterable {
    /// All threads get the filter; we have one, so it changes nothing.
    case tsync = "SECCOMP_FILTER_FLAG_TSYNC"
    case log = "SECCOMP_FILTER_FLAG_LOG"
    case specAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
    case waitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"

    /// Throws `SeccompError.unknown` for any other word.
    public init(name: String) throws(SeccompError) {
        guard let known = SeccompFlag(rawValue: name) else { throw .unknown(kind: "flag", name: name) }
        self = known
    }
}

public enum SeccompComparison: String, Sendable, Hashable, CaseIterable {
    case notEqual = "SCMP_CMP_NE"
    case less = "SCMP_CMP_LT"
    case lessOrEqual = "SCMP_CMP_LE"
    case equal = "SCMP_CMP_EQ"
    case greaterOrEqual = "SCMP_CMP_GE"
    case greater = "SCMP_CMP_GT"
    case maskedEqual = "SCMP_CMP_MASKED_EQ"

    /// Throws `SeccompError.unknown` for any other word.
    public init(name: String) throws(SeccompError) {
        guard let known = SeccompComparison(rawValue: name) else { throw .unknown(kind: "operator", name: name) }
        self = known
    }
}

/// A profile that cannot become a filter.
public enum SeccompError: Error, Equatable, Sendable, CustomStringConvertible {
    /// `kind` is action, architecture, flag or operator.
    case unknown(kind: String, name: String)
    case invalid(String)
    /// libseccomp refused; `code` is its errno.
    case compile(operation: String, code: Int32)

    public var description: String {
        switch self {
        case .unknown(let kind, let name): "seccomp: unknown \(kind) \(name.debugDescription)"
        case .invalid(let reason): "seccomp: \(reason)"
        case .compile(let operation, let code): "seccomp: \(operation): \(SystemError.text(of: code))"
        }
    }
}
