import Glibc
import Testing

@testable import Linux

/// What is written where, on directories that stand in for the kernel.
@Suite struct CgroupLimitsV1Tests {
    @Test func memoryKnobs() throws {
        let knobs = [
            "memory.limit_in_bytes": "9223372036854771712\n", "memory.memsw.limit_in_bytes": "", "memory.soft_limit_in_bytes": "",
            "memory.swappiness": "", "memory.oom_control": "", "memory.kmem.limit_in_bytes": "", "memory.kmem.tcp.limit_in_bytes": "",
            "memory.use_hierarchy": "1\n",
        ]
        let fake = try FakeCgroups(v1: ["memory"], knobs: knobs)
        _ = try fake.create {
            $0.memory.limit = 1000
            $0.memory.swap = 2000
            $0.memory.reservation = 500
            $0.memory.swappiness = 0
            $0.memory.disableOOMKiller = true
            $0.memory.kernel = 300
            $0.memory.kernelTCP = 200
            $0.memory.useHierarchy = true
        }
        #expect(fake.read("memory", "memory.limit_in_bytes")?.hasPrefix("1000") == true)
        #expect(fake.read("memory", "memory.memsw.limit_in_bytes") == "2000")
        #expect(fake.read("memory", "memory.soft_limit_in_bytes") == "500")
        #expect(fake.read("memory", "memory.swappiness") == "0")
        #expect(fake.read("memory", "memory.oom_control") == "1")
        #expect(fake.read("memory", "memory.kmem.limit_in_bytes") == "300")
        #expect(fake.read("memory", "memory.kmem.tcp.limit_in_bytes") == "200")
    }

    @Test func memoryRefusals() throws {
        let fake = try FakeCgroups(
            v1: ["memory"], knobs: ["memory.limit_in_bytes": "", "memory.swappiness": "", "memory.use_hierarchy": "1\n"])
        #expect(fake.refusal { $0.memory.limit = -2 } == "set memory.limit: -2 is no size")
        #expect(
            fake.refusal {
                $0.memory.swap = 1; $0.memory.limit = 2
            }.contains("must be at least memory.limit"))
        #expect(fake.refusal { $0.memory.swap = 5 }.contains("set memory.swap: not supported: this kernel does not account swap"))
        #expect(fake.refusal { $0.memory.swappiness = 101 } == "set memory.swappiness: 101 is not 0 to 100")
        #expect(fake.refusal { $0.memory.kernel = 1 } == "set memory.kernel: not supported: this kernel has no memory.kmem.limit_in_bytes")
        #expect(fake.refusal { $0.memory.useHierarchy = false } == "no error")
    }

    @Test func missingControllersAreNamed() throws {
        let fake = try FakeCgroups(v1: ["freezer"])
        #expect(
            fake.refusal { $0.memory.limit = 1 } == "set memory.limit: the cgroup controller memory is not available on this host")
        #expect(fake.refusal { $0.cpu.shares = 2 }.contains("set cpu.shares: the cgroup controller cpu is"))
        #expect(fake.refusal { $0.cpu.cpus = "0" }.contains("set cpu.cpus: the cgroup controller cpuset is"))
        #expect(fake.refusal { $0.pidsLimit = 1 }.contains("set pids.limit: the cgroup controller pids is"))
        #expect(fake.refusal { $0.blockIO.weight = 10 }.contains("set blockIO.weight: the cgroup controller blkio is"))
        #expect(fake.refusal { $0.network.classID = 1 }.contains("net_cls"))
        #expect(fake.refusal { $0.network.priorities = [.init(interface: "eth0", priority: 1)] }.contains("net_prio"))
        #expect(fake.refusal { $0.rdma = ["mlx": .init(handles: 1)] }.contains("set rdma.mlx: the cgroup controller rdma is"))
        #expect(fake.refusal { $0.hugepages = [.init(pageSize: "2MB", limit: 0)] }.contains("set hugepageLimits.2MB"))
        #expect(fake.refusal { $0.devices = [DeviceRule(allow: false)] }.contains("set devices: the cgroup controller devices is"))
        #expect(fake.refusal { $0.unified = ["memory.high": "1"] } == "set unified.memory.high: not supported: this host has no cgroup v2")
    }

    @Test func unsetFieldsTouchNothing() throws {
        let fake = try FakeCgroups(v1: ["freezer"])
        _ = try fake.create {
            $0.memory.limit = 0
            $0.memory.swap = 0
            $0.memory.disableOOMKiller = false
            $0.cpu.shares = 0
            $0.cpu.quota = 0
            $0.cpu.cpus = ""
            $0.blockIO.weight = 0
        }
    }

    @Test func cpuKnobs() throws {
        let names = [
            "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.rt_runtime_us", "cpu.rt_period_us", "cpu.idle",
            "cpuacct.usage",
        ]
        let fake = try FakeCgroups(v1: ["cpu,cpuacct"], knobs: Dictionary(uniqueKeysWithValues: names.map { ($0, "") }))
        _ = try fake.create {
            $0.cpu.shares = 512
            $0.cpu.quota = 20000
            $0.cpu.period = 100_000
            $0.cpu.burst = 1000
            $0.cpu.realtimeRuntime = 95
            $0.cpu.realtimePeriod = 100
            $0.cpu.idle = 1
        }
        #expect(names.dropLast().map { fake.read("cpu,cpuacct", $0) } == ["512", "20000", "100000", "1000", "95", "100", "1"])
        #expect(fake.refusal { $0.cpu.shares = 1 } == "set cpu.shares: 1 is not 2 to 262144")
        #expect(fake.refusal { $0.cpu.shares = 262_145 }.contains("262145 is not"))
    }

    @Test(arguments: [(Int64(-1), "max"), (-5, "max"), (0, "1"), (1, "1"), (4096, "4096")])
    func pidsLimit(limit: Int64, written: String) throws {
        let fake = try FakeCgroups(v1: ["pids"], knobs: ["pids.max": ""])
        _ = try fake.create { $0.pidsLimit = limit }
        #expect(fake.read("pids", "pids.max") == written)
    }

    @Test func blockIOKnobs() throws {
        let names = [
            "blkio.bfq.weight", "blkio.bfq.weight_device", "blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
            "blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
        ]
        let fake = try FakeCgroups(v1: ["blkio"], knobs: Dictionary(uniqueKeysWithValues: names.map { ($0, "") }))
        _ = try fake.create {
            $0.blockIO.weight = 300
            $0.blockIO.weightDevices = [.init(major: 8, minor: 0, weight: 200)]
            $0.blockIO.readBytes = [.init(major: 8, minor: 1, rate: 1)]
            $0.blockIO.writeBytes = [.init(major: 8, minor: 2, rate: .max)]
            $0.blockIO.readOperations = [.init(major: 8, minor: 3, rate: 3)]
            $0.blockIO.writeOperations = [.init(major: 8, minor: 4, rate: 0)]
        }
        #expect(
            names.map { fake.read("blkio", $0) } == ["300", "8:0 200", "8:1 1", "8:2 18446744073709551615", "8:3 3", "8:4 0"])
        #expect(fake.refusal { $0.blockIO.weight = 9 }.contains("9 is not 10 to 1000"))
        #expect(
            fake.refusal { $0.blockIO.leafWeight = 10 } == "set blockIO.leafWeight: not supported: this kernel has no blkio.leaf_weight")
    }

    @Test func networkAndHugepages() throws {
        let fake = try FakeCgroups(
            v1: ["net_cls", "net_prio", "hugetlb"],
            knobs: [
                "net_cls.classid": "", "net_prio.ifpriomap": "", "hugetlb.2MB.limit_in_bytes": "", "hugetlb.2MB.rsvd.limit_in_bytes": "",
            ])
        _ = try fake.create {
            $0.network.classID = 1_048_577
            $0.network.priorities = [.init(interface: "eth0", priority: 5)]
            $0.hugepages = [.init(pageSize: "2MB", limit: 9)]
        }
        #expect(fake.read("net_cls", "net_cls.classid") == "1048577")
        #expect(fake.read("net_prio", "net_prio.ifpriomap") == "eth0 5")
        #expect(fake.read("hugetlb", "hugetlb.2MB.limit_in_bytes") == "9")
        #expect(fake.read("hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes") == "9")
        for size in ["../../x", "MB", "0MB", "2mb", "2MB/../1GB"] {
            #expect(fake.refusal { $0.hugepages = [.init(pageSize: size, limit: 1)] }.contains("a page size is"), "\(size)")
        }
        #expect(
            fake.refusal { $0.hugepages = [.init(pageSize: "1GB", limit: 1)] }.contains("this kernel has no hugetlb.1GB.limit_in_bytes"))
    }

    @Test func newCpusetGetsItsParentsCPUs() throws {
        let fake = try FakeCgroups(v1: ["cpuset"], knobs: ["cpuset.cpus": "\n", "cpuset.mems": "\n"])
        for knob in ["cpuset.cpus": "0-3\n", "cpuset.mems": "0\n"] {
            try Files.write("\(fake.scratch.path)/cpuset/test/\(knob.key)", knob.value)
        }
        _ = try fake.create()
        #expect(fake.read("cpuset", "cpuset.cpus") == "0-3\n")
        #expect(fake.read("cpuset", "cpuset.mems") == "0\n")
    }
}

@Suite struct CgroupLimitsV2Tests {
    private static let all = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"]

    @Test func memoryKnobs() throws {
        let fake = try FakeCgroups(v2: Self.all, knobs: ["memory.max": "", "memory.swap.max": "", "memory.low": ""])
        _ = try fake.create {
            $0.memory.limit = 1000
            $0.memory.swap = 2500
            $0.memory.reservation = 500
            $0.memory.disableOOMKiller = false
        }
        #expect(["memory.max", "memory.swap.max", "memory.low"].map { fake.read("unified", $0) } == ["1000", "1500", "500"])
        let unlimited = try FakeCgroups(v2: Self.all, knobs: ["memory.max": "", "memory.swap.max": "", "memory.low": ""])
        _ = try unlimited.create {
            $0.memory.limit = -1
            $0.memory.reservation = -1
        }
        #expect(["memory.max", "memory.swap.max", "memory.low"].map { unlimited.read("unified", $0) } == ["max", "max", "max"])
    }

    @Test func withoutSwapOnlyARealSwapLimitFails() throws {
        let fake = try FakeCgroups(v2: Self.all, knobs: ["memory.max": ""])
        #expect(
            fake.refusal {
                $0.memory.limit = 5; $0.memory.swap = 5
            } == "no error")
        #expect(
            fake.refusal {
                $0.memory.limit = 5; $0.memory.swap = -1
            } == "no error")
        #expect(
            fake.refusal {
                $0.memory.limit = 5; $0.memory.swap = 6
            }.contains("this kernel has no memory.swap.max"))
    }

    @Test func whatOnlyV1HasIsRefused() throws {
        let fake = try FakeCgroups(v2: Self.all, knobs: ["memory.max": "", "memory.current": "900\n"])
        #expect(fake.refusal { $0.memory.swappiness = 1 } == "set memory.swappiness: not supported: cgroup v2 has no such limit")
        #expect(fake.refusal { $0.memory.disableOOMKiller = true }.contains("memory.disableOOMKiller"))
        #expect(fake.refusal { $0.memory.kernel = 1 }.contains("memory.kernel"))
        #expect(fake.refusal { $0.memory.swap = 6 } == "set memory.swap: memory.limit must be set with it")
        #expect(fake.refusal { $0.cpu.realtimeRuntime = 5 }.contains("cgroup v2 has no real-time limits"))
        #expect(fake.refusal { $0.blockIO.leafWeight = 10 }.contains("blockIO.leafWeight"))
        #expect(
            fake.refusal {
                $0.memory.limit = 800; $0.memory.checkBeforeUpdate = true
            } == "set memory.limit: rejecting memory limit 800, which is below the present usage of 900")
        #expect(
            fake.refusal {
                $0.memory.limit = 800; $0.memory.swap = 850; $0.memory.checkBeforeUpdate = true
            }.contains("rejecting memory+swap limit 850"))
    }

    @Test(arguments: [(UInt64(2), UInt64(1)), (1024, 100), (512, 59), (2048, 174), (262_144, 10_000)])
    func sharesBecomeWeight(shares: UInt64, weight: UInt64) throws {
        #expect(CgroupResources.CPU.weight(fromShares: shares) == weight)
        let fake = try FakeCgroups(v2: Self.all, knobs: ["cpu.weight": ""])
        _ = try fake.create { $0.cpu.shares = shares }
        #expect(fake.read("unified", "cpu.weight") == "\(weight)")
    }

    @Test func weightNeverFallsWithMoreShares() {
        var last: UInt64 = 0
        for shares in stride(from: 2 as UInt64, through: 262_144, by: 17) {
            let weight = CgroupResources.CPU.weight(fromShares: shares)
            if weight < last || weight < 1 || weight > 10_000 { Issue.record("\(shares) → \(weight) after \(last)") }
            last = weight
        }
    }

    @Test(arguments: [
        (Int64(50_000), UInt64(100_000), "50000 100000"), (-1, 200_000, "max 200000"), (7000, 0, "7000"), (0, 10_000, "3000 10000"),
        (-1, 0, "max"),
    ])
    func quotaAndPeriod(quota: Int64, period: UInt64, written: String) throws {
        let fake = try FakeCgroups(v2: Self.all, knobs: ["cpu.max": "3000 100000\n"])
        _ = try fake.create {
            $0.cpu.quota = quota
            $0.cpu.period = period
        }
        #expect(fake.read("unified", "cpu.max")?.hasPrefix(written) == true)
    }

    @Test func blockIOKnobs() throws {
        let fake = try FakeCgroups(v2: Self.all, knobs: ["io.weight": "", "io.max": ""])
        _ = try fake.create {
            $0.blockIO.weight = 1000
            $0.blockIO.readBytes = [.init(major: 8, minor: 0, rate: 0)]
        }
        #expect(fake.read("unified", "io.weight") == "10000")
        #expect(fake.read("unified", "io.max") == "8:0 rbps=max")
        #expect(CgroupResources.BlockIO.unifiedWeight(10) == 1)
        let bfq = try FakeCgroups(v2: Self.all, knobs: ["io.weight": "", "io.bfq.weight": ""])
        _ = try bfq.create { $0.blockIO.weightDevices = [.init(major: 8, minor: 0, weight: 500)] }
        #expect(bfq.read("unified", "io.bfq.weight") == "8:0 500")
        #expect(bfq.read("unified", "io.weight") == "")
    }

    @Test func unifiedKeysAreWrittenAsTheyAre() throws {
        let fake = try FakeCgroups(v2: Self.all, knobs: ["memory.high": "", "misc.max": ""])
        _ = try fake.create { $0.unified = ["memory.high": "123", "misc.max": "res_a 1"] }
        #expect(fake.read("unified", "memory.high") == "123")
        #expect(fake.read("unified", "misc.max") == "res_a 1")
        for name in ["../memory.high", "a/b", "", "..", "."] {
            #expect(fake.refusal { $0.unified = [name: "1"] }.contains("not a file name"), "\(name)")
        }
        #expect(fake.refusal { $0.unified = ["memory.nothing": "1"] }.contains("this kernel has no memory.nothing"))
    }

    @Test func controllersAreSwitchedOnInEveryAncestor() throws {
        let fake = try FakeCgroups(v2: ["memory", "pids"])
        try Files.write("\(fake.scratch.path)/unified/test/cgroup.subtree_control", "pids")
        _ = try fake.create()
        #expect(try Files.readText("\(fake.scratch.path)/unified/cgroup.subtree_control") == "+memory +pids")
        #expect(try Files.readText("\(fake.scratch.path)/unified/test/cgroup.subtree_control").hasPrefix("+memory"))
        #expect(fake.read("unified", "cgroup.subtree_control") == "")
    }

    @Test func hybridSwitchesOnOnlyWhatIsAskedFor() throws {
        let fake = try FakeCgroups(v1: ["memory"], v2: ["hugetlb", "misc"], knobs: ["hugetlb.2MB.max": ""])
        _ = try fake.create()
        #expect(try Files.readText("\(fake.scratch.path)/unified/cgroup.subtree_control") == "")
        _ = try fake.create { $0.hugepages = [.init(pageSize: "2MB", limit: 4)] }
        #expect(try Files.readText("\(fake.scratch.path)/unified/cgroup.subtree_control") == "+hugetlb")
        #expect(fake.read("unified", "hugetlb.2MB.max") == "4")
        #expect(fake.layout.version == .hybrid)
    }
}

@Suite struct CgroupPathTests {
    @Test(arguments: [("/a/b", "/a/b"), ("a", "/a"), ("//a/./b/", "/a/b"), ("/a:b:c", "/a:b:c")])
    func accepted(path: String, result: String) throws { #expect(try CgroupManager.validated(path) == result) }

    @Test(arguments: ["", "/", "/..", "/a/../../b", "../x", "/a\0b", "."])
    func refused(path: String) { #expect(throws: CgroupError.self) { try CgroupManager.validated(path) } }

    @Test func systemdFormIsNotImplemented() {
        #expect(throws: CgroupError.notImplemented("systemd cgroup driver (cgroupsPath system.slice:docker:abc)")) {
            try CgroupManager.validated("system.slice:docker:abc")
        }
    }
}
