internal import OCIRuntimeSpec

/// What `update` does with limits that were set before.
extension Spec.Resources {
    /// Adds what a changed limit needs beside it and has from before: swap is told as the sum with memory, and v2 keeps
    /// quota and period in one file.
    mutating func complete(from before: Spec.Resources) {
        if memory?.swap ?? 0 > 0 && memory?.limit == nil { memory?.limit = before.memory?.limit }
        // Memory without limit and a limit of the sum cannot be.
        if memory?.limit == -1 && memory?.swap == nil { memory?.swap = -1 }
        if cpu?.quota != nil && cpu?.period == nil { cpu?.period = before.cpu?.period }
        if cpu?.period != nil && cpu?.quota == nil { cpu?.quota = before.cpu?.quota }
    }

    /// These limits with those of `changes` instead where it has any.
    func merged(with changes: Spec.Resources) -> Spec.Resources {
        var result = self
        if !changes.devices.isEmpty { result.devices = changes.devices }
        if let new = changes.memory { result.memory = (memory ?? .init()).merged(with: new) }
        if let new = changes.cpu { result.cpu = (cpu ?? .init()).merged(with: new) }
        result.pidsLimit = changes.pidsLimit ?? pidsLimit
        if let new = changes.blockIO { result.blockIO = (blockIO ?? .init()).merged(with: new) }
        let sizes = Set(changes.hugepageLimits.map(\.pageSize))
        result.hugepageLimits = hugepageLimits.filter { !sizes.contains($0.pageSize) } + changes.hugepageLimits
        result.network = changes.network ?? network
        result.rdma = rdma.merging(changes.rdma) { $1 }
        result.unified = unified.merging(changes.unified) { $1 }
        return result
    }

    /// Those of these limits that `changes` would replace: what undoes it.
    func restricted(to changes: Spec.Resources) -> Spec.Resources {
        var result = Spec.Resources()
        if !changes.devices.isEmpty { result.devices = devices }
        if changes.memory != nil { result.memory = memory }
        if changes.cpu != nil { result.cpu = cpu }
        if changes.pidsLimit != nil { result.pidsLimit = pidsLimit ?? -1 }
        if changes.blockIO != nil { result.blockIO = blockIO }
        let sizes = Set(changes.hugepageLimits.map(\.pageSize))
        result.hugepageLimits = hugepageLimits.filter { sizes.contains($0.pageSize) }
        if changes.network != nil { result.network = network }
        result.rdma = rdma.filter { changes.rdma[$0.key] != nil }
        result.unified = unified.filter { changes.unified[$0.key] != nil }
        return result
    }
}

extension Spec.Memory {
    fileprivate func merged(with new: Spec.Memory) -> Spec.Memory {
        var result = self
        result.limit = new.limit ?? limit
        result.reservation = new.reservation ?? reservation
        result.swap = new.swap ?? swap
        result.kernel = new.kernel ?? kernel
        result.kernelTCP = new.kernelTCP ?? kernelTCP
        result.swappiness = new.swappiness ?? swappiness
        result.disableOOMKiller = new.disableOOMKiller ?? disableOOMKiller
        result.useHierarchy = new.useHierarchy ?? useHierarchy
        result.checkBeforeUpdate = new.checkBeforeUpdate ?? checkBeforeUpdate
        return result
    }
}

extension Spec.CPU {
    fileprivate func merged(with new: Spec.CPU) -> Spec.CPU {
        var result = self
        result.shares = new.shares ?? shares
        result.quota = new.quota ?? quota
        result.burst = new.burst ?? burst
        result.period = new.period ?? period
        result.realtimeRuntime = new.realtimeRuntime ?? realtimeRuntime
        result.realtimePeriod = new.realtimePeriod ?? realtimePeriod
        result.cpus = new.cpus ?? cpus
        result.mems = new.mems ?? mems
        result.idle = new.idle ?? idle
        return result
    }
}

extension Spec.BlockIO {
    fileprivate func merged(with new: Spec.BlockIO) -> Spec.BlockIO {
        var result = self
        result.weight = new.weight ?? weight
        result.leafWeight = new.leafWeight ?? leafWeight
        if !new.weightDevice.isEmpty { result.weightDevice = new.weightDevice }
        if !new.throttleReadBps.isEmpty { result.throttleReadBps = new.throttleReadBps }
        if !new.throttleWriteBps.isEmpty { result.throttleWriteBps = new.throttleWriteBps }
        if !new.throttleReadIOPS.isEmpty { result.throttleReadIOPS = new.throttleReadIOPS }
        if !new.throttleWriteIOPS.isEmpty { result.throttleWriteIOPS = new.throttleWriteIOPS }
        return result
    }
}
