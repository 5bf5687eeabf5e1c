internal import JSON
internal import Linux
internal import OCIRuntimeSpec

/// The figures of a cgroup in the words of `runc events`, which containerd and others read. What is zero is left out
/// where runc leaves it out.
enum StatisticsDocument {
    static func event(_ id: String, _ cgroup: CgroupManager) throws -> JSONValue {
        let statistics = try cgroup.statistics()
        return ["type": "stats", "id": .string(id), "data": data(statistics, cgroup.details())]
    }

    static func data(_ statistics: CgroupStatistics, _ details: CgroupStatistics.Details) -> JSONValue {
        [
            "cpu": cpu(statistics.cpu ?? .init(), details),
            "cpuset": details.cpuset.map(cpuset) ?? [:],
            "memory": memory(statistics.memory, details),
            "pids": pids(statistics.pids),
            "blkio": blockIO(statistics.blockIO),
            "hugetlb": .object(
                JSONObject(details.hugepages.sorted { $0.key < $1.key }.map { .init(name: $0.key, value: hugepage($0.value)) })),
            "intel_rdt": [:],
            "network_interfaces": nil,
        ]
    }

    private static func number(_ value: UInt64) -> JSONValue {
        Int64(exactly: value).map { .integer($0) } ?? .unsigned(value)
    }

    private static func numbers(_ values: [UInt64]) -> JSONValue { .array(values.map(number)) }

    /// Members that are left out when they are zero.
    private static func nonzero(_ members: [(String, UInt64)]) -> JSONObject {
        JSONObject(members.filter { $0.1 != 0 }.map { .init(name: $0.0, value: number($0.1)) })
    }

    private static func cpu(_ cpu: CgroupStatistics.CPU, _ details: CgroupStatistics.Details) -> JSONValue {
        var usage = nonzero([("total", cpu.total)])
        if !cpu.perCPU.isEmpty { usage.append("percpu", numbers(cpu.perCPU)) }
        if !details.perCPUKernel.isEmpty {
            usage.append("percpu_kernel", numbers(details.perCPUKernel))
            usage.append("percpu_user", numbers(details.perCPUUser))
        }
        usage.append("kernel", number(cpu.system))
        usage.append("user", number(cpu.user))
        let throttling = nonzero([
            ("periods", cpu.periods), ("throttledPeriods", cpu.throttledPeriods), ("throttledTime", cpu.throttledTime),
        ])
        return ["usage": .object(usage), "throttling": .object(throttling)]
    }

    private static func cpuset(_ set: CgroupStatistics.CPUSet) -> JSONValue {
        var object = JSONObject()
        if !set.cpus.isEmpty { object.append("cpus", .array(set.cpus.map { .integer(Int64($0)) })) }
        for name in CgroupStatistics.CPUSet.flagNames {
            if name == "mem_hardwall" && !set.mems.isEmpty { object.append("mems", .array(set.mems.map { .integer(Int64($0)) })) }
            object.append(name, .integer(set.flags[name] ?? 0))
        }
        return .object(object)
    }

    private static func counter(_ counter: CgroupStatistics.Counter) -> JSONValue {
        var object = JSONObject([.init(name: "limit", value: number(counter.limit))])
        for member in nonzero([("usage", counter.usage), ("max", counter.maximum)]).members { object.append(member.name, member.value) }
        object.append("failcnt", number(counter.failures))
        return .object(object)
    }

    private static func memory(_ memory: CgroupStatistics.Memory?, _ details: CgroupStatistics.Details) -> JSONValue {
        var object = nonzero([("cache", details.cache)])
        object.append("usage", counter(details.memory))
        object.append("swap", counter(details.swap))
        object.append("kernel", counter(details.kernel))
        object.append("kernelTCP", counter(details.kernelTCP))
        let raw = (memory?.detail ?? []).sorted { $0.name < $1.name }
        if !raw.isEmpty { object.append("raw", .object(JSONObject(raw.map { .init(name: $0.name, value: number($0.value)) }))) }
        return .object(object)
    }

    private static func pids(_ pids: CgroupStatistics.Pids?) -> JSONValue {
        .object(nonzero([("current", pids?.current ?? 0), ("limit", pids?.limit ?? 0)]))
    }

    private static func blockIO(_ blockIO: CgroupStatistics.BlockIO?) -> JSONValue {
        var object = JSONObject()
        for (name, devices) in [
            ("ioServiceBytesRecursive", blockIO?.bytes ?? []), ("ioServicedRecursive", blockIO?.operations ?? []),
        ] where !devices.isEmpty {
            let entries: [JSONValue] = devices.map { device in
                var entry = nonzero([("major", device.major), ("minor", device.minor)])
                entry.append("op", .string(device.operation))
                for member in nonzero([("value", device.value)]).members { entry.append(member.name, member.value) }
                return .object(entry)
            }
            object.append(name, .array(entries))
        }
        return .object(object)
    }

    private static func hugepage(_ pages: CgroupStatistics.Counter) -> JSONValue {
        var object = nonzero([("usage", pages.usage), ("max", pages.maximum)])
        object.append("failcnt", number(pages.failures))
        return .object(object)
    }
}
