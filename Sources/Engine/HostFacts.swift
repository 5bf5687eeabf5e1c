internal import Glibc
internal import Linux

/// What this host is, read once.
enum HostFacts {
    static let processorCount = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

    /// nil when no cgroup hierarchy is mounted.
    static let cgroups: CgroupLayout? = try? CgroupLayout.detect()

    static var isUnifiedCgroup: Bool { cgroups?.version == .v2 }

    /// Whether control groups can give real-time tasks time of their own (CONFIG_RT_GROUP_SCHED, which cgroup v2 has not).
    static let hasRealtimeLimits = Files.exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us")

    /// Capabilities that a process of this host can have at all; what the daemon lacks cannot be given to a container.
    static let capabilities: Linux.CapabilitySet = (try? Linux.CapabilitySet.permitted()) ?? []

    /// Total memory in bytes.
    static let totalMemory: Int64 = {
        let text = (try? Files.readText("/proc/meminfo")) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Int64($0) } ?? 0) * 1024
    }()

    static let kernelRelease: String = {
        ((try? Files.readText("/proc/sys/kernel/osrelease")) ?? "").split(separator: "\n").first.map(String.init) ?? ""
    }()

    static let hostname: String = {
        ((try? Files.readText("/proc/sys/kernel/hostname")) ?? "").split(separator: "\n").first.map(String.init) ?? ""
    }()

    /// PRETTY_NAME of os-release(5).
    static let operatingSystem: String = release("PRETTY_NAME") ?? "Linux"

    /// VERSION_ID of os-release(5); empty for a system without versions.
    static let operatingSystemVersion: String = release("VERSION_ID") ?? ""

    private static func release(_ name: String) -> String? {
        let text = (try? Files.readText("/etc/os-release")) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("\(name)=") }
        return line.map { String($0.dropFirst(name.utf8.count + 1).filter { $0 != "\"" }) }
    }

    /// As `uname -m` names it.
    static let machine: String =
        SeccompHost.architecture == "amd64" ? "x86_64" : SeccompHost.architecture == "arm64" ? "aarch64" : SeccompHost.architecture
}
