internal import Glibc
internal import JSON
internal import Linux

/// Namespaces, control groups and mounts.
enum SurroundingsReport {
    /// The inode number of each namespace, and the offsets of the time namespace's clocks.
    static var namespaces: JSONValue {
        var object = JSONObject()
        for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
            object.append(kind, FilesReport.link("/proc/self/ns/\(kind)"))
        }
        for file in ["uid_map", "gid_map", "timens_offsets"] {
            let lines = ((try? Files.readText("/proc/self/\(file)")) ?? "").split(separator: "\n")
            object.append(file, .array(lines.map { .array($0.split(separator: " ").map { .string(String($0)) }) }))
        }
        let interfaces = ((try? Files.readText("/proc/self/net/dev")) ?? "").split(separator: "\n").dropFirst(2)
        object.append("interfaces", .array(interfaces.map { .string(String($0.prefix { $0 != ":" }.filter { $0 != " " })) }))
        return .object(object)
    }

    /// Path by controllers; the unified hierarchy has the empty name.
    static var cgroups: JSONValue {
        var object = JSONObject()
        for line in ((try? Files.readText("/proc/self/cgroup")) ?? "").split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            if fields.count == 3 { object.append(String(fields[1]), .string(String(fields[2]))) }
        }
        return .object(object)
    }

    /// /proc/self/mountinfo (proc_pid_mountinfo(5)), in its order.
    static var mounts: JSONValue {
        let lines = ((try? Files.readText("/proc/self/mountinfo")) ?? "").split(separator: "\n")
        return .array(
            lines.compactMap { line in
                let fields = line.split(separator: " ").map(String.init)
                guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { return nil }
                var object = JSONObject()
                object.append("point", .string(fields[4]))
                object.append("root", .string(fields[3]))
                object.append("options", .array(fields[5].split(separator: ",").map { .string(String($0)) }))
                object.append("propagation", .array(fields[6..<dash].map { .string(String($0.prefix { $0 != ":" })) }))
                object.append("type", .string(fields[dash + 1]))
                object.append("source", .string(fields[dash + 2]))
                object.append("filesystemOptions", .array(fields[dash + 3].split(separator: ",").map { .string(String($0)) }))
                return .object(object)
            })
    }
}
