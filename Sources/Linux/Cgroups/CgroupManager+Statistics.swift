internal import Glibc

extension CgroupManager {
    /// Reads the figures of all controllers. Throws ENOENT when the cgroup is gone.
    public func statistics() throws -> CgroupStatistics {
        var result = CgroupStatistics()
        if let directory = directory(of: "cpu") { result.cpu = directory.cpuStatistics(accounting: self.directory(of: "cpuacct")) }
        if let directory = directory(of: "memory") { result.memory = directory.memoryStatistics() }
        if let directory = directory(of: "pids"), let current = directory.number("pids.current") {
            result.pids = CgroupStatistics.Pids(current: current, limit: directory.number("pids.max"))
        }
        if let directory = directory(of: "io") ?? directory(of: "blkio") { result.blockIO = directory.blockIOStatistics() }
        if result == CgroupStatistics(), let primary, !Files.isDirectory(primary.path) {
            throw SystemError("read cgroup", path, code: ENOENT)
        }
        return result
    }
}

extension CgroupDirectory {
    /// A knob of `name number` lines; none when it is missing.
    private func numbers(_ name: String) -> KeyedNumbers { KeyedNumbers((try? read(name)) ?? "") }

    fileprivate func cpuStatistics(accounting: CgroupDirectory?) -> CgroupStatistics.CPU? {
        guard let text = try? read("cpu.stat") else { return nil }
        let numbers = KeyedNumbers(text)
        var result = CgroupStatistics.CPU()
        result.periods = numbers["nr_periods"] ?? 0
        result.throttledPeriods = numbers["nr_throttled"] ?? 0
        if isUnified {
            result.total = (numbers["usage_usec"] ?? 0) * 1000
            result.user = (numbers["user_usec"] ?? 0) * 1000
            result.system = (numbers["system_usec"] ?? 0) * 1000
            result.throttledTime = (numbers["throttled_usec"] ?? 0) * 1000
            return result
        }
        result.throttledTime = numbers["throttled_time"] ?? 0
        guard let accounting else { return result }
        result.total = accounting.number("cpuacct.usage") ?? 0
        // A title, then `cpu user system` in nanoseconds.
        for line in ((try? accounting.read("cpuacct.usage_all")) ?? "").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ").compactMap { UInt64($0) }
            guard fields.count == 3 else { continue }
            result.user += fields[1]
            result.system += fields[2]
            result.perCPU.append(fields[1] + fields[2])
        }
        // To the nanosecond; user and system time above are counted in ticks.
        let exact = ((try? accounting.read("cpuacct.usage_percpu")) ?? "").split { $0 == " " || $0 == "\n" }.compactMap { UInt64($0) }
        if !exact.isEmpty { result.perCPU = exact }
        return result
    }

    fileprivate func memoryStatistics() -> CgroupStatistics.Memory? {
        var result = CgroupStatistics.Memory()
        guard let usage = number(isUnified ? "memory.current" : "memory.usage_in_bytes") else { return nil }
        result.usage = usage
        result.detail = numbers("memory.stat").entries.map { CgroupStatistics.Entry(name: $0.name, value: $0.value) }
        result.oomKills = oomKills ?? 0
        if isUnified {
            result.maximumUsage = number("memory.peak")
            result.limit = number("memory.max")
            result.swapUsage = number("memory.swap.current")
            result.failures = numbers("memory.events")["max"] ?? 0
            return result
        }
        result.maximumUsage = number("memory.max_usage_in_bytes")
        // "No limit" is the highest number of whole pages.
        result.limit = number("memory.limit_in_bytes").flatMap { $0 >= 0x7fff_ffff_ffff_0000 ? nil : $0 }
        result.swapUsage = number("memory.memsw.usage_in_bytes").map { $0 > usage ? $0 - usage : 0 }
        result.failures = number("memory.failcnt") ?? 0
        return result
    }

    fileprivate func blockIOStatistics() -> CgroupStatistics.BlockIO {
        var result = CgroupStatistics.BlockIO()
        if isUnified {
            for line in ((try? read("io.stat")) ?? "").split(separator: "\n") { Self.parseUnified(line, into: &result) }
            return result
        }
        // BFQ counts what goes through its queues, the throttle layer everything.
        for prefix in ["blkio.bfq", "blkio.throttle"] where result.bytes.isEmpty {
            result.bytes = Self.parseV1((try? read("\(prefix).io_service_bytes_recursive")) ?? "")
            result.operations = Self.parseV1((try? read("\(prefix).io_serviced_recursive")) ?? "")
        }
        return result
    }

    /// `8:0 Read 4096` per line; the sum over all devices, `Total 4096`, is left out.
    private static func parseV1(_ text: String) -> [CgroupStatistics.Device] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split { $0 == " " || $0 == ":" }
            guard fields.count == 4, let major = UInt64(fields[0]), let minor = UInt64(fields[1]), let value = UInt64(fields[3]) else {
                return nil
            }
            return CgroupStatistics.Device(major: major, minor: minor, operation: String(fields[2]), value: value)
        }
    }

    /// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`.
    private static func parseUnified(_ line: Substring, into result: inout CgroupStatistics.BlockIO) {
        let fields = line.split(separator: " ")
        let numbers = fields.first?.split(separator: ":").compactMap { UInt64($0) } ?? []
        guard numbers.count == 2 else { return }
        for field in fields.dropFirst() {
            let pair = field.split(separator: "=")
            guard pair.count == 2, let value = UInt64(pair[1]) else { continue }
            func device(_ operation: String) -> CgroupStatistics.Device {
                CgroupStatistics.Device(major: numbers[0], minor: numbers[1], operation: operation, value: value)
            }
            switch pair[0] {
            case "rbytes": result.bytes.append(device("Read"))
            case "wbytes": result.bytes.append(device("Write"))
            case "dbytes": result.bytes.append(device("Discard"))
            case "rios": result.operations.append(device("Read"))
            case "wios": result.operations.append(device("Write"))
            case "dios": result.operations.append(device("Discard"))
            default: break
            }
        }
    }
}
