internal import EngineTypes
internal import Glibc
internal import Linux
public import Logging
internal import Supervision

/// What `userns-remap` names: `default`, `user`, `user:group`, `uid` or `uid:gid`.
public struct RemappedUser {
    /// Who `default` stands for.
    static let standardName = "dockremap"

    private let logger: Logger

    public init(logger: Logger) { self.logger = logger }

    /// The mapping that the setting means; nil for root, who cannot be mapped to itself. For `default` the user and its ranges of
    /// subordinate ids are made where they are missing.
    public func mapping(_ setting: String) async throws -> IdentityMapping? {
        let name = try await user(setting)
        if name == "root" {
            logger.warning("User namespaces: root cannot be remapped with itself; user namespaces are OFF")
            return nil
        }
        guard let uid = Self.uid(name) else { throw EngineError.invalid("Could not get user for username \(name)") }
        let owners = [name, "\(uid)"]
        let users = try SubordinateIDs(file: "/etc/subuid").mapping(of: owners)
        let groups = try SubordinateIDs(file: "/etc/subgid").mapping(of: owners)
        for (kind, ranges) in [("subuid", users), ("subgid", groups)] where ranges.isEmpty {
            throw EngineError.invalid("Can't create ID mappings: no \(kind) ranges found for user \"\(name)\"")
        }
        return IdentityMapping(name: name, users: users, groups: groups)
    }

    /// The user's name. The group, which may be given too, has to exist and means nothing more, as in dockerd.
    private func user(_ setting: String) async throws -> String {
        let parts = setting.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2 else { throw EngineError.invalid("Invalid user/group specification in --userns-remap: \"\(setting)\"") }
        let name: String
        if let uid = UInt32(parts[0]) {
            guard let known = getpwuid(uid) else { throw EngineError.invalid("Uid \(uid) has no entry in /etc/passwd") }
            name = String(cString: known.pointee.pw_name)
            if parts.count == 1, getgrgid(uid) == nil { throw EngineError.invalid("Gid \(uid) has no entry in /etc/group") }
        } else {
            let isStandard = parts[0] == "default"
            name = isStandard ? Self.standardName : parts[0]
            if Self.uid(name) == nil {
                guard isStandard else { throw EngineError.invalid("Error during uid lookup for \"\(name)\": no such user") }
                do { try await make(name) } catch {
                    throw EngineError.invalid("Error during \"\(name)\" user creation: \(error)", cause: error)
                }
                return name
            }
            if parts.count == 1, getgrnam(name) == nil {
                throw EngineError.invalid("Error during gid lookup for \"\(name)\": no such group")
            }
        }
        guard parts.count == 2 else { return name }
        if let gid = UInt32(parts[1]) {
            if getgrgid(gid) == nil { throw EngineError.invalid("Gid \(gid) has no entry in /etc/group") }
        } else if getgrnam(parts[1]) == nil {
            throw EngineError.invalid("Error during groupname lookup for \"\(parts[1])\": no such group")
        }
        return name
    }

    private static func uid(_ name: String) -> UInt32? { getpwnam(name).map { $0.pointee.pw_uid } }

    /// The path of a program of the host; nil when it has none.
    /// - Parameter isItself: as dockerd wants it of programs whose options differ: not a link to a program of another name.
    static func find(
        _ program: String, isItself: Bool = false, in directories: [String] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
    ) -> String? {
        directories.map { "\($0)/\(program)" }.first { path in
            guard access(path, X_OK) == 0 else { return false }
            guard isItself else { return true }
            guard let resolved = realpath(path, nil) else { return false }
            defer { free(resolved) }
            return String(cString: resolved).split(separator: "/").last.map(String.init) == program
        }
    }

    /// With the host's own programs, as dockerd does.
    private func make(_ name: String) async throws {
        let adding: [String]
        if let adduser = Self.find("adduser", isItself: true) {
            let options = ["--system", "--shell", "/bin/false", "--no-create-home", "--disabled-login", "--disabled-password", "--group"]
            adding = [adduser] + options + [name]
        } else if let useradd = Self.find("useradd", isItself: true) {
            adding = [useradd, "-r", "-s", "/bin/false", name]
        } else {
            throw EngineError(.system, "no useradd nor adduser binary found")
        }
        try await HostProgram.run(adding)
        for (file, option) in [("/etc/subuid", "-v"), ("/etc/subgid", "-w")] {
            let known = try SubordinateIDs(file: file)
            if known.ranges.contains(where: { $0.owner == name }) { continue }
            guard let usermod = Self.find("usermod") else { throw EngineError(.system, "no usermod binary found") }
            let first = try known.firstFree()
            try await HostProgram.run([usermod, option, "\(first)-\(first + SubordinateIDs.wanted - 1)", name])
        }
        logger.notice("made a user for user namespaces", metadata: ["user": "\(name)"])
    }
}
