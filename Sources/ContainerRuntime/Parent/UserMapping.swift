internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// Writes the ids of a new user namespace (user_namespaces(7)): by itself as root, and for an ordinary user either the one
/// id that is its own, or with newuidmap(1) and newgidmap(1) those of /etc/subuid and /etc/subgid.
struct UserMapping {
    let pid: Int32

    func write(uids: [Spec.IDMapping], gids: [Spec.IDMapping]) throws {
        let uid = geteuid()
        if uid == 0 {
            try writeMap("uid_map", uids)
            return try writeMap("gid_map", gids)
        }
        if Self.isOwn(uids, uid) { try writeMap("uid_map", uids) } else { try delegate("newuidmap", uids) }
        if Self.isOwn(gids, getegid()) {
            // Or dropping a group could open what is closed to that group alone (CVE-2014-8989).
            try Files.write("/proc/\(pid)/setgroups", "deny", flags: O_WRONLY)
            try writeMap("gid_map", gids)
        } else {
            try delegate("newgidmap", gids)
        }
    }

    private static func isOwn(_ mappings: [Spec.IDMapping], _ id: UInt32) -> Bool {
        mappings.count == 1 && mappings[0].size == 1 && mappings[0].hostID == id
    }

    private func writeMap(_ file: String, _ mappings: [Spec.IDMapping]) throws {
        let text = mappings.mapText
        try Files.write("/proc/\(pid)/\(file)", text, flags: O_WRONLY)
    }

    /// Set-user-ID programs of the host, which look up what the user may have.
    private func delegate(_ program: String, _ mappings: [Spec.IDMapping]) throws {
        guard let path = Self.find(program) else {
            throw RuntimeError(
                kind: .system(ENOENT),
                message: "map users: \(program) is not installed (package uidmap); without it only the user's own id can be mapped")
        }
        let output = OwnedFD(owning: try retrying("create file in memory") { clp_memfd_create("output", UInt32(MFD_CLOEXEC)) })
        let arguments = [program, "\(pid)"] + mappings.flatMap { ["\($0.containerID)", "\($0.hostID)", "\($0.size)"] }
        let outputNumber = output.raw
        let child = try ClonedProcess.clone(namespaces: 0) {
            clp_reset_signals()
            guard dup2(outputNumber, 2) == 2 else { return 127 }
            _ = clp_close_range(3, UInt32.max, UInt32(CLOSE_RANGE_CLOEXEC))
            return Program.withCStrings(arguments) { argv in
                execve(path, argv, Glibc.environ)
                return 127
            }
        }
        let code = try ProcessStatus.reap(child.pid)
        if code == 0 { return }
        lseek(output.raw, 0, SEEK_SET)
        let text = String(decoding: (try? output.readAll(limit: 4096)) ?? [], as: UTF8.self)
        let words = text.split(whereSeparator: \.isNewline).joined(separator: "; ")
        throw RuntimeError(kind: .system(EPERM), message: "map users: \(words.isEmpty ? "\(program): exit code \(code)" : words)")
    }

    private static func find(_ program: String) -> String? {
        let search = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        return search.split(separator: ":").lazy.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }
}
