internal import ClientUI

/// The flags of `run` and `create`.
enum RunFlags {
    static let create: [Flag] =
        config + resources + isolation + network + health + storage + [
            Flag("pull", .string, "Pull image before creating (\"always\", \"missing\", \"never\")", default: "missing"),
            Flag("quiet", "q", .bool, "Suppress the pull output"),
            Flag("disable-content-trust", .bool, "Skip image verification", default: "true", hidden: true),
            Flag("use-api-socket", .bool, "Bind mount the engine's API socket", hidden: true),
        ]

    static let run: [Flag] =
        create + [
            Flag("detach", "d", .bool, "Run container in background and print container ID"),
            Flag("detach-keys", .string, "Override the key sequence for detaching a container"),
            Flag("sig-proxy", .bool, "Proxy received signals to the process", default: "true"),
        ]

    private static let config: [Flag] = [
        Flag("annotation", .map, "Add an annotation to the container (passed through to the OCI runtime)"),
        Flag("attach", "a", .list, "Attach to STDIN, STDOUT or STDERR"),
        Flag("cidfile", .string, "Write the container ID to the file"),
        Flag("domainname", .string, "Container NIS domain name"),
        Flag("entrypoint", .string, "Overwrite the default ENTRYPOINT of the image"),
        Flag("env", "e", .list, "Set environment variables"),
        Flag("env-file", .list, "Read in a file of environment variables"),
        Flag("hostname", "h", .string, "Container host name"),
        Flag("init", .bool, "Run an init inside the container that forwards signals and reaps processes"),
        Flag("interactive", "i", .bool, "Keep STDIN open even if not attached"),
        Flag("label", "l", .list, "Set meta data on a container"),
        Flag("label-file", .list, "Read in a line delimited file of labels"),
        Flag("log-driver", .string, "Logging driver for the container"),
        Flag("log-opt", .list, "Log driver options"),
        Flag("name", .string, "Assign a name to the container"),
        Flag("platform", .string, "Set platform if server is multi-platform capable"),
        Flag("restart", .string, "Restart policy to apply when a container exits", default: "no"),
        Flag("rm", .bool, "Automatically remove the container and its associated anonymous volumes when it exits"),
        Flag("stop-signal", .string, "Signal to stop the container"),
        Flag("stop-timeout", .int, "Timeout (in seconds) to stop a container"),
        Flag("tty", "t", .bool, "Allocate a pseudo-TTY"),
        Flag("user", "u", .string, "Username or UID (format: <name|uid>[:<group|gid>])"),
        Flag("workdir", "w", .string, "Working directory inside the container"),
    ]

    private static let resources: [Flag] = [
        Flag("blkio-weight", .uint16, "Block IO (relative weight), between 10 and 1000, or 0 to disable"),
        Flag("blkio-weight-device", .list, "Block IO weight (relative device weight)"),
        Flag("cgroup-parent", .string, "Optional parent cgroup for the container"),
        Flag("cpu-count", .int, "CPU count (Windows only)", hidden: true),
        Flag("cpu-percent", .int, "CPU percent (Windows only)", hidden: true),
        Flag("cpu-period", .int, "Limit CPU CFS (Completely Fair Scheduler) period"),
        Flag("cpu-quota", .int, "Limit CPU CFS (Completely Fair Scheduler) quota"),
        Flag("cpu-rt-period", .int, "Limit CPU real-time period in microseconds"),
        Flag("cpu-rt-runtime", .int, "Limit CPU real-time runtime in microseconds"),
        Flag("cpu-shares", "c", .int, "CPU shares (relative weight)"),
        Flag("cpus", .decimal, "Number of CPUs"),
        Flag("cpuset-cpus", .string, "CPUs in which to allow execution (0-3, 0,1)"),
        Flag("cpuset-mems", .string, "MEMs in which to allow execution (0-3, 0,1)"),
        Flag("device-read-bps", .list, "Limit read rate (bytes per second) from a device"),
        Flag("device-read-iops", .list, "Limit read rate (IO per second) from a device"),
        Flag("device-write-bps", .list, "Limit write rate (bytes per second) to a device"),
        Flag("device-write-iops", .list, "Limit write rate (IO per second) to a device"),
        Flag("io-maxbandwidth", .bytes, "Maximum IO bandwidth limit for the system drive (Windows only)", hidden: true),
        Flag("io-maxiops", .uint, "Maximum IOps limit for the system drive (Windows only)", hidden: true),
        Flag("kernel-memory", .bytes, "Kernel memory limit", hidden: true),
        Flag("memory", "m", .bytes, "Memory limit"),
        Flag("memory-reservation", .bytes, "Memory soft limit"),
        Flag("memory-swap", .bytes, "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"),
        Flag("memory-swappiness", .int, "Tune container memory swappiness (0 to 100)", default: "-1"),
        Flag("oom-kill-disable", .bool, "Disable OOM Killer"),
        Flag("oom-score-adj", .int, "Tune host's OOM preferences (-1000 to 1000)"),
        Flag("pids-limit", .int, "Tune container pids limit (set -1 for unlimited)"),
        Flag("shm-size", .bytes, "Size of /dev/shm"),
        Flag("ulimit", .list, "Ulimit options", valueName: "ulimit"),
    ]

    private static let isolation: [Flag] = [
        Flag("cap-add", .list, "Add Linux capabilities"),
        Flag("cap-drop", .list, "Drop Linux capabilities"),
        Flag("cgroupns", .string, "Cgroup namespace to use (host|private)"),
        Flag("device", .list, "Add a host device to the container"),
        Flag("device-cgroup-rule", .list, "Add a rule to the cgroup allowed devices list"),
        Flag("gpus", .list, "GPU devices to add to the container ('all' to pass all GPUs)", valueName: "gpu-request"),
        Flag("group-add", .list, "Add additional groups to join"),
        Flag("ipc", .string, "IPC mode to use"),
        Flag("isolation", .string, "Container isolation technology"),
        Flag("pid", .string, "PID namespace to use"),
        Flag("privileged", .bool, "Give extended privileges to this container"),
        Flag("read-only", .bool, "Mount the container's root filesystem as read only"),
        Flag("runtime", .string, "Runtime to use for this container"),
        Flag("security-opt", .list, "Security Options"),
        Flag("sysctl", .list, "Sysctl options", valueName: "map"),
        Flag("userns", .string, "User namespace to use"),
        Flag("uts", .string, "UTS namespace to use"),
    ]

    private static let network: [Flag] = [
        Flag("add-host", .list, "Add a custom host-to-IP mapping (host:ip)"),
        Flag("dns", .list, "Set custom DNS servers"),
        Flag("dns-opt", .list, "Set DNS options", hidden: true),
        Flag("dns-option", .list, "Set DNS options"),
        Flag("dns-search", .list, "Set custom DNS search domains"),
        Flag("expose", .list, "Expose a port or a range of ports"),
        Flag("ip", .string, "IPv4 address (e.g., 172.30.100.104)"),
        Flag("ip6", .string, "IPv6 address (e.g., 2001:db8::33)"),
        Flag("link", .list, "Add link to another container"),
        Flag("link-local-ip", .list, "Container IPv4/IPv6 link-local addresses"),
        Flag("mac-address", .string, "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
        Flag("net", .list, "Connect a container to a network", hidden: true),
        Flag("net-alias", .list, "Add network-scoped alias for the container", hidden: true),
        Flag("network", .list, "Connect a container to a network", valueName: "network"),
        Flag("network-alias", .list, "Add network-scoped alias for the container"),
        Flag("publish", "p", .list, "Publish a container's port(s) to the host"),
        Flag("publish-all", "P", .bool, "Publish all exposed ports to random ports"),
    ]

    private static let health: [Flag] = [
        Flag("health-cmd", .string, "Command to run to check health"),
        Flag("health-interval", .duration, "Time between running the check (ms|s|m|h)", default: "0s"),
        Flag("health-retries", .int, "Consecutive failures needed to report unhealthy"),
        Flag("health-start-interval", .duration, "Time between running the check during the start period (ms|s|m|h)", default: "0s"),
        Flag(
            "health-start-period", .duration,
            "Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)", default: "0s"),
        Flag("health-timeout", .duration, "Maximum time to allow one check to run (ms|s|m|h)", default: "0s"),
        Flag("no-healthcheck", .bool, "Disable any container-specified HEALTHCHECK"),
    ]

    private static let storage: [Flag] = [
        Flag("mount", .list, "Attach a filesystem mount to the container", valueName: "mount"),
        Flag("storage-opt", .list, "Storage driver options for the container"),
        Flag("tmpfs", .list, "Mount a tmpfs directory"),
        Flag("volume", "v", .list, "Bind mount a volume"),
        Flag("volume-driver", .string, "Optional volume driver for the container"),
        Flag("volumes-from", .list, "Mount volumes from the specified container(s)"),
    ]
}
