public import OCIRuntimeSpec

extension Spec {
    /// What `spec` writes: a shell in a container with the isolation that runc's template has, on a read-only root.
    public static var example: Spec {
        var spec = Spec()
        var process = Process()
        process.terminal = true
        process.args = ["sh"]
        process.env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]
        process.capabilities = Capabilities(all: ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])
        process.rlimits = [ResourceLimit(type: "RLIMIT_NOFILE", soft: 1024, hard: 1024)]
        process.noNewPrivileges = true
        spec.process = process
        spec.root = Root(path: "rootfs", readonly: true)
        spec.hostname = "clipper"
        spec.mounts = exampleMounts
        spec.linux.resources = Resources()
        spec.linux.resources?.devices = [DeviceRule(allow: false)]
        spec.linux.namespaces = Namespace.allButUser
        spec.linux.maskedPaths = [
            "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
            "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
        ]
        spec.linux.readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        return spec
    }

    /// The same for a caller who is not root: a user namespace in which the caller is root and nobody else exists, the
    /// host's network, and nothing that only root may ask for (groups by number, a new sysfs, limits of control groups).
    public static func rootlessExample(user: UInt32, group: UInt32) -> Spec {
        var spec = example
        spec.linux.namespaces.removeAll { $0.type == .network }
        spec.linux.namespaces.append(Namespace(.user))
        spec.linux.uidMappings = [IDMapping(containerID: 0, hostID: user, size: 1)]
        spec.linux.gidMappings = [IDMapping(containerID: 0, hostID: group, size: 1)]
        spec.linux.resources = nil
        spec.mounts = spec.mounts.map { mount in
            var mount = mount
            if mount.destination == "/sys" {
                // A sysfs of one's own needs a network namespace of one's own.
                mount.type = "none"
                mount.source = "/sys"
                mount.options = ["rbind", "nosuid", "noexec", "nodev", "ro"]
            }
            mount.options.removeAll { $0.hasPrefix("uid=") || $0.hasPrefix("gid=") }
            return mount
        }
        return spec
    }

    private static let exampleMounts: [Mount] = [
        Mount(destination: "/proc", type: "proc", source: "proc"),
        Mount(destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        Mount(
            destination: "/dev/pts", type: "devpts", source: "devpts",
            options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        Mount(destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        Mount(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
        Mount(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
        Mount(
            destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ]
}
