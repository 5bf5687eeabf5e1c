import JSON
import OCIRuntimeSpec
import Testing

/// The fields of specification 1.1 to 1.3 for what a process is given.
@Suite struct ProcessFieldsTests {
    private static let all = #"""
        {"ociVersion": "1.3.0", "process": {
            "scheduler": {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 1, "deadline": 2, "period": 18446744073709551615},
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 0}, "execCPUAffinity": {"initial": "0-1", "final": "1"}},
         "linux": {
            "namespaces": [{"type": "time", "path": "/t"}],
            "timeOffsets": {"monotonic": {"secs": -5}, "boottime": {"secs": 9223372036854775807, "nanosecs": 7}},
            "netDevices": {"eth1": {}, "eth0": {"name": "in%d"}},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-3,7", "flags": ["MPOL_F_STATIC_NODES"]},
            "intelRdt": {"closID": "gold", "l3CacheSchema": "L3:0=f", "memBwSchema": "MB:0=10", "schemata": ["L2:0=1"], "enableMonitoring": true},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/l", "listenerMetadata": "m"}}}
        """#

    @Test func areRead() throws {
        let spec = try Spec(parsing: Array(Self.all.utf8))
        var scheduler = Spec.Scheduler(.deadline)
        scheduler.flags = [.reclaim]
        (scheduler.runtime, scheduler.deadline, scheduler.period) = (1, 2, .max)
        #expect(spec.process?.scheduler == scheduler)
        #expect(spec.process?.ioPriority == Spec.IOPriority(.bestEffort, priority: 0))
        #expect(spec.process?.execCPUAffinity == Spec.CPUAffinity(initial: "0-1", final: "1"))
        #expect(spec.linux.namespaces == [.init(.time, path: "/t")])
        #expect(spec.linux.timeOffsets == ["monotonic": .init(seconds: -5), "boottime": .init(seconds: .max, nanoseconds: 7)])
        #expect(spec.linux.netDevices == [.init(hostName: "eth0", name: "in%d"), .init(hostName: "eth1")])
        #expect(spec.linux.memoryPolicy == Spec.MemoryPolicy(.bind, nodes: "0-3,7", flags: [.staticNodes]))
        #expect(spec.linux.intelRdt?.lines == ["L3:0=f", "MB:0=10", "L2:0=1"])
        #expect(spec.linux.intelRdt?.enableMonitoring == true)
    }

    /// What is written is read back the same: state.json and the engine's config.json depend on it.
    @Test func surviveTheirOwnJSON() throws {
        let spec = try Spec(parsing: Array(Self.all.utf8))
        #expect(try Spec(parsing: spec.json.serialized()) == spec)
    }

    @Test(arguments: [
        (#""process": {"scheduler": {}}"#, "process.scheduler.policy"),
        (#""process": {"scheduler": {"policy": "SCHED_NORMAL"}}"#, "process.scheduler.policy"),
        (#""process": {"scheduler": {"policy": "SCHED_OTHER", "nice": "1"}}"#, "process.scheduler.nice"),
        (#""process": {"scheduler": {"policy": "SCHED_OTHER", "flags": ["X"]}}"#, "process.scheduler.flags[0]"),
        (#""process": {"scheduler": {"policy": "SCHED_DEADLINE", "runtime": -1}}"#, "process.scheduler.runtime"),
        (#""process": {"ioPriority": {"class": "IOPRIO_CLASS_NONE", "priority": 1}}"#, "process.ioPriority.class"),
        (#""process": {"ioPriority": {"class": "IOPRIO_CLASS_BE"}}"#, "process.ioPriority.priority"),
        (#""process": {"execCPUAffinity": {"initial": 1}}"#, "process.execCPUAffinity.initial"),
        (#""linux": {"timeOffsets": {"boottime": {"secs": 1.5}}}"#, "linux.timeOffsets.boottime.secs"),
        (#""linux": {"timeOffsets": {"boottime": 1}}"#, "linux.timeOffsets.boottime"),
        (#""linux": {"timeOffsets": []}"#, "linux.timeOffsets"),
        (#""linux": {"netDevices": {"eth0": "eth1"}}"#, "linux.netDevices.eth0"),
        (#""linux": {"netDevices": {"eth0": {"name": 5}}}"#, "linux.netDevices.eth0.name"),
        (#""linux": {"memoryPolicy": {"nodes": "0"}}"#, "linux.memoryPolicy.mode"),
        (#""linux": {"memoryPolicy": {"mode": "MPOL_BIND", "flags": ["Y"]}}"#, "linux.memoryPolicy.flags[0]"),
        (#""linux": {"intelRdt": {"schemata": "L3:0=f"}}"#, "linux.intelRdt.schemata"),
        (#""linux": {"intelRdt": {"closID": 1}}"#, "linux.intelRdt.closID"),
    ])
    func areRefusedByName(_ member: String, _ field: String) {
        let error = #expect(throws: SpecError.self) { try Spec(parsing: Array(#"{"ociVersion": "1.3.0", \#(member)}"#.utf8)) }
        #expect(error?.field == field)
        #expect(error?.kind == .invalid)
    }
}
