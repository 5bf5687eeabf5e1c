internal import CLinux
internal import Glibc

/// Which cgroup hierarchies this host has, where, and which controllers each carries (cgroups(7)).
public struct CgroupLayout: Sendable, Hashable {
    public enum Version: String, Sendable, Hashable, CaseIterable {
        /// Only v1 hierarchies.
        case v1 = "1"
        /// One cgroup2 hierarchy with all controllers.
        case v2 = "2"
        /// v1 hierarchies with a cgroup2 beside them.
        case hybrid
    }

    /// One mounted hierarchy.
    public struct Hierarchy: Sendable, Hashable {
        public let mountPoint: String
        /// v1: the controllers mounted together; a named hierarchy without controllers is `name=systemd`.
        /// v2: those that the root's cgroup.controllers offers.
        public let controllers: [String]
        public let isUnified: Bool

        public init(mountPoint: String, controllers: [String], isUnified: Bool) {
            self.mountPoint = mountPoint
            self.controllers = controllers
            self.isUnified = isUnified
        }
    }

    public let hierarchies: [Hierarchy]

    public init(hierarchies: [Hierarchy]) { self.hierarchies = hierarchies }

    public var version: Version {
        guard let unified = hierarchies.first(where: \.isUnified) else { return .v1 }
        return hierarchies.count == 1 && unified.isUnified ? .v2 : .hybrid
    }

    /// All controllers of all hierarchies, without named ones.
    public var controllers: [String] { hierarchies.flatMap(\.controllers).filter { !$0.hasPrefix("name=") } }

    /// The hierarchy that carries a controller.
    public func hierarchy(of controller: String) -> Hierarchy? { hierarchies.first { $0.controllers.contains(controller) } }

    /// Looks at the host: by statfs(2) at the usual places, which costs a tenth of a millisecond and does not grow
    /// with the number of mounts; by /proc/self/mountinfo when a hierarchy is not where it usually is.
    public static func detect(root: String = "/sys/fs/cgroup") throws -> CgroupLayout {
        if magic(of: root) == cgroup2Magic {
            return CgroupLayout(hierarchies: [try unified(at: root)])
        }
        if let layout = try conventional(root: root, membership: try Files.readText("/proc/self/cgroup")) { return layout }
        return try fromMountInfo(try Files.readText("/proc/self/mountinfo"))
    }

    private static let cgroup1Magic: Int = 0x27_e0eb
    private static let cgroup2Magic: Int = 0x6367_7270

    private static func magic(of path: String) -> Int {
        var status = statfs()
        return statfs(path, &status) == 0 ? Int(status.f_type) : 0
    }

    private static func unified(at mountPoint: String) throws -> Hierarchy {
        let names = try Files.readText("\(mountPoint)/cgroup.controllers")
        return Hierarchy(
            mountPoint: mountPoint, controllers: names.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init), isUnified: true)
    }

    /// The v1 hierarchies that /proc/self/cgroup lists (`4:cpu,cpuacct:/`, `9:name=systemd:/`, `0::/`), each looked for
    /// at its usual mount point. nil when one is not there.
    private static func conventional(root: String, membership: String) throws -> CgroupLayout? {
        var hierarchies: [Hierarchy] = []
        for line in membership.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return nil }
            if fields[1].isEmpty {
                let place = "\(root)/unified"
                if magic(of: place) == cgroup2Magic { hierarchies.append(try unified(at: place)) }
                continue
            }
            let name = fields[1].hasPrefix("name=") ? fields[1].dropFirst(5) : fields[1]
            guard magic(of: "\(root)/\(name)") == cgroup1Magic else { return nil }
            hierarchies.append(
                Hierarchy(mountPoint: "\(root)/\(name)", controllers: fields[1].split(separator: ",").map(String.init), isUnified: false))
        }
        return hierarchies.isEmpty ? nil : CgroupLayout(hierarchies: hierarchies)
    }

    /// The hierarchies in the text of /proc/self/mountinfo (proc_pid_mountinfo(5)); of several mounts of one hierarchy
    /// the first. `readUnified` tells a cgroup2's controllers.
    static func fromMountInfo(
        _ text: String, readUnified: (String) throws -> Hierarchy = { try CgroupLayout.unified(at: $0) }
    ) throws -> CgroupLayout {
        var hierarchies: [Hierarchy] = []
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), fields.count > dash + 3, fields.count > 4 else { continue }
            let mountPoint = unescaped(fields[4])
            if fields[dash + 1] == "cgroup2" {
                if !hierarchies.contains(where: \.isUnified) { hierarchies.append(try readUnified(mountPoint)) }
            } else if fields[dash + 1] == "cgroup" {
                let controllers = fields[dash + 3].split(separator: ",").map(String.init).filter(isController)
                if controllers.isEmpty || hierarchies.contains(where: { !$0.isUnified && $0.controllers == controllers }) { continue }
                hierarchies.append(Hierarchy(mountPoint: mountPoint, controllers: controllers, isUnified: false))
            }
        }
        return CgroupLayout(hierarchies: hierarchies)
    }

    /// A v1 mount's super options name its controllers beside `rw`, `xattr`, `release_agent=…`, `clone_children`.
    private static func isController(_ option: String) -> Bool {
        if option.hasPrefix("name=") { return true }
        return !option.contains("=")
            && !["rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode", "favordynmods", "seclabel"].contains(option)
    }

    /// Decodes mountinfo's octal escapes of space, tab, newline and backslash.
    static func unescaped(_ field: Substring) -> String {
        guard field.utf8.contains(UInt8(ascii: "\\")) else { return String(field) }
        let bytes = Array(field.utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.count,
                let code = UInt8(String(decoding: bytes[index + 1...index + 3], as: UTF8.self), radix: 8)
            {
                result.append(code)
                index += 4
            } else {
                result.append(bytes[index])
                index += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}
