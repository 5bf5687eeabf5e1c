internal import EngineTypes
internal import Glibc
internal import JSON
internal import Linux

/// What a container had used at one moment: its cgroups' figures, its network's, and the host's for comparison.
struct ResourceSample: Sendable {
    let time: Timestamp
    let statistics: CgroupStatistics
    /// Counters of each interface but the loopback; nil when the container has no network of its own.
    let networks: [Interface]?
    /// Nanoseconds that all processors of the host have spent in any state, and how many there are.
    let systemTime: UInt64
    let processors: Int

    struct Interface: Sendable, Equatable {
        let name: String
        /// As /proc/net/dev has them: received bytes, packets, errors, dropped; then the same sent.
        let received: [UInt64]
        let sent: [UInt64]
    }

    /// Blocks. Throws ENOENT when the container has gone.
    /// - Parameter pid: a process in the container's network namespace; nil when it has none of its own.
    init(_ cgroup: CgroupManager, networkOf pid: Int32?) throws {
        statistics = try cgroup.statistics()
        networks = pid.map { Self.interfaces((try? Files.readText("/proc/\($0)/net/dev")) ?? "") }
        (systemTime, processors) = Self.hostTime((try? Files.readText("/proc/stat")) ?? "")
        time = .now()
    }

    /// proc(5), /proc/net/dev: two titles, then `name: 8 numbers received, 8 sent`.
    static func interfaces(_ text: String) -> [Interface] {
        text.split(separator: "\n").dropFirst(2).compactMap { line in
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let name = line[..<colon].drop { $0 == " " }
            let numbers = line[line.index(after: colon)...].split(separator: " ").compactMap { UInt64($0) }
            guard name != "lo", numbers.count >= 16 else { return nil }
            return Interface(name: String(name), received: Array(numbers[0..<4]), sent: Array(numbers[8..<12]))
        }
    }

    /// proc(5), /proc/stat: the first seven numbers of `cpu` in clock ticks (guest time is part of them), and the `cpuN` lines.
    static func hostTime(_ text: String) -> (nanoseconds: UInt64, processors: Int) {
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("cpu") }
        let ticks = lines.first { $0.hasPrefix("cpu ") }?.split(separator: " ").dropFirst().prefix(7).compactMap { UInt64($0) } ?? []
        let perSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return (ticks.reduce(0, +) * (1_000_000_000 / perSecond), lines.count { !$0.hasPrefix("cpu ") })
    }
}

/// `GET /containers/{id}/stats`: samples in the words of the API.
struct StatsDocument {
    let id: String
    let name: String
    let isUnified: Bool
    /// What a container without a limit could use: the host's memory.
    let hostMemory: Int64

    private static let never = "0001-01-01T00:00:00Z"

    /// - Parameter before: the sample of a second ago; nil at the start of a stream.
    func json(_ sample: ResourceSample?, before: ResourceSample?) -> JSONValue {
        var object = JSONObject()
        object["name"] = .string("/\(name)")
        object["id"] = .string(id)
        object["read"] = .string(sample?.time.description ?? Self.never)
        object["preread"] = .string(before?.time.description ?? Self.never)
        object["num_procs"] = 0
        object["pids_stats"] = pids(sample?.statistics.pids)
        object["cpu_stats"] = processor(sample)
        object["precpu_stats"] = processor(before)
        object["memory_stats"] = memory(sample?.statistics.memory)
        object["blkio_stats"] = blocks(sample?.statistics.blockIO)
        object["storage_stats"] = [:]
        if let interfaces = sample?.networks {
            object["networks"] = .object(JSONObject(interfaces.map { JSONObject.Member(name: $0.name, value: Self.network($0)) }))
        }
        return .object(object)
    }

    private static func number(_ value: UInt64) -> JSONValue { .integer(Int64(clamping: value)) }

    private func pids(_ pids: CgroupStatistics.Pids?) -> JSONValue {
        guard let pids else { return [:] }
        var object = JSONObject()
        object["current"] = Self.number(pids.current)
        // Docker shows "no limit" as the largest number on cgroup v2 and leaves it out on v1.
        if let limit = pids.limit { object["limit"] = Self.number(limit) } else if isUnified { object["limit"] = .unsigned(.max) }
        return .object(object)
    }

    private func processor(_ sample: ResourceSample?) -> JSONValue {
        let cpu = sample?.statistics.cpu
        var usage = JSONObject()
        usage["total_usage"] = Self.number(cpu?.total ?? 0)
        if let each = cpu?.perCPU, !each.isEmpty { usage["percpu_usage"] = .array(each.map(Self.number)) }
        usage["usage_in_kernelmode"] = Self.number(cpu?.system ?? 0)
        usage["usage_in_usermode"] = Self.number(cpu?.user ?? 0)
        var object = JSONObject()
        object["cpu_usage"] = .object(usage)
        if let sample {
            object["system_cpu_usage"] = Self.number(sample.systemTime)
            object["online_cpus"] = .integer(Int64(sample.processors))
        }
        object["throttling_data"] = [
            "periods": Self.number(cpu?.periods ?? 0), "throttled_periods": Self.number(cpu?.throttledPeriods ?? 0),
            "throttled_time": Self.number(cpu?.throttledTime ?? 0),
        ]
        return .object(object)
    }

    private func memory(_ memory: CgroupStatistics.Memory?) -> JSONValue {
        guard let memory else { return [:] }
        var object = JSONObject()
        object["usage"] = Self.number(memory.usage)
        if !isUnified {
            object["max_usage"] = Self.number(memory.maximumUsage ?? 0)
            if memory.failures > 0 { object["failcnt"] = Self.number(memory.failures) }
        }
        object["stats"] = .object(JSONObject(memory.detail.map { JSONObject.Member(name: $0.name, value: Self.number($0.value)) }))
        object["limit"] = Self.number(min(memory.limit ?? .max, UInt64(hostMemory)))
        return .object(object)
    }

    private func blocks(_ blocks: CgroupStatistics.BlockIO?) -> JSONValue {
        func list(_ devices: [CgroupStatistics.Device]?) -> JSONValue {
            guard let devices, !devices.isEmpty || !isUnified else { return .null }
            return .array(
                devices.map { device in
                    [
                        "major": Self.number(device.major), "minor": Self.number(device.minor),
                        "op": .string(isUnified ? device.operation.lowercased() : device.operation), "value": Self.number(device.value),
                    ]
                })
        }
        var object = JSONObject()
        object["io_service_bytes_recursive"] = list(blocks?.bytes)
        object["io_serviced_recursive"] = list(blocks?.operations)
        // What the kernel no longer keeps (the CFQ scheduler went with Linux 5.0).
        for name in ["io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time"] {
            object["\(name)_recursive"] = isUnified ? .null : []
        }
        object["sectors_recursive"] = isUnified ? .null : []
        return .object(object)
    }

    private static func network(_ interface: ResourceSample.Interface) -> JSONValue {
        var object = JSONObject()
        for (prefix, numbers) in [("rx", interface.received), ("tx", interface.sent)] {
            for (kind, value) in zip(["bytes", "packets", "errors", "dropped"], numbers) { object["\(prefix)_\(kind)"] = number(value) }
        }
        return .object(object)
    }
}
