internal import CLinux
internal import EngineTypes
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// Which devices a container sees and may use.
struct DeviceResolver {
    let host: HostConfig
    let isPrivileged: Bool

    func resolve() throws(EngineError) -> (nodes: [Spec.Device], rules: [Spec.DeviceRule]) {
        var nodes: [Spec.Device] = []
        var rules = isPrivileged ? [Spec.DeviceRule(allow: true, type: "a", access: "rwm")] : SpecDefaults.deviceRules
        if isPrivileged { nodes = Self.hostDevices() }
        for device in host.Devices ?? [] {
            let source = device.PathOnHost ?? ""
            let target = device.PathInContainer.flatMap { $0.isEmpty ? nil : $0 } ?? source
            let access = device.CgroupPermissions.flatMap { $0.isEmpty ? nil : $0 } ?? "rwm"
            guard access.allSatisfy({ "rwm".contains($0) }) else { throw .invalid("invalid device mode: \(access)") }
            let found = try Self.devices(at: source, as: target)
            nodes.append(contentsOf: found)
            if !isPrivileged {
                rules += found.map {
                    Spec.DeviceRule(allow: true, type: $0.kind.rawValue, major: Int64($0.major), minor: Int64($0.minor), access: access)
                }
            }
        }
        for text in host.DeviceCgroupRules ?? [] { rules.append(try Self.rule(text)) }
        return (nodes, rules)
    }

    static func node(_ path: String, as target: String) -> Spec.Device? {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        let kind: Spec.Device.Kind
        switch status.st_mode & S_IFMT {
        case S_IFCHR: kind = .character
        case S_IFBLK: kind = .block
        default: return nil
        }
        return Spec.Device(
            path: target, kind: kind, major: UInt32(clp_major(status.st_rdev)), minor: UInt32(clp_minor(status.st_rdev)),
            fileMode: UInt32(status.st_mode & 0o7777), uid: status.st_uid, gid: status.st_gid)
    }

    /// One device, or all below a directory.
    private static func devices(at source: String, as target: String) throws(EngineError) -> [Spec.Device] {
        if Files.isDirectory(source) {
            var result: [Spec.Device] = []
            for name in ((try? Files.list(source)) ?? []).sorted() {
                result += (try? devices(at: "\(source)/\(name)", as: "\(target)/\(name)")) ?? []
            }
            return result
        }
        guard Files.exists(source) else {
            throw .invalid("error gathering device information while adding custom device \"\(source)\": no such file or directory")
        }
        guard let device = node(source, as: target) else {
            throw .invalid("error gathering device information while adding custom device \"\(source)\": not a device node")
        }
        return [device]
    }

    /// The host's devices, without terminals and what a container has of its own.
    private static func hostDevices() -> [Spec.Device] {
        let own: Set<String> = [
            "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console", "stdin", "stdout", "stderr", "core", "ptmx",
        ]
        var result: [Spec.Device] = []
        func visit(_ directory: String, depth: Int) {
            for name in ((try? Files.list(directory)) ?? []).sorted() where depth > 0 || !own.contains(name) {
                let path = "\(directory)/\(name)"
                var status = stat()
                guard lstat(path, &status) == 0 else { continue }
                if status.st_mode & S_IFMT == S_IFDIR {
                    if depth < 8 { visit(path, depth: depth + 1) }
                } else if let device = node(path, as: path), status.st_mode & S_IFMT != S_IFLNK {
                    result.append(device)
                }
            }
        }
        visit("/dev", depth: 0)
        return result
    }

    /// `c 1:3 rwm`, `a *:* rwm`.
    private static func rule(_ text: String) throws(EngineError) -> Spec.DeviceRule {
        let words = text.split(separator: " ").map(String.init)
        let numbers = words.count == 3 ? words[1].split(separator: ":").map(String.init) : []
        guard words.count == 3, numbers.count == 2, ["a", "b", "c"].contains(words[0]), words[2].allSatisfy({ "rwm".contains($0) }),
            numbers.allSatisfy({ $0 == "*" || Int64($0) != nil })
        else { throw .invalid("invalid device cgroup rule format: '\(text)'") }
        return Spec.DeviceRule(
            allow: true, type: words[0], major: numbers[0] == "*" ? nil : Int64(numbers[0]),
            minor: numbers[1] == "*" ? nil : Int64(numbers[1]),
            access: words[2])
    }
}
