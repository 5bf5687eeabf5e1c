internal import Glibc
internal import Linux
internal import OCIRuntimeSpec

extension SchedulingAttributes {
    /// The specification's words as the kernel's numbers (linux/sched.h).
    init(_ scheduler: Spec.Scheduler) {
        let policy: UInt32 =
            switch scheduler.policy {
            case .other: 0
            case .fifo: 1
            case .roundRobin: 2
            case .batch: 3
            case .iso: 4
            case .idle: 5
            case .deadline: 6
            }
        self.init(
            policy: policy, flags: scheduler.flags.reduce(0) { $0 | $1.bit }, nice: scheduler.nice,
            priority: UInt32(clamping: scheduler.priority), runtime: scheduler.runtime, deadline: scheduler.deadline,
            period: scheduler.period)
    }
}

extension Spec.Scheduler.Flag {
    fileprivate var bit: UInt64 {
        switch self {
        case .resetOnFork: 0x01
        case .reclaim: 0x02
        case .deadlineOverrun: 0x04
        case .keepPolicy: 0x08
        case .keepParameters: 0x10
        case .utilizationClampMinimum: 0x20
        case .utilizationClampMaximum: 0x40
        }
    }
}

extension Spec.IOPriority.Class {
    /// linux/ioprio.h.
    var number: Int32 {
        switch self {
        case .realTime: 1
        case .bestEffort: 2
        case .idle: 3
        }
    }
}

extension Spec.MemoryPolicy {
    /// Mode and flags as set_mempolicy(2) takes them (linux/mempolicy.h).
    var number: Int32 {
        let mode: Int32 =
            switch self.mode {
            case .standard: 0
            case .preferred: 1
            case .bind: 2
            case .interleave: 3
            case .local: 4
            case .preferredMany: 5
            case .weightedInterleave: 6
            }
        return flags.reduce(mode) { number, flag in
            switch flag {
            case .numaBalancing: number | 1 << 13
            case .relativeNodes: number | 1 << 14
            case .staticNodes: number | 1 << 15
            }
        }
    }

    /// Sets it for the calling process.
    func apply() throws(SystemError) {
        let nodes = NumberList(self.nodes)
        do { try ProcessPlacement.setMemoryPolicy(number, nodes: nodes) } catch {
            throw SystemError("set memory policy", "\(mode.rawValue) of nodes \"\(self.nodes)\"", code: error.code)
        }
    }
}

extension ProcessPlan {
    /// Whether scheduler or i/o priority are asked for: the runtime sets them, whose rights reach further than those of a
    /// process in a user namespace.
    var isPlaced: Bool { spec.scheduler != nil || spec.ioPriority != nil }

    /// Gives a process its scheduler and i/o priority.
    func place(_ pid: Int32) throws(SystemError) {
        if let priority = spec.ioPriority {
            try ProcessPlacement.setIOPriority(ofClass: priority.ioClass.number, level: priority.priority, of: pid)
        }
        if let scheduler = spec.scheduler {
            do { try SchedulingAttributes(scheduler).apply(to: pid) } catch {
                let isRealTime = scheduler.policy == .fifo || scheduler.policy == .roundRobin
                let hint = isRealTime && error.code == EPERM ? " (its control group may need linux.resources.cpu.realtimeRuntime)" : ""
                throw SystemError("set scheduler", "\(scheduler.policy.rawValue)\(hint)", code: error.code)
            }
        }
    }
}
