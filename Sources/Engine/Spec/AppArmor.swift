public import EngineTypes
internal import Linux

/// The host's AppArmor, and who is confined by which profile. As in Docker: a container that asks for none has `docker-default`,
/// which the engine makes and loads when the kernel has no profile of that name; one that somebody else has loaded stays.
public final class AppArmor: Sendable {
    public static let defaultProfile = "docker-default"
    static let unconfined = "unconfined"

    /// Where the host's files are looked for; empty but in tests.
    private let root: String
    /// Where the profile's text is kept, for the parser and for who wants to read it.
    private let path: String
    /// Runs a program of the host with arguments.
    private let run: @Sendable (String, [String]) throws -> String
    /// One loads at a time: who needs the profile meanwhile waits for it.
    private let loading = Locked(())

    /// nil where the kernel has no AppArmor, or shows no policy to this daemon, and for a daemon that is in a container itself
    /// (systemd's container interface: the variable `container`), where the policy is the host's.
    /// - Parameters:
    ///   - directory: for the profile's text.
    ///   - container: the value of that variable.
    public convenience init?(directory: String, container: String?) {
        self.init(root: "", directory: directory, container: container, run: HostCommand.run)
    }

    init?(root: String, directory: String, container: String?, run: @escaping @Sendable (String, [String]) throws -> String) {
        self.root = root
        self.run = run
        path = "\(directory)/apparmor-\(Self.defaultProfile)"
        guard SecurityModules.hasAppArmor(root: root), container ?? "" == "", (try? Files.read(root + Self.loadedProfiles)) != nil
        else { return nil }
    }

    // MARK: Who has which profile

    /// The profile of a container's processes; nil: that of the daemon, for want of another.
    /// - Parameter wanted: what `--security-opt apparmor=` says, if anything.
    func profile(_ wanted: String?, isPrivileged: Bool) -> String? {
        if isPrivileged { return Self.unconfined }
        if let wanted, !wanted.isEmpty { return wanted }
        return parser != nil || isLoaded ? Self.defaultProfile : nil
    }

    /// What is to be told about containers that are not confined.
    public var warnings: [String] {
        guard profile(nil, isPrivileged: false) == nil else { return [] }
        return [
            "WARNING: apparmor_parser is not installed: containers run without the AppArmor profile \(Self.defaultProfile)"
        ]
    }

    // MARK: The default profile

    /// Sees to it that the kernel has the profile that a process is about to get, if it is the engine's own: updates of the
    /// host's policy may have unloaded it. Blocks.
    func prepare(_ profile: String?) throws(EngineError) {
        guard profile == Self.defaultProfile, !isLoaded else { return }
        try loadDefault()
    }

    /// Loads the profile when the kernel has none of that name, and apparmor_parser(8) is there to do it. Blocks.
    public func loadDefault() throws(EngineError) {
        let failure: String? = loading.withLock { _ in
            guard !isLoaded, let parser else { return nil }
            do { try load(with: parser) } catch { return "\(error)" }
            return nil
        }
        if let failure {
            throw EngineError(
                .system,
                "AppArmor enabled on system but the \(Self.defaultProfile) profile could not be loaded: \(failure)")
        }
    }

    private static let loadedProfiles = "/sys/kernel/security/apparmor/profiles"

    /// Lines are of the form `NAME (MODE)`.
    private var isLoaded: Bool {
        let text = (try? Files.readText(root + Self.loadedProfiles)) ?? ""
        return text.split(separator: "\n").contains { $0.hasPrefix("\(Self.defaultProfile) (") }
    }

    private var parser: String? {
        ["/usr/sbin/apparmor_parser", "/sbin/apparmor_parser"].map { root + $0 }.first(where: Files.exists)
    }

    private func load(with parser: String) throws {
        try Files.write(path, text)
        // Replaces one that came meanwhile, and keeps no compiled copy.
        _ = try run(parser, ["-Kr", path])
    }

    private var text: String {
        let parts = ["abi/3.0", "tunables/global", "abstractions/base"].filter { Files.exists("\(root)/etc/apparmor.d/\($0)") }
        return AppArmorProfile(name: Self.defaultProfile, daemon: ownProfile, parts: Set(parts)).text
    }

    /// The profile of this process: attr/current says `NAME (MODE)`, or `unconfined`.
    private var ownProfile: String {
        let text = (try? Files.readText("\(root)/proc/self/attr/current")) ?? ""
        guard let line = text.split(whereSeparator: { $0 == "\n" || $0 == "\0" }).first else { return Self.unconfined }
        guard let space = line.lastIndex(of: " "), line[space...].hasPrefix(" (") else { return String(line) }
        return String(line[..<space])
    }
}
