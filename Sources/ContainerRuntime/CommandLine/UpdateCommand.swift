internal import CLinux
internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

/// `update`: changes the limits of a container that is there, and remembers them (runc-update(8)).
enum UpdateCommand {

    static let definition = CommandDefinition(
        name: "update", operands: "<container-id>", summary: "change the limits of a container",
        options: [
            .value(
                "resources", "r", help: "file with linux.resources in JSON, or - for standard input; the other options are ignored then"),
            .value("blkio-weight", help: "block IO weight, 10 to 1000"),
            .value("cpu-period", help: "CPU period in microseconds"),
            .value("cpu-quota", help: "CPU time in microseconds within a period; -1 is unlimited"),
            .value("cpu-burst", help: "CPU time in microseconds that may be saved up"),
            .value("cpu-share", help: "CPU shares, relative to other containers"),
            .value("cpu-rt-period", help: "realtime CPU period in microseconds"),
            .value("cpu-rt-runtime", help: "realtime CPU time in microseconds within a period"),
            .value("cpuset-cpus", help: "CPUs to use"),
            .value("cpuset-mems", help: "memory nodes to use"),
            .value("memory", help: "memory limit, bytes or with a unit (64m); -1 is unlimited"),
            .value("memory-reservation", help: "soft memory limit"),
            .value("memory-swap", help: "limit of memory and swap together; -1 is unlimited"),
            .value("pids-limit", help: "how many processes; -1 is unlimited"),
            .value("cpu-idle", help: "1 for idle scheduling, 0 for normal"),
            .value("kernel-memory", help: "limit of kernel memory"),
            .value("kernel-memory-tcp", help: "limit of TCP buffers"),
            .value("l3-cache-schema", help: "Intel RDT cache schema"),
            .value("mem-bw-schema", help: "Intel RDT memory bandwidth schema"),
        ], run: run)

    private static func run(_ globals: GlobalOptions, _ arguments: CommandArguments) throws -> Int32 {
        let container = try FoundContainer(try arguments.containerID(), globals.store)
        if container.status == .stopped || container.state.pid == 0 { throw RuntimeError(kind: .state, message: "container not running") }
        var state = container.state
        let allocation = try allocation(arguments, state)
        let before = state.spec.linux.resources ?? Spec.Resources()
        var changes = try changes(arguments)
        changes.complete(from: before)
        let cgroup = try container.cgroup()
        do {
            try ContainerRuntime.update(cgroup, systemdUnit: state.systemdUnit, to: changes)
            try allocation?.class.update(allocation?.lines ?? [], process: state.pid)
        } catch {
            // What was set before the failing one goes back as far as it can: all or nothing, as runc.
            try? ContainerRuntime.update(cgroup, systemdUnit: state.systemdUnit, to: before.restricted(to: changes))
            throw error
        }
        state.spec.linux.resources = before.merged(with: changes)
        if let allocation { state.spec.linux.intelRdt = allocation.settings }
        try globals.store.save(state)
        return 0
    }

    /// What `--l3-cache-schema` and `--mem-bw-schema` ask for; nil for nothing.
    private struct Allocation {
        let `class`: CacheAllocation
        /// All that the container has then, and the lines that change.
        let settings: Spec.IntelRdt
        let lines: [String]
    }

    private static func allocation(_ arguments: CommandArguments, _ state: ContainerState) throws -> Allocation? {
        guard let option = ["l3-cache-schema", "mem-bw-schema"].first(where: arguments.has) else { return nil }
        let (cache, bandwidth) = (arguments.value("l3-cache-schema"), arguments.value("mem-bw-schema"))
        var settings = state.spec.linux.intelRdt ?? Spec.IntelRdt()
        settings.l3CacheSchema = cache ?? settings.l3CacheSchema
        settings.memBwSchema = bandwidth ?? settings.memBwSchema
        do {
            guard let made = try CacheAllocation(settings, id: state.id) else { return nil }
            return Allocation(class: made, settings: settings, lines: [cache, bandwidth].compactMap { $0 })
        } catch let error as SpecError {
            throw RuntimeError(kind: .usage, message: "option --\(option): \(error.message) (Intel RDT)")
        }
    }

    private static func changes(_ arguments: CommandArguments) throws -> Spec.Resources {
        if let path = arguments.value("resources") {
            // All other options are ignored then, as runc documents.
            return try Spec.Resources(parsing: path == "-" ? try OwnedFD.open("/dev/stdin").readAll() : try Files.read(path))
        }
        var changes = Spec.Resources()
        var memory = Spec.Memory()
        memory.limit = try size(arguments, "memory")
        memory.reservation = try size(arguments, "memory-reservation")
        memory.swap = try size(arguments, "memory-swap")
        memory.kernel = try size(arguments, "kernel-memory")
        memory.kernelTCP = try size(arguments, "kernel-memory-tcp")
        if memory != Spec.Memory() { changes.memory = memory }
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
        if cpu != Spec.CPU() { changes.cpu = cpu }
        changes.pidsLimit = try arguments.number("pids-limit")
        if let weight: UInt16 = try arguments.number("blkio-weight") {
            var blockIO = Spec.BlockIO()
            blockIO.weight = weight
            changes.blockIO = blockIO
        }
        return changes
    }

    /// Bytes, or with a unit: `64m`, `1.5g`, `64MiB`; -1 is unlimited.
    static func size(_ arguments: CommandArguments, _ name: String) throws(RuntimeError) -> Int64? {
        guard let text = arguments.value(name) else { return nil }
        if let number = Int64(text), number >= -1 { return number }
        let units: [Character: Double] = ["b": 1, "k": 0x1p10, "m": 0x1p20, "g": 0x1p30, "t": 0x1p40, "p": 0x1p50]
        let lower = text.lowercased()
        let digits = lower.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let unit = lower.dropFirst(digits.count)
        if let number = Double(digits), let first = unit.first, let factor = units[first],
            unit.count == 1 || unit.dropFirst() == "b" || unit.dropFirst() == "ib"
        {
            let bytes = number * factor
            if bytes < 9.2e18 { return Int64(bytes) }
        }
        throw RuntimeError(kind: .usage, message: "option --\(name): \"\(text)\" is no size")
    }
}
