internal import Glibc

extension CgroupStatistics {
    /// What `runc events` shows beyond the everyday figures. Read on request alone: some thirty files on v1.
    public struct Details: Sendable, Hashable {
        /// Nanoseconds of each CPU in the kernel and in programs (v1 only).
        public var perCPUKernel: [UInt64] = []
        public var perCPUUser: [UInt64] = []
        public var memory = Counter()
        /// Memory and swap together, on v2 as well.
        public var swap = Counter()
        public var kernel = Counter()
        public var kernelTCP = Counter()
        /// Bytes of page cache.
        public var cache: UInt64 = 0
        /// v1 only.
        public var cpuset: CPUSet?
        /// By page size, as the kernel names it.
        public var hugepages: [String: Counter] = [:]

        public init() {}
    }

    /// A limited thing. `limit` is the kernel's number, the highest one for "no limit".
    public struct Counter: Sendable, Hashable {
        public var limit: UInt64 = 0
        public var usage: UInt64 = 0
        public var maximum: UInt64 = 0
        public var failures: UInt64 = 0

        public init() {}
    }

    /// The knobs of v1's cpuset controller (cgroup-v1/cpusets.rst).
    public struct CPUSet: Sendable, Hashable {
        public var cpus: [UInt16] = []
        public var mems: [UInt16] = []
        /// Name without `cpuset.` → value, such as `cpu_exclusive`; `sched_relax_domain_level` may be -1.
        public var flags: [String: Int64] = [:]

        public init() {}

        public static let flagNames = [
            "cpu_exclusive", "mem_hardwall", "mem_exclusive", "memory_migrate", "memory_spread_page", "memory_spread_slab",
            "memory_pressure", "sched_load_balance", "sched_relax_domain_level",
        ]
    }
}

extension CgroupManager {
    /// Reads the figures behind `events`. What a kernel or a cgroup version does not have stays zero.
    public func details() -> CgroupStatistics.Details {
        var result = CgroupStatistics.Details()
        directory(of: "cpuacct")?.readPerCPU(into: &result)
        directory(of: "memory")?.readMemory(into: &result)
        if let cpuset = directory(of: "cpuset"), !cpuset.isUnified { result.cpuset = cpuset.readCPUSet() }
        if let hugetlb = directory(of: "hugetlb") { result.hugepages = hugetlb.readHugepages() }
        return result
    }
}

extension CgroupDirectory {
    fileprivate func readPerCPU(into result: inout CgroupStatistics.Details) {
        for line in ((try? read("cpuacct.usage_all")) ?? "").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ").compactMap { UInt64($0) }
            guard fields.count == 3 else { continue }
            result.perCPUUser.append(fields[1])
            result.perCPUKernel.append(fields[2])
        }
    }

    fileprivate func readMemory(into result: inout CgroupStatistics.Details) {
        let stat = KeyedNumbers((try? read("memory.stat")) ?? "")
        if !isUnified {
            result.cache = stat["cache"] ?? 0
            result.memory = counterV1("memory")
            result.swap = counterV1("memory.memsw")
            result.kernel = counterV1("memory.kmem")
            result.kernelTCP = counterV1("memory.kmem.tcp")
            return
        }
        result.cache = stat["file"] ?? 0
        result.memory.usage = number("memory.current") ?? 0
        result.memory.limit = number("memory.max") ?? .max
        result.memory.maximum = number("memory.peak") ?? 0
        result.memory.failures = KeyedNumbers((try? read("memory.events")) ?? "")["max"] ?? 0
        guard has("memory.swap.current") else { return }
        result.swap.usage = result.memory.usage &+ (number("memory.swap.current") ?? 0)
        let swap = number("memory.swap.max") ?? .max
        let (sum, overflow) = swap.addingReportingOverflow(result.memory.limit)
        result.swap.limit = overflow ? .max : sum
        result.swap.failures = KeyedNumbers((try? read("memory.swap.events")) ?? "")["max"] ?? 0
    }

    private func counterV1(_ prefix: String) -> CgroupStatistics.Counter {
        var counter = CgroupStatistics.Counter()
        counter.limit = number("\(prefix).limit_in_bytes") ?? 0
        counter.usage = number("\(prefix).usage_in_bytes") ?? 0
        counter.maximum = number("\(prefix).max_usage_in_bytes") ?? 0
        counter.failures = number("\(prefix).failcnt") ?? 0
        return counter
    }

    fileprivate func readCPUSet() -> CgroupStatistics.CPUSet {
        var result = CgroupStatistics.CPUSet()
        result.cpus = numbers("cpuset.cpus")
        result.mems = numbers("cpuset.mems")
        for name in CgroupStatistics.CPUSet.flagNames {
            let text = ((try? read("cpuset.\(name)")) ?? "").filter { $0 != "\n" }
            result.flags[name] = Int64(text) ?? 0
        }
        return result
    }

    /// Which page sizes there are, the files tell: `hugetlb.2MB.max`, `hugetlb.2MB.limit_in_bytes`.
    fileprivate func readHugepages() -> [String: CgroupStatistics.Counter] {
        let suffix = isUnified ? ".max" : ".limit_in_bytes"
        var result: [String: CgroupStatistics.Counter] = [:]
        for file in (try? Files.list(path)) ?? [] where file.hasPrefix("hugetlb.") && file.hasSuffix(suffix) {
            let size = String(file.dropFirst(8).dropLast(suffix.count))
            if size.contains(".") { continue }
            var counter = CgroupStatistics.Counter()
            if isUnified {
                counter.usage = number("hugetlb.\(size).current") ?? 0
                counter.failures = KeyedNumbers((try? read("hugetlb.\(size).events")) ?? "")["max"] ?? 0
            } else {
                counter.usage = number("hugetlb.\(size).usage_in_bytes") ?? 0
                counter.maximum = number("hugetlb.\(size).max_usage_in_bytes") ?? 0
                counter.failures = number("hugetlb.\(size).failcnt") ?? 0
            }
            result[size] = counter
        }
        return result
    }

    /// Empty for a file that is missing or empty.
    private func numbers(_ file: String) -> [UInt16] { NumberList((try? read(file)) ?? "").numbers }
}
