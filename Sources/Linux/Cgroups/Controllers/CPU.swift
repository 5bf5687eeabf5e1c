internal import Glibc

// The cpu and cpuset controllers: scheduler/sched-bwc.rst, cgroup-v1/cpusets.rst, cgroup-v2.rst "CPU". 0 is "not set".
extension CgroupResources.CPU {
    /// The name of the first field of the cpu controller that is set.
    var firstTimeSetting: String? {
        if shares ?? 0 != 0 { return "cpu.shares" }
        if quota ?? 0 != 0 { return "cpu.quota" }
        if period ?? 0 != 0 { return "cpu.period" }
        if burst != nil { return "cpu.burst" }
        if realtimeRuntime ?? 0 != 0 { return "cpu.realtimeRuntime" }
        if realtimePeriod ?? 0 != 0 { return "cpu.realtimePeriod" }
        return idle == nil ? nil : "cpu.idle"
    }

    /// The same for the cpuset controller.
    var firstSetSetting: String? {
        if let cpus, !cpus.isEmpty { return "cpu.cpus" }
        if let mems, !mems.isEmpty { return "cpu.mems" }
        return nil
    }

    func applyTime(to directory: CgroupDirectory) throws {
        if let shares, shares != 0, !(2...262_144).contains(shares) {
            throw CgroupError.invalid(setting: "cpu.shares", reason: "\(shares) is not 2 to 262144")
        }
        if directory.isUnified { try applyUnified(to: directory) } else { try applyV1(to: directory) }
    }

    func applySets(to directory: CgroupDirectory) throws {
        if let cpus, !cpus.isEmpty { try directory.set("cpuset.cpus", cpus, for: "cpu.cpus") }
        if let mems, !mems.isEmpty { try directory.set("cpuset.mems", mems, for: "cpu.mems") }
    }

    private func applyV1(to directory: CgroupDirectory) throws {
        var knobs: [(name: String, text: String, setting: String)] = []
        if let realtimePeriod, realtimePeriod != 0 { knobs.append(("cpu.rt_period_us", "\(realtimePeriod)", "cpu.realtimePeriod")) }
        if let realtimeRuntime, realtimeRuntime != 0 { knobs.append(("cpu.rt_runtime_us", "\(realtimeRuntime)", "cpu.realtimeRuntime")) }
        if let shares, shares != 0 { knobs.append(("cpu.shares", "\(shares)", "cpu.shares")) }
        if let period, period != 0 { knobs.append(("cpu.cfs_period_us", "\(period)", "cpu.period")) }
        if let quota, quota != 0 { knobs.append(("cpu.cfs_quota_us", "\(quota < 0 ? -1 : quota)", "cpu.quota")) }
        if let burst { knobs.append(("cpu.cfs_burst_us", "\(burst)", "cpu.burst")) }
        if let idle { knobs.append(("cpu.idle", "\(idle)", "cpu.idle")) }
        try directory.setTogether(knobs)
    }

    private func applyUnified(to directory: CgroupDirectory) throws {
        if realtimeRuntime ?? 0 != 0 || realtimePeriod ?? 0 != 0 {
            throw CgroupError.unsupported(setting: "cpu.realtimeRuntime", reason: "cgroup v2 has no real-time limits")
        }
        var knobs: [(name: String, text: String, setting: String)] = []
        if let shares, shares != 0 { knobs.append(("cpu.weight", "\(Self.weight(fromShares: shares))", "cpu.shares")) }
        if let text = unifiedMaximum(directory) { knobs.append(("cpu.max", text, quota ?? 0 != 0 ? "cpu.quota" : "cpu.period")) }
        if let burst { knobs.append(("cpu.max.burst", "\(burst)", "cpu.burst")) }
        if let idle { knobs.append(("cpu.idle", "\(idle)", "cpu.idle")) }
        try directory.setTogether(knobs)
    }

    /// cpu.max is `quota period`; a quota alone keeps the period, a period alone must repeat the quota.
    private func unifiedMaximum(_ directory: CgroupDirectory) -> String? {
        let period = self.period ?? 0
        let quota = self.quota ?? 0
        if quota == 0 && period == 0 { return nil }
        var text = quota < 0 ? "max" : "\(quota)"
        if quota == 0 { text = (try? directory.read("cpu.max"))?.split(separator: " ").first.map(String.init) ?? "max" }
        return period == 0 ? text : "\(text) \(period)"
    }

    /// v1's shares (2–262144, default 1024) as v2's weight (1–10000, default 100), so that both defaults and both ends
    /// meet: a quadratic in log₂, as runc 1.3.2 and crun 1.23 have it. The older linear rule made 1024 into 39, less
    /// than half of what an ordinary host process gets.
    public static func weight(fromShares shares: UInt64) -> UInt64 {
        if shares <= 2 { return 1 }
        if shares >= 262_144 { return 10_000 }
        let exponent = log2(Double(shares))
        return UInt64(ceil(pow(10, (exponent * exponent + 125 * exponent) / 612 - 7.0 / 34)))
    }
}
