import EngineTypes
import Testing

@testable import Engine

@Suite struct HostConfigTests {
    typealias Fill = @Sendable (inout HostConfig, inout ContainerConfig) -> Void

    private static let refusals: [(String, Fill)] = [
        ("Minimum memory limit allowed is 6MB", { host, _ in host.Memory = 1000 }),
        ("You should always set the Memory limit when using Memoryswap limit, see usage", { host, _ in host.MemorySwap = 1 << 30 }),
        (
            "Minimum memoryswap limit should be larger than memory limit, see usage",
            { host, _ in (host.Memory, host.MemorySwap) = (1 << 30, 1 << 29) }
        ),
        ("Invalid value: 101, valid memory swappiness range is 0-100", { host, _ in host.MemorySwappiness = 101 }),
        ("Minimum memory reservation allowed is 6MB", { host, _ in host.MemoryReservation = 5 }),
        (
            "Minimum memory limit can not be less than memory reservation limit, see usage",
            { host, _ in (host.Memory, host.MemoryReservation) = (1 << 29, 1 << 30) }
        ),
        (
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
            { host, _ in (host.NanoCpus, host.CpuPeriod) = (1_000_000, 100_000) }
        ),
        ("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)", { host, _ in host.CpuPeriod = 999 }),
        ("CPU cfs quota can not be less than 1ms (i.e. 1000)", { host, _ in host.CpuQuota = 999 }),
        ("Range of blkio weight is from 10 to 1000", { host, _ in host.BlkioWeight = 9 }),
        (
            "invalid restart policy: unknown policy 'never'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'",
            { host, _ in host.RestartPolicy = RestartPolicy(Name: "never") }
        ),
        (
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
            { host, _ in host.RestartPolicy = RestartPolicy(Name: "always", MaximumRetryCount: 3) }
        ),
        (
            "invalid restart policy: maximum retry count cannot be negative",
            { host, _ in host.RestartPolicy = RestartPolicy(Name: "on-failure", MaximumRetryCount: -1) }
        ),
        (
            "can't create 'AutoRemove' container with restart policy",
            { host, _ in (host.AutoRemove, host.RestartPolicy) = (true, RestartPolicy(Name: "always")) }
        ),
        ("SHM size can not be less than 0", { host, _ in host.ShmSize = -1 }),
        ("Invalid value 1001, range for oom score adj is [-1000, 1000]", { host, _ in host.OomScoreAdj = 1001 }),
        ("invalid IPC mode: x", { host, _ in host.IpcMode = "x" }), ("invalid PID mode: private", { host, _ in host.PidMode = "private" }),
        ("invalid UTS mode: x", { host, _ in host.UTSMode = "x" }),
        ("invalid user namespace mode: x", { host, _ in host.UsernsMode = "x" }),
        ("invalid cgroup namespace mode: x", { host, _ in host.CgroupnsMode = "x" }),
        ("conflicting options: hostname and the UTS mode", { host, config in (host.UTSMode, config.Hostname) = ("host", "h") }),
        ("invalid ConsoleSize: expected a height and a width", { host, _ in host.ConsoleSize = [1] }),
        (
            "invalid Annotations: the empty string is not permitted as an annotation key", { host, _ in host.Annotations = ["": "x"] }
        ),
        ("not implemented: HostConfig.KernelMemory", { host, _ in host.KernelMemory = 1 }),
        (
            "conflicting options: hostname and the network mode",
            { host, config in (host.NetworkMode, config.Hostname) = ("container:x", "h") }
        ),
        (
            "conflicting options: port publishing and the container type network mode",
            { host, _ in (host.NetworkMode, host.PortBindings) = ("container:x", ["80/tcp": []]) }
        ),
        (
            "conflicting options: mac-address and the network mode",
            { host, config in (host.NetworkMode, config.MacAddress) = ("host", "02:00:00:00:00:01") }
        ),
    ]

    @Test(arguments: refusals.indices)
    func refuses(_ index: Int) {
        let (text, fill) = Self.refusals[index]
        var (host, config) = (HostConfig(), ContainerConfig())
        fill(&host, &config)
        #expect(message { try host.check(config: config) } == text)
    }

    private static let accepted: [Fill] = [
        { _, _ in }, { host, _ in (host.Memory, host.MemorySwap, host.MemorySwappiness) = (6 << 20, -1, -1) },
        { host, _ in (host.NanoCpus, host.CpuQuota) = (10_000_000, 0) },
        { host, _ in (host.RestartPolicy, host.AutoRemove) = (RestartPolicy(Name: "no"), true) },
        { host, _ in host.RestartPolicy = RestartPolicy(Name: "on-failure", MaximumRetryCount: 5) },
        { host, _ in (host.IpcMode, host.PidMode, host.UTSMode) = ("container:a", "container:b", "host") },
        { host, _ in (host.IpcMode, host.CgroupnsMode) = ("shareable", "private") },
    ]

    @Test(arguments: accepted.indices)
    func accepts(_ index: Int) throws {
        var (host, config) = (HostConfig(), ContainerConfig())
        Self.accepted[index](&host, &config)
        try host.check(config: config)
        try host.withDefaults(shmSize: 1, logDriver: "json-file").check(config: config)
    }

    @Test func moreProcessorsThanThereAre() {
        var host = HostConfig()
        host.NanoCpus = .max
        #expect(message { try host.check(config: ContainerConfig()) }?.hasPrefix("range of CPUs is from 0.01 to") == true)
    }

    @Test(
        arguments: [
            (0, nil, 0), (1000, nil, 2000), (1000, 0, 2000), (1000, 1500, 1500), (1000, -1, -1), (.max, nil, .max),
            (.max / 2 + 1, nil, .max),
        ] as [(Int64, Int64?, Int64)])
    func swapFollowsMemory(_ memory: Int64, _ swap: Int64?, _ expected: Int64) {
        var host = HostConfig()
        (host.Memory, host.MemorySwap) = (memory, swap)
        #expect(host.withDefaults(shmSize: 1, logDriver: "x").MemorySwap == expected)
    }

    @Test func defaults() {
        var host = HostConfig()
        host.IpcMode = ""
        let filled = host.withDefaults(shmSize: 4096, logDriver: "none")
        #expect(filled.ShmSize == 4096 && filled.LogConfig == LogConfig(Type: "none", Config: [:]) && filled.NetworkMode == "default")
        #expect(filled.RestartPolicy == RestartPolicy(Name: "no", MaximumRetryCount: 0) && filled.IpcMode == "private")
        #expect(filled.MaskedPaths == SpecDefaults.maskedPaths && filled.ReadonlyPaths == SpecDefaults.readonlyPaths)
        host.Privileged = true
        #expect(host.withDefaults(shmSize: 1, logDriver: "x").MaskedPaths == nil)
        #expect(filled == filled.withDefaults(shmSize: 9, logDriver: "other"))
    }
}
