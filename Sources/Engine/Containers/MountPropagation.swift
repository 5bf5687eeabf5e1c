internal import EngineTypes
internal import Glibc
internal import Linux

/// Whether the host's mounts can do what a bind mount's propagation asks for (mount_namespaces(7), "SHARED SUBTREES").
enum MountPropagation {
    /// Refuses, as Docker, to share what the host does not share: nothing would ever come through.
    static func check(_ mounts: [ResolvedMount]) throws {
        for mount in mounts where mount.kind == .bind {
            let wanted = mount.propagation.hasPrefix("r") ? String(mount.propagation.dropFirst()) : mount.propagation
            guard wanted == "shared" || wanted == "slave", let real = realpath(mount.source, nil) else { continue }
            defer { free(real) }
            let path = String(cString: real)
            guard let (point, options) = hostMount(of: path, in: try Files.readText("/proc/self/mountinfo")) else { continue }
            let isShared = options.contains { $0.hasPrefix("shared:") }
            if isShared || wanted == "slave" && options.contains(where: { $0.hasPrefix("master:") }) { continue }
            let kinds = wanted == "shared" ? "a shared mount" : "a shared or slave mount"
            throw EngineError(.system, "path \(mount.source) is mounted on \(point) but it is not \(kinds)")
        }
    }

    /// The last mount on the way to the path, and its optional fields (proc_pid_mountinfo(5)).
    static func hostMount(of path: String, in mountInfo: String) -> (point: String, options: [Substring])? {
        var best: (point: String, options: [Substring])?
        for line in mountInfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard fields.count > 6 else { continue }
            let point = String(fields[4])
            guard path == point || path.hasPrefix(point == "/" ? "/" : point + "/"), point.utf8.count >= best?.point.utf8.count ?? 0 else {
                continue
            }
            best = (point, Array(fields[6...].prefix { $0 != "-" }))
        }
        return best
    }
}
