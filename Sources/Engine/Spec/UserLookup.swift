internal import EngineTypes
internal import OCIRuntimeSpec

/// Who a process of a container runs as: `user[:group]` looked up in the container's own /etc/passwd and /etc/group.
struct UserLookup {
    struct Account: Equatable {
        var uid: UInt32
        var gid: UInt32
        var additionalGroups: [UInt32]
        var home: String
    }

    private let passwd: [[String]]
    private let group: [[String]]

    /// The texts of passwd(5) and group(5); nil when the container has none.
    init(passwd: String?, group: String?) {
        self.passwd = Self.rows(passwd, minimum: 4)
        self.group = Self.rows(group, minimum: 3)
    }

    init(files: LayeredFiles) { self.init(passwd: files.readText("etc/passwd"), group: files.readText("etc/group")) }

    private static func rows(_ text: String?, minimum: Int) -> [[String]] {
        (text ?? "").split(separator: "\n").map { $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init) }
            .filter { $0.count >= minimum }
    }

    /// `specification` as USER has it; `extraGroups` are names or numbers of `--group-add`.
    func resolve(_ specification: String, extraGroups: [String] = []) throws(EngineError) -> Account {
        let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let user = parts.first ?? ""
        var account = Account(uid: 0, gid: 0, additionalGroups: [], home: "/")
        let entry =
            passwd.first { user.isEmpty ? $0[2] == "0" : $0[0] == user }
            ?? UInt32(user).flatMap { uid in passwd.first { UInt32($0[2]) == uid } }
        if let entry {
            guard let uid = UInt32(entry[2]), let gid = UInt32(entry[3]) else {
                throw .invalid("unable to find user \(user): bad line in /etc/passwd")
            }
            account = Account(uid: uid, gid: gid, additionalGroups: [], home: entry.count > 5 && !entry[5].isEmpty ? entry[5] : "/")
        } else if let uid = UInt32(user), uid <= Int32.max {
            account.uid = uid
        } else if Int64(user) != nil {
            throw Self.outOfRange
        } else if !user.isEmpty {
            throw .invalid("unable to find user \(user): no matching entries in passwd file")
        }
        if parts.count == 2, !parts[1].isEmpty {
            account.gid = try groupID(parts[1])
        } else if let name = entry?[0] {
            account.additionalGroups = group.filter { $0.count > 3 && $0[3].split(separator: ",").contains(Substring(name)) }.compactMap {
                UInt32($0[2])
            }
        }
        // Docker's own group is among the additional ones too: what a program drops by setgid(2) alone must not come back.
        account.additionalGroups.removeAll { $0 == account.gid }
        account.additionalGroups.insert(account.gid, at: 0)
        for name in extraGroups {
            let gid = try groupID(name)
            if !account.additionalGroups.contains(gid) { account.additionalGroups.append(gid) }
        }
        return account
    }

    private static let outOfRange = EngineError.invalid("uids and gids must be in range 0-2147483647")

    private func groupID(_ name: String) throws(EngineError) -> UInt32 {
        if let row = group.first(where: { $0[0] == name }), let gid = UInt32(row[2]) { return gid }
        if let gid = UInt32(name), gid <= Int32.max { return gid }
        if Int64(name) != nil { throw Self.outOfRange }
        throw .invalid("unable to find group \(name): no matching entries in group file")
    }
}
