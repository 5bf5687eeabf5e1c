public import EngineTypes

/// Who makes the control groups of containers (dockerd's `native.cgroupdriver`).
public enum CgroupDriver: String, Sendable {
    /// The runtime, as directories.
    case cgroupfs
    /// systemd, as scopes in slices.
    case systemd

    /// Where containers are that name no parent.
    var defaultParent: String {
        switch self {
        case .cgroupfs: "/clipper"
        case .systemd: "system.slice"
        }
    }

    /// Refuses a parent that the driver has no place for, with dockerd's words.
    public func check(parent: String) throws(EngineError) {
        let suffix = ".slice"
        guard self == .systemd, !parent.isEmpty, !parent.hasSuffix(suffix) || parent == suffix else { return }
        throw .invalid("cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"")
    }

    /// OCI's `linux.cgroupsPath`. A directory's path is absolute, also below a parent without a slash before it, as Docker's
    /// documentation has it: what is relative would be the runtime's to place, and only it would know where.
    func cgroupsPath(of id: String, parent: String) -> String {
        switch self {
        case .cgroupfs: "\(parent.hasPrefix("/") ? "" : "/")\(parent)/\(id)"
        case .systemd: "\(parent):clipper:\(id)"
        }
    }
}
