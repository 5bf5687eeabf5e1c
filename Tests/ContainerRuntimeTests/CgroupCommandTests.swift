import JSON
import Linux
import OCIRuntimeSpec
import Testing

@testable import ContainerRuntime

@Suite struct ResourcesUpdateTests {
    private func resources(_ text: String) throws -> Spec.Resources { try Spec.Resources(parsing: Array(text.utf8)) }

    @Test func changesReplaceWhatTheyName() throws {
        let before = try resources(
            #"{"memory":{"limit":1,"reservation":2},"cpu":{"shares":3,"cpus":"0"},"pids":{"limit":4},"unified":{"a.b":"1","c.d":"2"},"#
                + #""hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":2}]}"#)
        let changes = try resources(
            #"{"memory":{"limit":9},"cpu":{"quota":8},"unified":{"c.d":"3"},"hugepageLimits":[{"pageSize":"1GB","limit":7}]}"#)
        let after = before.merged(with: changes)
        #expect(after.memory?.limit == 9 && after.memory?.reservation == 2)
        #expect(after.cpu?.shares == 3 && after.cpu?.cpus == "0" && after.cpu?.quota == 8)
        #expect(after.pidsLimit == 4 && after.unified == ["a.b": "1", "c.d": "3"])
        #expect(after.hugepageLimits == [.init(pageSize: "2MB", limit: 1), .init(pageSize: "1GB", limit: 7)])
        let undo = before.restricted(to: changes)
        #expect(undo.memory == before.memory && undo.pidsLimit == nil && undo.unified == ["c.d": "2"])
        #expect(undo.hugepageLimits == [.init(pageSize: "1GB", limit: 2)])
    }

    @Test func whatALimitNeedsBesideIt() throws {
        let before = try resources(#"{"memory":{"limit":100},"cpu":{"quota":50,"period":1000}}"#)
        var swap = try resources(#"{"memory":{"swap":200}}"#)
        swap.complete(from: before)
        #expect(swap.memory?.limit == 100)
        var unlimited = try resources(#"{"memory":{"limit":-1}}"#)
        unlimited.complete(from: before)
        #expect(unlimited.memory?.swap == -1)
        var quota = try resources(#"{"cpu":{"quota":70}}"#)
        quota.complete(from: before)
        #expect(quota.cpu?.period == 1000)
        var nothing = Spec.Resources()
        nothing.complete(from: before)
        #expect(nothing == Spec.Resources())
    }

    @Test func anUndoneProcessLimitIsNoLimit() throws {
        #expect(Spec.Resources().restricted(to: try resources(#"{"pids":{"limit":5}}"#)).pidsLimit == -1)
    }
}

@Suite struct CgroupCommandTests {
    @Test(arguments: [
        ("5s", 5000), ("100ms", 100), ("1m30s", 90_000), ("1.5s", 1500), ("2h", 7_200_000), ("1ns", 1), ("0", 0), ("0s", 0), ("-1s", -1000),
        ("+2s", 2000),
    ])
    func durations(_ text: String, _ milliseconds: Int64) { #expect(EventsCommand.milliseconds(text) == milliseconds) }

    @Test(arguments: ["", "-", "5", "s", "5x", "5s6", "1..2s", "soon", "９s"])
    func noDurations(_ text: String) { #expect(EventsCommand.milliseconds(text) == nil) }

    @Test func cgroupOptions() throws {
        #expect(try ExecCommand.cgroupPaths(["a/b"]) == ["": "a/b"])
        #expect(try ExecCommand.cgroupPaths(["cpu,memory:a", "pids:b"]) == ["cpu": "a", "memory": "a", "pids": "b"])
        #expect(throws: RuntimeError.self) { try ExecCommand.cgroupPaths(["a:b:c"]) }
        #expect(throws: RuntimeError.self) { try ExecCommand.cgroupPaths(["cpu:a", "b"]) }
    }

    /// The names and their order are runc's; engines read them.
    @Test func statisticsDocument() {
        var statistics = CgroupStatistics()
        var cpu = CgroupStatistics.CPU()
        cpu.total = 5
        cpu.periods = 2
        statistics.cpu = cpu
        var details = CgroupStatistics.Details()
        details.memory.limit = .max
        details.memory.usage = 7
        details.hugepages["2MB"] = .init()
        #expect(
            StatisticsDocument.data(statistics, details).text()
                == #"{"cpu":{"usage":{"total":5,"kernel":0,"user":0},"throttling":{"periods":2}},"cpuset":{},"#
                + #""memory":{"usage":{"limit":18446744073709551615,"usage":7,"failcnt":0},"swap":{"limit":0,"failcnt":0},"#
                + #""kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0}},"#
                + #""pids":{},"blkio":{},"hugetlb":{"2MB":{"failcnt":0}},"intel_rdt":{},"network_interfaces":null}"#)
    }

    @Test func hostNumbersOfMappedUsers() {
        let mappings: [Spec.IDMapping] = [.init(containerID: 0, hostID: 1000, size: 1), .init(containerID: 1, hostID: 100_000, size: 10)]
        #expect(mappings.hostID(of: 0) == 1000 && mappings.hostID(of: 5) == 100_004)
        #expect(mappings.hostID(of: 11) == nil)
    }

    @Test func relativeCgroupPaths() {
        #expect(ContainerPlan.cgroupPath(nil, id: "x") == "/clipper-runtime-x")
        #expect(ContainerPlan.cgroupPath("a/b", id: "x") == "/clipper-runtime/a/b")
        #expect(ContainerPlan.cgroupPath("./.", id: "x") == "/")
    }
}
