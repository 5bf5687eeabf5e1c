internal import JSON

extension Spec {
    /// How the kernel schedules the process (config.md, "scheduler"; sched_setattr(2)).
    public struct Scheduler: Sendable, Equatable {
        /// The policies of the specification. `iso` is reserved by the kernel and was never built.
        public enum Policy: String, Sendable, CaseIterable {
            case other = "SCHED_OTHER"
            case fifo = "SCHED_FIFO"
            case roundRobin = "SCHED_RR"
            case batch = "SCHED_BATCH"
            case iso = "SCHED_ISO"
            case idle = "SCHED_IDLE"
            case deadline = "SCHED_DEADLINE"
        }

        public enum Flag: String, Sendable, CaseIterable {
            case resetOnFork = "SCHED_FLAG_RESET_ON_FORK"
            case reclaim = "SCHED_FLAG_RECLAIM"
            case deadlineOverrun = "SCHED_FLAG_DL_OVERRUN"
            case keepPolicy = "SCHED_FLAG_KEEP_POLICY"
            case keepParameters = "SCHED_FLAG_KEEP_PARAMS"
            case utilizationClampMinimum = "SCHED_FLAG_UTIL_CLAMP_MIN"
            case utilizationClampMaximum = "SCHED_FLAG_UTIL_CLAMP_MAX"
        }

        public var policy: Policy
        /// -20 (first) to 19 (last); for `other` and `batch`.
        public var nice: Int32 = 0
        /// 1 (last) to 99 (first); for `fifo` and `roundRobin`.
        public var priority: Int32 = 0
        public var flags: [Flag] = []
        /// Nanoseconds, for `deadline`.
        public var runtime: UInt64 = 0
        public var deadline: UInt64 = 0
        public var period: UInt64 = 0

        public init(_ policy: Policy) { self.policy = policy }
    }

    /// Priority of the process's disk input and output (config.md, "ioPriority"; ioprio_set(2)).
    public struct IOPriority: Sendable, Equatable {
        public enum Class: String, Sendable, CaseIterable {
            case realTime = "IOPRIO_CLASS_RT"
            case bestEffort = "IOPRIO_CLASS_BE"
            case idle = "IOPRIO_CLASS_IDLE"
        }

        public var ioClass: Class
        /// 0 (first) to 7 (last) within the class.
        public var priority: Int32

        public init(_ ioClass: Class, priority: Int32) {
            self.ioClass = ioClass
            self.priority = priority
        }
    }

    /// CPUs of an `exec`'s process, as lists: `0-3,7` (config.md, "execCPUAffinity").
    public struct CPUAffinity: Sendable, Equatable {
        /// Before the process is in the container's control group.
        public var initial: String?
        /// After it; nil leaves it to the kernel.
        public var final: String?

        public init(initial: String? = nil, final: String? = nil) {
            self.initial = initial
            self.final = final
        }
    }

    /// From which memory nodes the process's memory comes (config-linux.md, "Memory policy"; set_mempolicy(2)).
    public struct MemoryPolicy: Sendable, Equatable {
        public enum Mode: String, Sendable, CaseIterable {
            case standard = "MPOL_DEFAULT"
            case bind = "MPOL_BIND"
            case interleave = "MPOL_INTERLEAVE"
            case weightedInterleave = "MPOL_WEIGHTED_INTERLEAVE"
            case preferred = "MPOL_PREFERRED"
            case preferredMany = "MPOL_PREFERRED_MANY"
            case local = "MPOL_LOCAL"
        }

        public enum Flag: String, Sendable, CaseIterable {
            case numaBalancing = "MPOL_F_NUMA_BALANCING"
            case relativeNodes = "MPOL_F_RELATIVE_NODES"
            case staticNodes = "MPOL_F_STATIC_NODES"
        }

        public var mode: Mode
        /// A list: `0-3,7`; empty for none.
        public var nodes = ""
        public var flags: [Flag] = []

        public init(_ mode: Mode, nodes: String = "", flags: [Flag] = []) {
            self.mode = mode
            self.nodes = nodes
            self.flags = flags
        }
    }
}

extension SpecObject {
    /// A string that must be one of an enumeration's; throws for one that is absent or unknown.
    func word<T: RawRepresentable<String>>(_ name: String, _ kind: T.Type) throws(SpecError) -> T {
        guard let text = try string(name), !text.isEmpty else { throw SpecError.missing(name) }
        guard let value = T(rawValue: text) else { throw SpecError.invalid(name, "unknown word \"\(text)\"") }
        return value
    }

    /// Strings that must each be one of an enumeration's.
    func words<T: RawRepresentable<String>>(_ name: String, _ kind: T.Type) throws(SpecError) -> [T] {
        try elements(name) { (value) throws(SpecError) in
            let text = try SpecObject.text(value)
            guard let value = T(rawValue: text) else { throw SpecError(message: "unknown word \"\(text)\"") }
            return value
        }
    }
}

extension Spec.Scheduler {
    init(_ fields: SpecObject) throws(SpecError) {
        policy = try fields.word("policy", Policy.self)
        nice = try fields.number("nice") ?? 0
        priority = try fields.number("priority") ?? 0
        flags = try fields.words("flags", Flag.self)
        runtime = try fields.number("runtime") ?? 0
        deadline = try fields.number("deadline") ?? 0
        period = try fields.number("period") ?? 0
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("policy", policy.rawValue)
        object.put("nice", nice == 0 ? nil : nice)
        object.put("priority", priority == 0 ? nil : priority)
        object.put("flags", flags.map(\.rawValue))
        object.put("runtime", runtime == 0 ? nil : runtime)
        object.put("deadline", deadline == 0 ? nil : deadline)
        object.put("period", period == 0 ? nil : period)
        return object.value
    }
}

extension Spec.IOPriority {
    init(_ fields: SpecObject) throws(SpecError) {
        ioClass = try fields.word("class", Class.self)
        // The idle class has no priorities, and engines leave it out there (ioprio_set(2)).
        priority = ioClass == .idle ? try fields.number("priority") ?? 0 : try fields.required("priority")
    }

    var json: JSONValue { ["class": .string(ioClass.rawValue), "priority": .integer(Int64(priority))] }
}

extension Spec.CPUAffinity {
    init(_ fields: SpecObject) throws(SpecError) {
        initial = try fields.string("initial").flatMap { $0.isEmpty ? nil : $0 }
        final = try fields.string("final").flatMap { $0.isEmpty ? nil : $0 }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("initial", initial)
        object.put("final", final)
        return object.value
    }
}

extension Spec.MemoryPolicy {
    init(_ fields: SpecObject) throws(SpecError) {
        mode = try fields.word("mode", Mode.self)
        nodes = try fields.string("nodes") ?? ""
        flags = try fields.words("flags", Flag.self)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("mode", mode.rawValue)
        object.put("nodes", nodes.isEmpty ? nil : nodes)
        object.put("flags", flags.map(\.rawValue))
        return object.value
    }
}
