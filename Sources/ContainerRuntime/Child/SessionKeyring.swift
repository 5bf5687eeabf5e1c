internal import CLinux
internal import Glibc
internal import Linux

/// A session keyring of the container's own: it must not use the keys of whoever started it.
enum SessionKeyring {
    /// Joins a new keyring, named after the container or (nil) without a name. A kernel without keyrings, or a user
    /// without quota left for them, has none to share either.
    static func join(_ id: String?) throws {
        let result = id.map { clp_keyctl_join("_ses.\($0)") } ?? clp_keyctl_join(nil)
        if result >= 0 || errno == ENOSYS || errno == EDQUOT || errno == EPERM { return }
        throw SystemError("create session keyring")
    }
}
