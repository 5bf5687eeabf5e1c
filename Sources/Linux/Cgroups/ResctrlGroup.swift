internal import CLinux
internal import Glibc

/// A class of service of resctrl, the kernel's interface to Intel RDT and its kin (Documentation/filesystems/resctrl.rst):
/// a directory with a `schemata` file, a `tasks` file and monitoring groups.
///
/// All paths are below the mount point, which tests replace by a directory of their own.
public struct ResctrlGroup: Sendable {
    /// Where resctrl is mounted.
    public let mountPoint: String
    /// The class's directory.
    public let path: String

    /// `closID` nil is the class named after the container, `/` the default one.
    public init(mountPoint: String, closID: String?, container: String) {
        self.mountPoint = mountPoint
        path = closID == "/" ? mountPoint : "\(mountPoint)/\(closID ?? container)"
    }

    /// Where resctrl is mounted in this mount namespace; nil where it is not.
    public static func findMountPoint() throws(SystemError) -> String? { mountPoint(in: try Files.readText("/proc/self/mountinfo")) }

    /// The same from a text as /proc/self/mountinfo has it (proc(5)).
    static func mountPoint(in mountinfo: String) -> String? {
        for line in mountinfo.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, fields.count > 4, fields[dash + 1] == "resctrl" else {
                continue
            }
            return String(fields[4])
        }
        return nil
    }

    /// Makes the class's directory; throws EEXIST when it is there.
    public func make() throws(SystemError) { try retrying("create resctrl class", path) { mkdir(path, 0o755) } }

    public var exists: Bool { Files.isDirectory(path) }

    /// Writes lines of `schemata`, each by itself: the kernel tells which one it refuses.
    public func write(schemata lines: [String]) throws(SystemError) {
        for line in lines { try Files.write("\(path)/schemata", line + "\n", flags: O_WRONLY | O_APPEND) }
    }

    /// Whether the class has these settings already: each line's domains are among those of the file's line for that resource.
    public func matches(schemata lines: [String]) throws(SystemError) -> Bool {
        let present = Self.settings(try Files.readText("\(path)/schemata"))
        return Self.settings(lines.joined(separator: "\n")).allSatisfy { present[$0.key] == $0.value }
    }

    /// `L3:0=7f0;1=1f` as ["L3:0": "7f0", "L3:1": "1f"]; spaces and leading zeroes mean nothing.
    static func settings(_ text: String) -> [String: String] {
        var result: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.filter { $0 != " " }.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            for domain in parts[1].split(separator: ";") {
                let sides = domain.split(separator: "=", maxSplits: 1)
                guard sides.count == 2 else { continue }
                let value = sides[1].drop { $0 == "0" }
                result["\(parts[0]):\(sides[0])"] = value.isEmpty ? "0" : value.lowercased()
            }
        }
        return result
    }

    /// Puts a process, and the children it will have, into the class.
    public func add(_ pid: Int32) throws(SystemError) { try Files.write("\(path)/tasks", "\(pid)", flags: O_WRONLY) }

    /// The monitoring group of a container in this class.
    public func monitor(_ container: String) -> String { "\(path)/mon_groups/\(container)" }

    public func makeMonitor(_ container: String) throws(SystemError) {
        try retrying("create monitoring group", monitor(container)) { mkdir(monitor(container), 0o755) }
    }

    public func addToMonitor(_ container: String, _ pid: Int32) throws(SystemError) {
        try Files.write("\(monitor(container))/tasks", "\(pid)", flags: O_WRONLY)
    }

    public func removeMonitor(_ container: String) { _ = rmdir(monitor(container)) }

    public func remove() { _ = rmdir(path) }
}
