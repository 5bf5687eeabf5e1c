internal import CLinux
internal import Glibc

/// A compiled profile: a classic BPF program that the kernel runs at each system call (seccomp(2)).
public struct SeccompFilter: Sendable, Hashable {
    /// The program, eight bytes (`struct sock_filter`) each.
    public let instructions: [UInt64]
    /// SECCOMP_FILTER_FLAG_* for loading.
    public let flags: UInt32
    /// Names in the profile that no system call here has; skipped, for the log.
    public let skippedNames: [String]

    init(instructions: [UInt64], flags: UInt32, skippedNames: [String]) {
        self.instructions = instructions
        self.flags = flags
        self.skippedNames = skippedNames
    }

    /// The kernel's limit (BPF_MAXINSNS).
    static let maximumInstructions = 4096

    /// Compiles with libseccomp: ten milliseconds for Docker's default profile. `SeccompCache` keeps the result.
    public static func compile(_ profile: SeccompProfile) throws(SeccompError) -> SeccompFilter {
        var compiler = try SeccompCompiler(profile)
        try compiler.addRules()
        let instructions = try compiler.enosysPrologue() + compiler.export()
        if instructions.count > maximumInstructions {
            throw .invalid("the filter has \(instructions.count) instructions, the kernel takes \(maximumInstructions)")
        }
        return SeccompFilter(instructions: instructions, flags: loadFlags(of: profile), skippedNames: compiler.skippedNames)
    }

    /// TSYNC is left out: the program that loads the filter has one thread.
    static func loadFlags(of profile: SeccompProfile) -> UInt32 {
        var flags: UInt32 = 0
        if profile.flags.contains(.log) { flags |= UInt32(SECCOMP_FILTER_FLAG_LOG) }
        if profile.flags.contains(.specAllow) { flags |= UInt32(SECCOMP_FILTER_FLAG_SPEC_ALLOW) }
        if profile.rules.contains(where: { $0.action == .notify }) {
            flags |= UInt32(SECCOMP_FILTER_FLAG_NEW_LISTENER)
            if profile.flags.contains(.waitKillableRecv) { flags |= UInt32(SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV) }
        }
        return flags
    }

    /// Puts the filter on the calling thread for good. Needs no_new_privs or CAP_SYS_ADMIN. Returns the notify descriptor
    /// (close-on-exec) when the profile has the action `notify`. Allocates nothing: fit for the time between clone and exec.
    @discardableResult
    public func load() throws(SystemError) -> OwnedFD? {
        let flags = self.flags
        let result = try retrying("load seccomp filter") {
            instructions.withUnsafeBytes { clp_seccomp_load(flags, $0.baseAddress, UInt16($0.count / 8)) }
        }
        return flags & UInt32(SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0 ? OwnedFD(owning: result) : nil
    }
}
