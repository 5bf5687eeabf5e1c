internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `update`.
enum UpdateCommand {
    private static let rules: [OptionRule] = [
        .value("resources", "r"), .value("blkio-weight"), .value("cpu-period"), .value("cpu-quota"), .value("cpu-burst"),
        .value("cpu-share"),
        .value("cpu-rt-period"), .value("cpu-rt-runtime"), .value("cpuset-cpus"), .value("cpuset-mems"), .value("memory"),
        .value("memory-reservation"), .value("memory-swap"), .value("pids-limit"), .value("cpu-idle"),
    ]

    static func run(_ globals: GlobalOptions, _ arguments: [String]) throws -> Int32 {
        let arguments = try CommandArguments(arguments, rules)
        let container = try FoundContainer(try arguments.containerID(), globals.store)
        if container.status == .stopped { throw RuntimeError(kind: .state, message: "container not running") }
        let changes = try changes(arguments)
        try container.cgroup().apply(try CgroupResources(changes))
        return 0
    }

    private static func changes(_ arguments: CommandArguments) throws -> Spec.Resources {
        if let path = arguments.value("resources") {
            return try Spec.Resources(parsing: path == "-" ? try OwnedFD.open("/dev/stdin").readAll() : try Files.read(path))
        }
        var changes = Spec.Resources()
        var memory = Spec.Memory()
        memory.limit = try size(arguments, "memory")
        memory.reservation = try size(arguments, "memory-reservation")
        memory.swap = try size(arguments, "memory-swap")
        changes.memory = memory
        var cpu = Spec.CPU()
        cpu.period = try arguments.number("cpu-period")
        cpu.quota = try arguments.number("cpu-quota")
        cpu.burst = try arguments.number("cpu-burst")
        cpu.shares = try arguments.number("cpu-share")
        cpu.realtimePeriod = try arguments.number("cpu-rt-period")
        cpu.realtimeRuntime = try arguments.number("cpu-rt-runtime")
        cpu.idle = try arguments.number("cpu-idle")
        cpu.cpus = arguments.value("cpuset-cpus")
        cpu.mems = arguments.value("cpuset-mems")
        changes.cpu = cpu
        changes.pidsLimit = try arguments.number("pids-limit")
        if let weight: UInt16 = try arguments.number("blkio-weight") {
            var blockIO = Spec.BlockIO()
            blockIO.weight = weight
            changes.blockIO = blockIO
        }
        return changes
    }

    /// Bytes, or with a unit: `64m`; -1 is unlimited.
    static func size(_ arguments: CommandArguments, _ name: String) throws(RuntimeError) -> Int64? {
        guard let text = arguments.value(name) else { return nil }
        if let number = Int64(text) { return number }
        let units: [Character: Int64] = ["b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
        let lower = text.lowercased()
        let digits = lower.prefix { $0.isNumber }
        let unit = lower.dropFirst(digits.count)
        if let number = Int64(digits), let first = unit.first, let factor = units[first],
            unit.count == 1 || unit.dropFirst() == "b" || unit.dropFirst() == "ib"
        {
            let (bytes, overflow) = number.multipliedReportingOverflow(by: factor)
            if !overflow { return bytes }
        }
        throw RuntimeError(kind: .usage, message: "option --\(name): \"\(text)\" is no size")
    }
}
