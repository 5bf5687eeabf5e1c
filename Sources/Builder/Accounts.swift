internal import Archive
internal import CLinux
internal import Glibc
internal import Linux

/// Names of users and groups as a root file system's own /etc/passwd and /etc/group have them.
struct Accounts {
    private let users: [(name: String, uid: UInt32, gid: UInt32)]
    private let groups: [(name: String, gid: UInt32)]

    /// Missing files know nobody.
    init(root: borrowing OwnedFD) {
        users = Self.records("/etc/passwd", root).compactMap { fields in
            guard fields.count >= 4, let uid = UInt32(fields[2]), let gid = UInt32(fields[3]) else { return nil }
            return (fields[0], uid, gid)
        }
        groups = Self.records("/etc/group", root).compactMap { fields in
            guard fields.count >= 3, let gid = UInt32(fields[2]) else { return nil }
            return (fields[0], gid)
        }
    }

    private static func records(_ path: String, _ root: borrowing OwnedFD) -> [[String]] {
        // A fifo or device in their place must not hold the build up.
        guard let file = try? root.openInRoot(path, O_RDONLY | O_NONBLOCK), let status = try? file.status(),
            status.st_mode & S_IFMT == S_IFREG, let bytes = try? file.readAll(limit: 16 << 20)
        else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
            line.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        }
    }

    /// `user`, `user:group`, by name or number. Without a group: the user's own, or the number itself (as Dockerfile's reference says).
    func owner(_ text: String) throws(BuildError) -> Owner {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, let user = parts.first else { throw failure("invalid chown string format: \(text)") }
        let known = users.first { $0.name == user }
        guard let uid = UInt32(user) ?? known?.uid else { throw failure("can't find uid for user \(user): no such user: \(user)") }
        guard parts.count == 2 else {
            let gid = UInt32(user) == nil ? known?.gid ?? uid : uid
            return Owner(uid: uid, gid: gid)
        }
        let group = parts[1]
        guard let gid = UInt32(group) ?? groups.first(where: { $0.name == group })?.gid else {
            throw failure("can't find gid for group \(group): no such group: \(group)")
        }
        return Owner(uid: uid, gid: gid)
    }

    private func failure(_ reason: String) -> BuildError {
        BuildError(.failed, "unable to convert uid/gid chown string to host mapping: \(reason)")
    }
}
