internal import Linux
internal import Netlink
internal import OCIRuntimeSpec

/// Rules for what a process gets of the machine, and for what the host hands to the container.
extension SpecValidation {
    static func placement(_ process: Spec.Process) throws(SpecError) {
        if let scheduler = process.scheduler { try Self.scheduler(scheduler) }
        if let priority = process.ioPriority?.priority, !(0...7).contains(priority) {
            throw SpecError.invalid("process.ioPriority.priority", "must be 0 to 7, is \(priority)")
        }
        let affinity = [("initial", process.execCPUAffinity?.initial), ("final", process.execCPUAffinity?.final)]
        for (name, list) in affinity {
            if let list, NumberList(strictly: list) == nil {
                throw SpecError.invalid("process.execCPUAffinity.\(name)", "\"\(list)\" is no list of cpus")
            }
        }
    }

    /// What sched_setattr(2) would answer EINVAL to, by the field.
    private static func scheduler(_ scheduler: Spec.Scheduler) throws(SpecError) {
        let field = "process.scheduler"
        let isRealTime = scheduler.policy == .fifo || scheduler.policy == .roundRobin
        if scheduler.policy == .iso { throw SpecError.invalid("\(field).policy", "Linux has no SCHED_ISO") }
        if !(-20...19).contains(scheduler.nice) { throw SpecError.invalid("\(field).nice", "must be -20 to 19, is \(scheduler.nice)") }
        if isRealTime && !(1...99).contains(scheduler.priority) {
            throw SpecError.invalid("\(field).priority", "must be 1 to 99 for \(scheduler.policy.rawValue), is \(scheduler.priority)")
        }
        if !isRealTime && scheduler.priority != 0 {
            throw SpecError.invalid("\(field).priority", "is only for SCHED_FIFO and SCHED_RR")
        }
        let times = [("runtime", scheduler.runtime), ("deadline", scheduler.deadline), ("period", scheduler.period)]
        for (name, time) in times where time != 0 && scheduler.policy != .deadline {
            throw SpecError.invalid("\(field).\(name)", "is only for SCHED_DEADLINE")
        }
    }

    /// An interface cannot be split: what is asked for must be possible before anything is moved.
    static func netDevices(_ linux: Spec.LinuxConfig) throws(SpecError) {
        if linux.netDevices.isEmpty { return }
        guard linux.namespace(.network) != nil else { throw SpecError.invalid("linux.netDevices", "needs a network namespace") }
        var seen: Set<String> = []
        for device in linux.netDevices {
            let field = "linux.netDevices.\(device.hostName)"
            guard isInterfaceName(device.hostName) else { throw SpecError.invalid(field, "is no name of an interface") }
            guard let name = device.name else { continue }
            // `%d` is the kernel's template for a free number; it allows nothing else with a percent sign.
            let template = name.hasSuffix("%d")
            let plain = template ? String(name.dropLast(2)) : name
            guard isInterfaceName(template ? "\(plain)0" : plain), !plain.contains("%") else {
                throw SpecError.invalid("\(field).name", "\"\(name)\" is no name of an interface")
            }
            if !template && !seen.insert(name).inserted { throw SpecError.invalid("\(field).name", "\(name) is given twice") }
        }
    }

    static func timeOffsets(_ linux: Spec.LinuxConfig) throws(SpecError) {
        let namespace = linux.namespace(.time)
        if let path = namespace?.path, !linux.timeOffsets.isEmpty {
            throw SpecError.invalid("linux.timeOffsets", "the time namespace \(path) has its offsets")
        }
        if namespace == nil && !linux.timeOffsets.isEmpty { throw SpecError.invalid("linux.timeOffsets", "needs a time namespace") }
        for (clock, offset) in linux.timeOffsets {
            guard clock == "monotonic" || clock == "boottime" else {
                throw SpecError.invalid("linux.timeOffsets.\(clock)", "is neither monotonic nor boottime")
            }
            if offset.nanoseconds >= 1_000_000_000 {
                throw SpecError.invalid("linux.timeOffsets.\(clock).nanosecs", "must be below 1000000000, is \(offset.nanoseconds)")
            }
        }
        if namespace != nil && !Files.exists(NamespaceKind.time.ownPath) {
            throw SpecError.invalid("linux.namespaces", "this kernel has no time namespaces")
        }
    }

    static func memoryPolicy(_ linux: Spec.LinuxConfig) throws(SpecError) {
        guard let policy = linux.memoryPolicy else { return }
        let field = "linux.memoryPolicy.nodes"
        if !policy.nodes.isEmpty && NumberList(strictly: policy.nodes) == nil {
            throw SpecError.invalid(field, "\"\(policy.nodes)\" is no list of memory nodes")
        }
        switch policy.mode {
        case .standard, .local:
            if !policy.nodes.isEmpty { throw SpecError.invalid(field, "\(policy.mode.rawValue) takes no nodes") }
        case .bind, .interleave, .weightedInterleave, .preferredMany:
            if policy.nodes.isEmpty { throw SpecError.invalid(field, "\(policy.mode.rawValue) needs at least one node") }
        case .preferred: break
        }
        if policy.flags.contains(.relativeNodes) && policy.flags.contains(.staticNodes) {
            throw SpecError.invalid("linux.memoryPolicy.flags", "MPOL_F_RELATIVE_NODES and MPOL_F_STATIC_NODES exclude each other")
        }
    }

    static func intelRdt(_ linux: Spec.LinuxConfig) throws(SpecError) {
        guard let rdt = linux.intelRdt else { return }
        if let id = rdt.closID, id != "/", id == "." || id == ".." || id.contains("/") {
            throw SpecError.invalid("linux.intelRdt.closID", "\"\(id)\" is no name of a class")
        }
        if let schema = rdt.memBwSchema, !schema.hasPrefix("MB:") {
            throw SpecError.invalid("linux.intelRdt.memBwSchema", "must start with \"MB:\", is \"\(schema)\"")
        }
        for line in rdt.lines where line.contains(where: \.isNewline) {
            throw SpecError.invalid("linux.intelRdt", "a schema is one line, found a line break")
        }
    }

    /// The listener of a filter that asks one (config-linux.md, "Seccomp").
    static func seccompListener(_ linux: Spec.LinuxConfig) throws(SpecError) {
        guard let seccomp = linux.seccomp else { return }
        if seccomp.listenerPath == nil && seccomp.listenerMetadata != nil {
            throw SpecError.invalid("linux.seccomp.listenerMetadata", "needs linux.seccomp.listenerPath")
        }
        if let path = seccomp.listenerPath, !path.hasPrefix("/") {
            throw SpecError.invalid("linux.seccomp.listenerPath", "must be absolute, is \"\(path)\"")
        }
        if seccomp.listenerPath == nil && seccomp.syscalls.contains(where: { $0.action == "SCMP_ACT_NOTIFY" }) {
            throw SpecError.missing("linux.seccomp.listenerPath")
        }
    }
}
