import CLinux
import Glibc
import Testing

@testable import Linux

private let isRoot = geteuid() == 0
private let layout = try? CgroupLayout.detect()

/// On the real kernel, whatever cgroup version it has.
@Suite(.enabled(if: isRoot && layout?.hierarchies.isEmpty == false, "needs root and cgroups"), .serialized)
struct CgroupKernelTests {
    @Test func detectionAgreesWithTheMountTable() throws {
        let fast = try CgroupLayout.detect()
        let table = try CgroupLayout.fromMountInfo(try Files.readText("/proc/self/mountinfo"))
        #expect(Set(fast.hierarchies) == Set(table.hierarchies))
        #expect(fast.version == table.version)
    }

    @Test func createAndRemoveLeaveNothing() throws {
        let cgroup = try RealCgroup()
        let paths = Set(cgroup.manager.paths.values)
        #expect(!paths.isEmpty && paths.allSatisfy(Files.isDirectory))
        try cgroup.manager.remove()
        #expect(!paths.contains(where: Files.exists))
        try cgroup.manager.remove()
        #expect(throws: SystemError.self) { try CgroupManager.open(path: cgroup.path) }
    }

    @Test func openFindsWhatCreateMade() throws {
        let cgroup = try RealCgroup()
        #expect(try CgroupManager.open(path: cgroup.path).paths == cgroup.manager.paths)
    }

    @Test func limitsReachTheKernel() throws {
        let cgroup = try RealCgroup {
            $0.memory.limit = 64 << 20
            $0.pidsLimit = 17
            $0.cpu.shares = 512
            $0.cpu.quota = 50_000
            $0.cpu.period = 100_000
            $0.cpu.cpus = "0"
        }
        let statistics = try cgroup.manager.statistics()
        #expect(statistics.memory?.limit == 64 << 20)
        #expect(statistics.pids == CgroupStatistics.Pids(current: 0, limit: 17))
        #expect(cgroup.read("cpuset", "cpuset.cpus") == "0\n")
        if layout?.version == .v2 {
            #expect(cgroup.read("cpu", "cpu.max") == "50000 100000\n")
        } else {
            #expect(cgroup.read("cpu", "cpu.shares") == "512\n")
            #expect(cgroup.read("cpu", "cpu.cfs_quota_us") == "50000\n")
        }
        var change = CgroupResources()
        change.memory.limit = 128 << 20
        change.pidsLimit = -1
        change.cpu.quota = -1
        try cgroup.manager.apply(change)
        #expect(try cgroup.manager.statistics().memory?.limit == 128 << 20)
        #expect(try cgroup.manager.statistics().pids?.limit == nil)
    }

    @Test func swapLimitMovesUpAndDownWithMemory() throws {
        let cgroup = try RealCgroup()
        guard let memory = cgroup.manager.directory(of: "memory"), memory.isUnified || memory.has("memory.memsw.limit_in_bytes") else {
            return
        }
        for limit in [Int64(64) << 20, 256 << 20, 32 << 20] {
            var change = CgroupResources()
            change.memory.limit = limit
            change.memory.swap = limit * 2
            try cgroup.manager.apply(change)
            #expect(try cgroup.manager.statistics().memory?.limit == UInt64(limit))
            if !memory.isUnified { #expect(memory.number("memory.memsw.limit_in_bytes") == UInt64(limit * 2)) }
        }
        var change = CgroupResources()
        change.memory.limit = -1
        try cgroup.manager.apply(change)
        #expect(try cgroup.manager.statistics().memory?.limit == nil)
    }

    @Test func refusedLimitLeavesNothingBehind() throws {
        let path = "/clipper-tests-\(getpid())/refused"
        var resources = CgroupResources()
        resources.cpu.cpus = "4000"
        #expect(throws: (any Error).self) { try CgroupManager.create(path: path, resources: resources) }
        #expect(throws: SystemError.self) { try CgroupManager.open(path: path) }
    }

    @Test func attachKillAndEmpty() throws {
        let cgroup = try RealCgroup()
        let children = try [Child("sleep", "100"), Child("sleep", "100")]
        for child in children { try cgroup.manager.attach(pid: child.pid) }
        #expect(Set(try cgroup.manager.processes()) == Set(children.map(\.pid)))
        let path = cgroup.path
        let first = try #require(cgroup.manager.directories.first).path
        #expect(throws: CgroupError.occupied(path: first, processes: 2)) {
            try CgroupManager.create(path: path, resources: CgroupResources())
        }
        try cgroup.manager.kill()
        for child in children { #expect(child.wait() == SIGKILL) }
        #expect(try cgroup.manager.processes().isEmpty)
    }

    @Test func otherSignalsReachEveryProcess() throws {
        let cgroup = try RealCgroup()
        let children = try [Child("sleep", "100"), Child("sleep", "100")]
        for child in children { try cgroup.manager.attach(pid: child.pid) }
        try cgroup.manager.kill(SIGTERM)
        for child in children { #expect(child.wait() == SIGTERM) }
    }

    @Test func killOutrunsAForkingProcess() throws {
        let cgroup = try RealCgroup { $0.pidsLimit = 40 }
        let child = try Child("sh", "-c", "read go <&0; f() { while :; do sleep 0.01 & f2=$!; done; }; sleep 0.2; f & f & wait")
        try cgroup.manager.attach(pid: child.pid)
        #expect(eventually { ((try? cgroup.manager.processes().count) ?? 0) > 5 })
        try cgroup.manager.kill()
        _ = child.wait()
        #expect(eventually { (try? cgroup.manager.processes().isEmpty) ?? false })
    }

    @Test func freezeStopsAndThawGoesOn() throws {
        let cgroup = try RealCgroup()
        let scratch = try Scratch()
        let child = try Child("sh", "-c", "while :; do echo >>\(scratch.file("ticks")); sleep 0.01; done")
        try cgroup.manager.attach(pid: child.pid)
        func ticks() -> Int { (try? Files.read(scratch.file("ticks")).count) ?? 0 }
        #expect(eventually { ticks() > 2 })
        #expect(!cgroup.manager.isFrozen)
        try cgroup.manager.freeze()
        #expect(cgroup.manager.isFrozen)
        let before = ticks()
        usleep(60_000)
        #expect(ticks() == before)
        try cgroup.manager.thaw()
        #expect(!cgroup.manager.isFrozen)
        #expect(eventually { ticks() > before })
        try cgroup.manager.freeze()
        // A frozen cgroup can be killed at once.
        try cgroup.manager.kill()
        #expect(child.wait() == SIGKILL)
    }

    @Test func threadEntersByItself() throws {
        guard layout?.version != .v2 else { return }
        let cgroup = try RealCgroup()
        let path = cgroup.path
        let entrance = try cgroup.manager.entrance(includingUnified: false)
        let membership = onOwnThread { () -> String in
            do { try entrance.enter() } catch { return "\(error)" }
            return (try? Files.readText("/proc/thread-self/cgroup")) ?? ""
        }
        let lines = try #require(membership).split(separator: "\n").filter { !$0.hasPrefix("0::") }
        #expect(!lines.isEmpty && lines.allSatisfy { $0.hasSuffix(":\(path)") }, "\(membership ?? "")")
    }

    @Test func outOfMemoryIsNoticedAndCounted() throws {
        guard layout?.controllers.contains("memory") == true else { return }
        let cgroup = try RealCgroup {
            $0.memory.limit = 24 << 20
            $0.memory.swap = 48 << 20
        }
        let watch = try cgroup.manager.oomWatch()
        #expect(watch.count() == 0)
        var entry = pollfd(fd: watch.descriptor.raw, events: Int16(POLLIN), revents: 0)
        #expect(poll(&entry, 1, 0) == 0)
        // Waits until it is in the cgroup, then takes more than it may have.
        let child = try Child("sh", "-c", "sleep 0.2; exec dd if=/dev/zero of=/dev/null bs=200M count=1")
        try cgroup.manager.attach(pid: child.pid)
        #expect(poll(&entry, 1, 10_000) == 1)
        #expect(child.wait() == SIGKILL)
        watch.drain()
        #expect(watch.count() == 1)
        #expect(cgroup.manager.oomKills == 1)
        let memory = try #require(cgroup.manager.statistics().memory)
        #expect(memory.oomKills == 1 && memory.failures > 0)
    }

    @Test func statisticsCountWork() throws {
        let cgroup = try RealCgroup()
        let child = try Child("sh", "-c", "sleep 0.1; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exec sleep 100")
        try cgroup.manager.attach(pid: child.pid)
        #expect(eventually { ((try? cgroup.manager.statistics().cpu?.total) ?? 0) > 50_000_000 })
        let statistics = try cgroup.manager.statistics()
        let cpu = try #require(statistics.cpu)
        // v1 counts these two in ticks, which may fall as they like on a busy machine.
        #expect(cpu.user > 0 && cpu.user + cpu.system <= cpu.total * 2 + 40_000_000)
        if layout?.version != .v2 { #expect(!cpu.perCPU.isEmpty) }
        #expect(eventually { (try? cgroup.manager.statistics().pids?.current) == 1 })
        #expect((statistics.memory?.usage ?? 0) > 0)
        #expect(statistics.memory?.detail.isEmpty == false)
    }

    @Test func cgroupsMadeInsideAreKilledAndRemovedToo() throws {
        let cgroup = try RealCgroup()
        let inner = try #require(cgroup.manager.primary).path + "/inner"
        #expect(mkdir(inner, 0o755) == 0)
        let child = try Child("sleep", "100")
        if let cpuset = cgroup.manager.primary, cpuset.controllers.contains("cpuset"), !cpuset.isUnified { return }
        try Files.write("\(inner)/cgroup.procs", "\(child.pid)", flags: O_WRONLY)
        #expect(try cgroup.manager.processes() == [child.pid])
        try cgroup.manager.kill()
        #expect(child.wait() == SIGKILL)
        try cgroup.manager.remove()
        #expect(!Files.exists(inner))
    }

    @Test func followsAProcessIntoCgroupsBelow() throws {
        let cgroup = try RealCgroup()
        let child = try Child("sleep", "100")
        try cgroup.manager.attach(pid: child.pid)
        #expect(try cgroup.manager.following(process: child.pid).paths == cgroup.manager.paths)
        let primary = try #require(cgroup.manager.primary)
        #expect(mkdir(primary.path + "/inner", 0o755) == 0)
        try Files.write("\(primary.path)/inner/cgroup.procs", "\(child.pid)", flags: O_WRONLY)
        let followed = try cgroup.manager.following(process: child.pid)
        #expect(followed.primary?.path == primary.path + "/inner")
        // A process that has gone elsewhere is followed in cgroup2 alone, where its own group may be gone.
        let own = cgroup.manager.paths
        for (name, path) in try cgroup.manager.following(process: getpid()).paths { #expect((path == own[name]) == (name != "unified")) }
    }

    /// Somebody froze it on purpose, or it is another container's: as runc, nothing is put into it.
    @Test func frozenLeftoverIsNotTakenOver() throws {
        let cgroup = try RealCgroup()
        try cgroup.manager.freeze()
        #expect(throws: CgroupError.self) {
            _ = try CgroupManager.create(path: cgroup.path, resources: CgroupResources())
        }
        try cgroup.manager.thaw()
        _ = try CgroupManager.create(path: cgroup.path, resources: CgroupResources())
    }

    @Test func devicesOfTheContainerAreRestricted() throws {
        let rules = [DeviceRule(allow: false)] + DeviceRule.containerDefaults
        let cgroup = try RealCgroup { $0.devices = rules }
        // Waits for the word to go, then opens: /dev/null is allowed, /dev/mem's neighbour /dev/kmsg (1:11) is not.
        let child = try Child("sh", "-c", "sleep 0.2; true </dev/null || exit 3; true </dev/kmsg && exit 4; exit 7")
        try cgroup.manager.attach(pid: child.pid)
        #expect(child.wait() == 7 << 8)
    }
}

@Suite(.enabled(if: isRoot && layout?.hierarchies.contains(where: \.isUnified) == true, "needs root and a cgroup2 hierarchy"))
struct CgroupDeviceProgramTests {
    /// The exit status of shell code in a cgroup2 directory with a device program.
    private func run(_ rules: [DeviceRule], then more: [[DeviceRule]] = [], _ script: String) throws -> Int32 {
        let unified = layout?.hierarchies.first { $0.isUnified }
        let hierarchy = try #require(unified)
        let directory = CgroupDirectory(
            mountPoint: hierarchy.mountPoint, relative: "/clipper-tests-bpf-\(getpid())-\(UInt32.random(in: 0 ... .max))", controllers: [],
            isUnified: true)
        #expect(mkdir(directory.path, 0o755) == 0)
        defer { try? directory.remove() }
        for list in [rules] + more { try DeviceProgram(DeviceList(list)).attach(to: directory) }
        let cgroup = try OwnedFD.open(directory.path, O_RDONLY | O_DIRECTORY)
        #expect(try DeviceProgram.attached(to: cgroup, directory.path).count == 1)
        let child = try Child("sh", "-c", "sleep 0.2; \(script)")
        try directory.write("cgroup.procs", "\(child.pid)")
        return child.wait() >> 8
    }

    private static let onlyNull = [DeviceRule(allow: false), DeviceRule(allow: true, kind: .character, major: 1, minor: 3)]

    @Test func kernelObeysTheProgram() throws {
        #expect(try run(Self.onlyNull, "true </dev/null || exit 3; true </dev/zero && exit 4; exit 7") == 7)
    }

    @Test func readAndWriteAreApart() throws {
        let rules = [DeviceRule(allow: true, kind: .character, major: 1, minor: 5, access: .read)]
        #expect(try run(rules, "true </dev/zero || exit 3; true >/dev/zero && exit 4; exit 7") == 7)
    }

    @Test func laterRuleTakesBackPartOfAnEarlierOne() throws {
        let rules = [
            DeviceRule(allow: true, kind: .character), DeviceRule(allow: false, kind: .character, major: 1, minor: 5, access: .write),
        ]
        #expect(try run(rules, "true </dev/zero || exit 3; true >/dev/zero && exit 4; true >/dev/null || exit 5; exit 7") == 7)
    }

    @Test func everythingAllowed() throws {
        #expect(try run([DeviceRule(allow: true)], "true </dev/zero && true >/dev/null && exit 7") == 7)
    }

    @Test func updateReplacesTheProgram() throws {
        #expect(
            try run([DeviceRule(allow: false)], then: [Self.onlyNull], "true </dev/null || exit 3; true </dev/zero && exit 4; exit 7") == 7)
        #expect(try run([DeviceRule(allow: true)], then: [[DeviceRule(allow: false)]], "true </dev/null && exit 4; exit 7") == 7)
    }
}
