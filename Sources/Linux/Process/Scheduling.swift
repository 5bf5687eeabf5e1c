internal import CLinux
internal import Glibc

/// A process's place among those that wait for a CPU (sched(7)).
public struct SchedulingAttributes: Equatable, Sendable {
    /// SCHED_…, by the kernel's number.
    public var policy: UInt32
    /// SCHED_FLAG_…
    public var flags: UInt64
    public var nice: Int32
    public var priority: UInt32
    /// Nanoseconds, for SCHED_DEADLINE.
    public var runtime: UInt64
    public var deadline: UInt64
    public var period: UInt64

    public init(
        policy: UInt32, flags: UInt64 = 0, nice: Int32 = 0, priority: UInt32 = 0, runtime: UInt64 = 0, deadline: UInt64 = 0,
        period: UInt64 = 0
    ) {
        self.policy = policy
        self.flags = flags
        self.nice = nice
        self.priority = priority
        self.runtime = runtime
        self.deadline = deadline
        self.period = period
    }

    /// Gives them to a process; 0 is the calling one (sched_setattr(2)).
    public func apply(to pid: Int32) throws(SystemError) {
        let attributes = clp_sched_attr(
            size: 0, policy: policy, flags: flags, nice: nice, priority: priority, runtime: runtime, deadline: deadline, period: period,
            util_min: 0, util_max: 0)
        try retrying("set scheduler of process", "\(pid)") { clp_sched_setattr(pid, attributes) }
    }

    /// What a process has; 0 is the calling one.
    public static func current(of pid: Int32) throws(SystemError) -> SchedulingAttributes {
        var read = clp_sched_attr()
        try retrying("read scheduler of process", "\(pid)") { clp_sched_getattr(pid, &read) }
        return SchedulingAttributes(
            policy: read.policy, flags: read.flags, nice: read.nice, priority: read.priority, runtime: read.runtime,
            deadline: read.deadline, period: read.period)
    }
}

/// What a process may use of the machine, beside the limits of its control group.
public enum ProcessPlacement {
    /// Sets the priority of a process's disk input and output (ioprio_set(2)): class 1 is real time, 2 best effort, 3 idle;
    /// level 0 is first.
    public static func setIOPriority(ofClass ioClass: Int32, level: Int32, of pid: Int32) throws(SystemError) {
        // IOPRIO_WHO_PROCESS; the class stands above bit 13 (linux/ioprio.h).
        try retrying("set i/o priority of process", "\(pid)") { clp_ioprio_set(1, pid, ioClass << 13 | level) }
    }

    /// Class and level, as `setIOPriority` takes them.
    public static func ioPriority(of pid: Int32) throws(SystemError) -> (ioClass: Int32, level: Int32) {
        let value = try retrying("read i/o priority of process", "\(pid)") { clp_ioprio_get(1, pid) }
        return (value >> 13, value & 7)
    }

    /// The CPUs that a process may run on; 0 is the calling one (sched_setaffinity(2)). CPUs that do not exist are left out;
    /// EINVAL when none is left.
    public static func setAffinity(_ cpus: NumberList, of pid: Int32) throws(SystemError) {
        try retrying("set cpu affinity of process", "\(pid)") {
            cpus.words.withUnsafeBufferPointer { clp_sched_setaffinity(pid, $0.count * 8, $0.baseAddress) }
        }
    }

    /// Lets the calling process run on every CPU that its cpuset allows, also on those that it will allow or that are plugged
    /// in later: the kernel leaves out what it does not have, and keeps what the cpuset has not.
    public static func allowAllCPUs() throws(SystemError) {
        try setAffinity(NumberList(words: [UInt64](repeating: .max, count: NumberList.maximum / 64)), of: 0)
    }

    public static func affinity(of pid: Int32) throws(SystemError) -> NumberList {
        var words = [UInt64](repeating: 0, count: NumberList.maximum / 64)
        let size = words.count * 8
        let count = try retrying("read cpu affinity of process", "\(pid)") { clp_sched_getaffinity(pid, size, &words) }
        return NumberList(words: Array(words.prefix(Int(count) / 8)))
    }

    /// From which nodes the calling process's memory comes, also after execve (set_mempolicy(2)). `mode` is MPOL_… with its
    /// flags.
    public static func setMemoryPolicy(_ mode: Int32, nodes: NumberList) throws(SystemError) {
        try retrying("set memory policy") {
            // The kernel reads one bit less than it is told (set_mempolicy(2), "Notes").
            nodes.words.withUnsafeBufferPointer {
                clp_set_mempolicy(mode, nodes.isEmpty ? nil : $0.baseAddress, nodes.isEmpty ? 0 : UInt($0.count * 64 + 1))
            }
        }
    }
}
