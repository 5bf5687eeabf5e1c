import Testing

@testable import Linux

@Suite struct CgroupLayoutTests {
    private func layout(_ lines: String...) throws -> CgroupLayout {
        try CgroupLayout.fromMountInfo(lines.joined(separator: "\n")) {
            CgroupLayout.Hierarchy(mountPoint: $0, controllers: ["memory"], isUnified: true)
        }
    }

    @Test func hybridHost() throws {
        let found = try layout(
            "22 27 0:21 / /proc rw,relatime - proc proc rw",
            "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 master:3 - cgroup cgroup rw,cpu,cpuacct",
            "33 31 0:30 / /sys/fs/cgroup/net\\040cls rw - cgroup cgroup rw,net_cls,xattr,clone_children",
            "34 31 0:31 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/bin/x,name=systemd",
            "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw")
        #expect(found.version == .hybrid)
        #expect(found.hierarchies.map(\.controllers) == [["cpu", "cpuacct"], ["net_cls"], ["name=systemd"], ["memory"]])
        #expect(found.hierarchy(of: "net_cls")?.mountPoint == "/sys/fs/cgroup/net cls")
        #expect(found.controllers == ["cpu", "cpuacct", "net_cls", "memory"])
    }

    @Test func pureHosts() throws {
        #expect(try layout("41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup rw,nsdelegate").version == .v2)
        #expect(try layout("41 31 0:38 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids").version == .v1)
    }

    @Test func secondMountOfAHierarchyCountsOnce() throws {
        let found = try layout(
            "1 0 0:1 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids", "2 0 0:1 / /elsewhere rw - cgroup cgroup rw,pids",
            "3 0 0:2 / /a rw - cgroup2 cgroup rw", "4 0 0:2 / /b rw - cgroup2 cgroup rw")
        #expect(found.hierarchies.map(\.mountPoint) == ["/sys/fs/cgroup/pids", "/a"])
    }

    @Test func oddLinesAreSkipped() throws {
        #expect(try layout("", "nonsense", "1 2 3", "1 2 3 4 5 -", "1 2 3 4 5 - cgroup").hierarchies.isEmpty)
    }
}

@Suite struct DeviceListTests {
    private func rule(_ allow: Bool, _ kind: DeviceRule.Kind, _ major: UInt32?, _ minor: UInt32?, _ access: DeviceRule.Access = .all)
        -> DeviceRule
    {
        DeviceRule(allow: allow, kind: kind, major: major, minor: minor, access: access)
    }

    private func v1(_ held: String, _ rules: [DeviceRule]) throws -> (allow: String?, deny: String?) {
        let fake = try FakeCgroups(v1: ["devices"], knobs: ["devices.list": held, "devices.allow": "", "devices.deny": ""])
        _ = try fake.create { $0.devices = rules }
        return (fake.read("devices", "devices.allow"), fake.read("devices", "devices.deny"))
    }

    @Test func freshCgroupIsClosedAndThenOpened() throws {
        let written = try v1("a *:* rwm\n", [rule(false, .all, nil, nil), rule(true, .character, 1, 3)])
        #expect(written.deny == "a")
        #expect(written.allow == "c 1:3 rwm")
    }

    @Test func listWithoutAWordForAllStartsClosed() throws {
        #expect(try v1("a *:* rwm\n", [rule(true, .block, nil, nil, .mknod)]) == ("b *:* m", "a"))
    }

    @Test func everythingAllowedNeedsNoWrite() throws { #expect(try v1("a *:* rwm\n", [rule(true, .all, nil, nil)]) == ("", "")) }

    @Test func updateWritesOnlyTheDifference() throws {
        let written = try v1(
            "c 1:3 rwm\nb 8:* rw\n", [rule(false, .all, nil, nil), rule(true, .character, 1, 3), rule(true, .block, 8, nil, .read)])
        #expect(written == ("", "b 8:* w"))
        #expect(try v1("c 1:3 rwm\n", [rule(true, .character, 1, 3), rule(true, .character, 1, 5)]) == ("c 1:5 rwm", ""))
    }

    @Test func laterRulesOverrideEarlierOnes() throws {
        let list = try DeviceList([
            rule(true, .character, 1, 3), rule(false, .all, nil, nil), rule(true, .character, 1, 5), rule(false, .character, 1, 5, .write),
        ])
        #expect(try list.exceptions() == [DeviceList.Key(kind: .character, major: 1, minor: 5): [.read, .mknod]])
    }

    @Test func holeInAWiderRuleIsRefusedOnV1() throws {
        let list = try DeviceList([rule(true, .character, nil, nil), rule(false, .character, 1, 3)])
        #expect(throws: CgroupError.unsupported(setting: "devices", reason: "cgroup v1 cannot take c 1:3 out of c *:*")) {
            try list.exceptions()
        }
        // Mknod of everything stays when reading of one is taken back: no overlap.
        let apart = try DeviceList([rule(true, .character, nil, nil, .mknod), rule(false, .character, 1, 3, .read)])
        #expect(try apart.exceptions().count == 1)
    }

    @Test func rulesThatTheKernelWouldWidenAreRefused() {
        #expect(throws: CgroupError.self) { try DeviceList([rule(true, .all, 1, 3)]) }
        #expect(throws: CgroupError.self) { try DeviceList([rule(false, .all, nil, nil, .read)]) }
        #expect(throws: CgroupError.self) { try DeviceList([rule(true, .character, 0x8000_0000, 1)]) }
    }

    @Test func accessLetters() {
        #expect(DeviceRule.Access("mrw") == .all)
        #expect(DeviceRule.Access("") == .all)
        #expect(DeviceRule.Access("rx") == nil)
        #expect(DeviceRule.Access([.read, .mknod]).letters == "rm")
    }
}

@Suite struct CgroupStatisticsTests {
    @Test func v1Figures() throws {
        let fake = try FakeCgroups(
            v1: ["cpu,cpuacct", "memory", "blkio"],
            knobs: [
                "cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 700\n", "cpuacct.usage": "900\n",
                "cpuacct.usage_all": "cpu user system\n0 100 200\n1 300 250\n", "memory.usage_in_bytes": "4096\n",
                "memory.limit_in_bytes": "9223372036854771712\n", "memory.memsw.usage_in_bytes": "5000\n", "memory.failcnt": "3\n",
                "memory.stat": "cache 10\nrss 20\n", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
                "blkio.throttle.io_service_bytes_recursive": "8:0 Read 5\n8:0 Write 6\n8:0 Total 11\nTotal 11\n",
                "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n",
            ])
        let statistics = try fake.create().statistics()
        let cpu = try #require(statistics.cpu)
        #expect([cpu.total, cpu.user, cpu.system, cpu.periods, cpu.throttledPeriods, cpu.throttledTime] == [900, 400, 450, 5, 2, 700])
        #expect(cpu.perCPU == [300, 550])
        let memory = try #require(statistics.memory)
        #expect(memory.usage == 4096 && memory.limit == nil && memory.swapUsage == 904 && memory.failures == 3 && memory.oomKills == 4)
        #expect(memory.detail("rss") == 20 && memory.detail("nothing") == nil)
        #expect(statistics.blockIO?.bytes.map(\.value) == [5, 6, 11])
        #expect(statistics.blockIO?.operations == [.init(major: 8, minor: 0, operation: "Read", value: 1)])
        #expect(statistics.pids == nil)
    }

    @Test func v2Figures() throws {
        let fake = try FakeCgroups(
            v2: ["cpu", "memory", "pids", "io"],
            knobs: [
                "cpu.stat": "usage_usec 9\nuser_usec 4\nsystem_usec 5\nnr_periods 1\nnr_throttled 1\nthrottled_usec 2\n",
                "memory.current": "100\n", "memory.max": "max\n", "memory.peak": "150\n", "memory.stat": "anon 7\n",
                "memory.events": "low 0\nhigh 0\nmax 6\noom 1\noom_kill 2\n", "memory.swap.current": "1\n", "pids.current": "3\n",
                "pids.max": "max\n", "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n259:1 \n",
            ])
        let statistics = try fake.create().statistics()
        #expect(statistics.cpu?.total == 9000 && statistics.cpu?.throttledTime == 2000)
        let memory = try #require(statistics.memory)
        #expect(memory.usage == 100 && memory.limit == nil && memory.maximumUsage == 150 && memory.failures == 6 && memory.oomKills == 2)
        #expect(statistics.pids == .init(current: 3, limit: nil))
        #expect(statistics.blockIO?.bytes.map(\.value) == [1, 2, 5])
        #expect(statistics.blockIO?.operations.map(\.operation) == ["Read", "Write", "Discard"])
    }
}
