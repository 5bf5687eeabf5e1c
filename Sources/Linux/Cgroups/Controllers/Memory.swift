internal import Glibc

// The memory controller: cgroup-v1/memory.rst, cgroup-v2.rst "Memory". 0 is "not set", as runc reads it.
extension CgroupResources.Memory {
    /// The name of the first field that is set, for messages.
    var firstSetting: String? {
        if limit ?? 0 != 0 { return "memory.limit" }
        if swap ?? 0 != 0 { return "memory.swap" }
        if reservation ?? 0 != 0 { return "memory.reservation" }
        if kernel ?? 0 != 0 { return "memory.kernel" }
        if kernelTCP ?? 0 != 0 { return "memory.kernelTCP" }
        if swappiness != nil { return "memory.swappiness" }
        if disableOOMKiller == true { return "memory.disableOOMKiller" }
        return useHierarchy == nil ? nil : "memory.useHierarchy"
    }

    func apply(to directory: CgroupDirectory) throws {
        for (value, name) in [(limit, "limit"), (swap, "swap"), (reservation, "reservation")] {
            if let value, value < -1 { throw CgroupError.invalid(setting: "memory.\(name)", reason: "\(value) is no size") }
        }
        if let limit, limit > 0, let swap, swap > 0, swap < limit {
            throw CgroupError.invalid(setting: "memory.swap", reason: "memory and swap together must be at least memory.limit")
        }
        if directory.isUnified { try applyUnified(to: directory) } else { try applyV1(to: directory) }
    }

    private func applyV1(to directory: CgroupDirectory) throws {
        try applyLimitsV1(to: directory)
        if let reservation, reservation != 0 {
            try directory.set("memory.soft_limit_in_bytes", "\(reservation)", for: "memory.reservation")
        }
        if let kernel, kernel != 0 { try directory.set("memory.kmem.limit_in_bytes", "\(kernel)", for: "memory.kernel") }
        if let kernelTCP, kernelTCP != 0 { try directory.set("memory.kmem.tcp.limit_in_bytes", "\(kernelTCP)", for: "memory.kernelTCP") }
        if let swappiness {
            if swappiness > 100 { throw CgroupError.invalid(setting: "memory.swappiness", reason: "\(swappiness) is not 0 to 100") }
            try directory.set("memory.swappiness", "\(swappiness)", for: "memory.swappiness")
        }
        if let disableOOMKiller { try directory.set("memory.oom_control", disableOOMKiller ? "1" : "0", for: "memory.disableOOMKiller") }
        if let useHierarchy, directory.number("memory.use_hierarchy") != (useHierarchy ? 1 : 0) {
            try directory.set("memory.use_hierarchy", useHierarchy ? "1" : "0", for: "memory.useHierarchy")
        }
    }

    /// The kernel keeps memsw ≥ memory at every moment: which is written first depends on where both stand.
    private func applyLimitsV1(to directory: CgroupDirectory) throws {
        let limit = self.limit ?? 0
        var swap = self.swap ?? 0
        let hasSwap = swap != 0 || limit == -1 ? directory.has("memory.memsw.limit_in_bytes") : false
        if swap != 0 && !hasSwap {
            throw CgroupError.unsupported(setting: "memory.swap", reason: "this kernel does not account swap (boot with swapaccount=1)")
        }
        if limit == -1 && swap == 0 && hasSwap { swap = -1 }
        let memoryFirst =
            swap > 0 && limit != 0 && (directory.number("memory.limit_in_bytes").map { $0 > UInt64(swap) } ?? true)
        if memoryFirst { try setLimitV1(limit, in: directory) }
        if swap != 0 { try directory.set("memory.memsw.limit_in_bytes", "\(swap)", for: "memory.swap") }
        if !memoryFirst { try setLimitV1(limit, in: directory) }
    }

    private func setLimitV1(_ limit: Int64, in directory: CgroupDirectory) throws {
        if limit == 0 { return }
        do { try directory.set("memory.limit_in_bytes", "\(limit)", for: "memory.limit") } catch let error as SystemError
            where error.code == EBUSY
        {
            throw CgroupError.invalid(
                setting: "memory.limit", reason: "\(limit) is below the present usage of \(directory.number("memory.usage_in_bytes") ?? 0)")
        }
    }

    private func applyUnified(to directory: CgroupDirectory) throws {
        if kernel ?? 0 > 0 { throw Self.onlyV1("memory.kernel") }
        if kernelTCP ?? 0 > 0 { throw Self.onlyV1("memory.kernelTCP") }
        if swappiness != nil { throw Self.onlyV1("memory.swappiness") }
        if disableOOMKiller == true { throw Self.onlyV1("memory.disableOOMKiller") }
        if useHierarchy == false { throw Self.onlyV1("memory.useHierarchy false") }
        let limit = self.limit ?? 0
        if checkBeforeUpdate == true { try checkUsage(limit: limit, in: directory) }
        if let swap = try unifiedSwap(limit: limit) {
            // Without swap in the kernel, none and unlimited are what there is anyway.
            if directory.has("memory.swap.max") || (swap != "max" && swap != "0") {
                try directory.set("memory.swap.max", swap, for: "memory.swap")
            }
        }
        if limit != 0 { try directory.set("memory.max", Self.unifiedText(limit), for: "memory.limit") }
        if let reservation, reservation != 0 { try directory.set("memory.low", Self.unifiedText(reservation), for: "memory.reservation") }
    }

    /// In runc's words, by which callers know the refusal. What is swapped out is not counted, as in runc: the sum is refused
    /// when it is too small in any case.
    private func checkUsage(limit: Int64, in directory: CgroupDirectory) throws {
        guard let usage = directory.number("memory.current") else { return }
        for (setting, name, value) in [("memory.swap", "memory+swap", swap ?? 0), ("memory.limit", "memory", limit)]
        where value > 0 && usage > UInt64(value) {
            throw CgroupError.invalid(
                setting: setting, reason: "rejecting \(name) limit \(value), which is below the present usage of \(usage)")
        }
    }

    /// v2 limits swap alone, OCI names the sum.
    private func unifiedSwap(limit: Int64) throws -> String? {
        let swap = self.swap ?? 0
        if swap == 0 { return limit == -1 ? "max" : nil }
        if swap == -1 { return "max" }
        if limit <= 0 { throw CgroupError.invalid(setting: "memory.swap", reason: "memory.limit must be set with it") }
        return "\(swap - limit)"
    }

    private static func unifiedText(_ bytes: Int64) -> String { bytes == -1 ? "max" : "\(bytes)" }

    private static func onlyV1(_ setting: String) -> CgroupError { .unsupported(setting: setting, reason: "cgroup v2 has no such limit") }
}
