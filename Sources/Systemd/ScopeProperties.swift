public import Linux

/// Limits in systemd's words (systemd.resource-control(5)). What systemd has no word for is left to the cgroup's own
/// files, which are written in any case: systemd only must not undo it.
public enum ScopeProperties {
    /// For the cgroup version that systemd's own limits act on: v1 also on a hybrid host.
    public static func properties(_ resources: CgroupResources, isUnified: Bool, version: Int) throws -> [SystemdProperty] {
        var result = isUnified ? try unified(resources) : v1(resources)
        result += quota(resources.cpu, version)
        if let limit = resources.pidsLimit { result.append(.init("TasksMax", .uint64(limit < 0 ? .max : UInt64(max(1, limit))))) }
        // AllowedCPUs came with 244.
        if version >= 244 {
            if let cpus = resources.cpu.cpus, !cpus.isEmpty { result.append(.init("AllowedCPUs", bits(cpus))) }
            if let mems = resources.cpu.mems, !mems.isEmpty { result.append(.init("AllowedMemoryNodes", bits(mems))) }
        }
        return result
    }

    /// What a new scope has besides: accounting, and the devices.
    public static func creation(_ resources: CgroupResources, isUnified: Bool, version: Int) throws -> [SystemdProperty] {
        let accounting = ["MemoryAccounting", "CPUAccounting", isUnified ? "IOAccounting" : "BlockIOAccounting", "TasksAccounting"]
        return accounting.map { .init($0, .bool(true)) } + devices(resources.devices)
            + (try properties(resources, isUnified: isUnified, version: version))
    }

    private static func v1(_ resources: CgroupResources) -> [SystemdProperty] {
        var result: [SystemdProperty] = []
        if let limit = resources.memory.limit, limit != 0 { result.append(.init("MemoryLimit", bytes(limit))) }
        if let shares = resources.cpu.shares, shares != 0 { result.append(.init("CPUShares", .uint64(shares))) }
        if let weight = resources.blockIO.weight, weight != 0 { result.append(.init("BlockIOWeight", .uint64(UInt64(weight)))) }
        return result
    }

    private static func unified(_ resources: CgroupResources) throws -> [SystemdProperty] {
        var result: [SystemdProperty] = []
        let memory = resources.memory
        if let limit = memory.limit, limit != 0 { result.append(.init("MemoryMax", bytes(limit))) }
        if let low = memory.reservation, low != 0 { result.append(.init("MemoryLow", bytes(low))) }
        if let swap = memory.swap, swap != 0 {
            // OCI names the sum with memory.
            result.append(.init("MemorySwapMax", bytes(swap < 0 ? -1 : max(0, swap - max(0, memory.limit ?? 0)))))
        }
        if resources.cpu.idle == 1 {
            result.append(.init("CPUWeight", .uint64(0)))
        } else if let shares = resources.cpu.shares, shares != 0 {
            result.append(.init("CPUWeight", .uint64(CgroupResources.CPU.weight(fromShares: shares))))
        }
        if let weight = resources.blockIO.weight, weight != 0 {
            result.append(.init("IOWeight", .uint64(CgroupResources.BlockIO.unifiedWeight(weight))))
        }
        for (file, text) in resources.unified.sorted(by: { $0.key < $1.key }) { result += try unified(file, text) }
        return result
    }

    /// The files of cgroup v2 that systemd has properties for.
    private static func unified(_ file: String, _ text: String) throws -> [SystemdProperty] {
        let words = text.split { $0 == " " || $0 == "\n" }.map(String.init)
        let names = [
            "memory.high": "MemoryHigh", "memory.low": "MemoryLow", "memory.min": "MemoryMin", "memory.max": "MemoryMax",
            "memory.swap.max": "MemorySwapMax", "pids.max": "TasksMax", "cpu.weight": "CPUWeight",
        ]
        func number(_ word: String) throws -> UInt64 {
            if word == "max" { return .max }
            guard let number = UInt64(word) else {
                throw CgroupError.invalid(setting: "unified.\(file)", reason: "\(text.debugDescription) is no number")
            }
            return number
        }
        if let name = names[file], let word = words.first { return [.init(name, .uint64(try number(word)))] }
        if file == "cpuset.cpus" { return [.init("AllowedCPUs", bits(text))] }
        if file == "cpuset.mems" { return [.init("AllowedMemoryNodes", bits(text))] }
        if file == "cpu.max", let word = words.first {
            var cpu = CgroupResources.CPU()
            cpu.quota = word == "max" ? -1 : Int64(clamping: try number(word))
            cpu.period = words.count > 1 ? try number(words[1]) : 100_000
            return quota(cpu, .max)
        }
        return []
    }

    /// Microseconds per second of time, rounded up to whole percents because systemd drops the rest; the exact quota is
    /// written to the cgroup. CPUQuotaPeriodUSec came with 242.
    private static func quota(_ cpu: CgroupResources.CPU, _ version: Int) -> [SystemdProperty] {
        let quota = cpu.quota ?? 0
        let period = cpu.period ?? 0
        if quota == 0 && period == 0 { return [] }
        var result: [SystemdProperty] = []
        if period != 0 && version >= 242 { result.append(.init("CPUQuotaPeriodUSec", .uint64(period))) }
        var perSecond = UInt64.max
        if quota > 0 {
            let (product, overflow) = UInt64(quota).multipliedReportingOverflow(by: 1_000_000)
            if !overflow { perSecond = (product / (period == 0 ? 100_000 : period) + 9999) / 10_000 * 10_000 }
        }
        result.append(.init("CPUQuotaPerSecUSec", .uint64(perSecond)))
        return result
    }

    /// The highest number is "infinity".
    private static func bytes(_ value: Int64) -> BusValue { .uint64(value < 0 ? .max : UInt64(value)) }

    /// A list such as `0-2,7` as a bit field, the lowest first.
    static func bits(_ list: String) -> BusValue {
        let numbers = NumberList(list).numbers
        var field = [UInt8](repeating: 0, count: Int(numbers.max() ?? 0) / 8 + 1)
        for number in numbers { field[Int(number) / 8] |= 1 << (number % 8) }
        return .array(of: "y", field.map { .byte($0) })
    }

    /// The device rules as systemd can tell them: allowed ones by their links in /dev/char and /dev/block, or by the
    /// kernel's name for the major number (/proc/devices). A list that begins with "everything" leaves systemd out.
    public static func devices(_ rules: [DeviceRule], names: (DeviceRule.Kind, UInt32) -> String? = kernelName) -> [SystemdProperty] {
        if rules.isEmpty { return [] }
        var allowsAll = false
        var entries: [BusValue] = []
        for rule in rules {
            if rule.kind == .all {
                allowsAll = rule.allow
                entries = []
                continue
            }
            guard rule.allow else { continue }
            let type = rule.kind == .block ? "block" : "char"
            var name: String?
            switch (rule.major, rule.minor) {
            case (nil, _): name = "\(type)-*"
            case (let major?, nil): name = names(rule.kind, major).map { "\(type)-\($0)" }
            case (let major?, let minor?): name = "/dev/\(type)/\(major):\(minor)"
            }
            if let name { entries.append(.structure([.string(name), .string(rule.access.letters)])) }
        }
        return [
            .init("DevicePolicy", .string(allowsAll ? "auto" : "strict")),
            .init("DeviceAllow", .array(of: "(ss)", allowsAll ? [] : entries)),
        ]
    }

    /// The name of a driver's major number.
    public static func kernelName(_ kind: DeviceRule.Kind, _ major: UInt32) -> String? {
        var isWanted = false
        for line in ((try? Files.readText("/proc/devices")) ?? "").split(separator: "\n") {
            if line.hasSuffix("devices:") {
                isWanted = line.hasPrefix(kind == .block ? "Block" : "Character")
                continue
            }
            let fields = line.split(separator: " ", maxSplits: 1)
            if isWanted, fields.count == 2, UInt32(fields[0]) == major { return String(fields[1]) }
        }
        return nil
    }
}
