public import EngineTypes
internal import Linux
internal import OCIRuntimeSpec
internal import ShimProtocol
internal import Supervision

extension ContainerService {
    /// Changes limits and restart policy. What is zero, empty or absent in the request stays as it is. Answers warnings.
    public func update(_ id: String, _ request: HostConfig) async throws -> [String] {
        let container = try store.find(id)
        return try await container.transition.withLock {
            switch container.phase {
            case .removing, .dead:
                throw EngineError.conflict(
                    "Cannot update container \(container.id): Container is marked for removal and cannot be \"update\".")
            case .created, .starting, .running, .paused, .unreachable, .restarting, .exited: break
            }
            let record = container.record
            let updated: HostConfig
            do {
                updated = try record.hostConfig.updated(by: request)
                try updated.check(config: record.config)
            } catch { throw EngineError.from(error) }
            do {
                try await apply(updated, old: record.hostConfig, to: container)
            } catch {
                let failure = EngineError.from(error)
                throw EngineError(failure.code, "Cannot update container \(container.id): \(failure.message)", cause: error)
            }
            container.withState { $0.record.hostConfig = updated }
            do { try await store.save(container) } catch {
                container.withState { $0.record.hostConfig = record.hostConfig }
                throw EngineError.from(error)
            }
            lifecycle.publish(container, "update")
            return []
        }
    }

    /// All or nothing: what was set before the limit that the kernel refused goes back.
    private func apply(_ new: HostConfig, old: HostConfig, to container: Container) async throws {
        let resources = try ResourceLimits(new).resolve()
        if try !container.isAlive || resources == ResourceLimits(old).resolve() { return }
        guard let connection = try container.livingConnection() else { return }
        do throws(ShimFailure) { try await connection.update(resources: resources.json) } catch {
            if let before = try? ResourceLimits(old).resolve() { try? await connection.update(resources: before.json) }
            throw EngineError.from(error)
        }
    }
}

extension HostConfig {
    /// With the limits and the restart policy of an update. Throws `EngineError` for what cannot be changed.
    func updated(by request: HostConfig) throws(EngineError) -> HostConfig {
        try request.refuseFixed()
        var host = self
        func set<Value: Equatable>(_ field: WritableKeyPath<HostConfig, Value?>, unless none: Value) {
            if let value = request[keyPath: field], value != none { host[keyPath: field] = value }
        }
        if (request.CpuPeriod ?? 0) != 0 && (NanoCpus ?? 0) != 0 {
            throw .invalid("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
        }
        if (request.CpuQuota ?? 0) != 0 && (NanoCpus ?? 0) != 0 {
            throw .invalid("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
        }
        if (request.NanoCpus ?? 0) != 0 && ((CpuPeriod ?? 0) != 0 || (CpuQuota ?? 0) != 0) {
            throw .invalid(
                "Conflicting options: Nano CPUs cannot be updated as CPU \((CpuPeriod ?? 0) != 0 ? "Period" : "Quota") has already been set"
            )
        }
        if let memory = request.Memory, memory != 0, (request.MemorySwap ?? 0) == 0, let swap = MemorySwap, swap > 0, memory > swap {
            throw .invalid(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
        }
        for field in [
            \HostConfig.CpuShares, \.NanoCpus, \.CpuPeriod, \.CpuQuota, \.CpuRealtimePeriod, \.CpuRealtimeRuntime, \.Memory, \.MemorySwap,
            \.MemoryReservation, \.KernelMemoryTCP,
        ] as [WritableKeyPath<HostConfig, Int64?>] { set(field, unless: 0) }
        set(\.CpusetCpus, unless: "")
        set(\.CpusetMems, unless: "")
        set(\.BlkioWeight, unless: 0)
        // Zero lifts this limit, as -1 does.
        if let limit = request.PidsLimit { host.PidsLimit = limit == 0 ? -1 : limit }
        if let policy = request.RestartPolicy, !(policy.Name ?? "").isEmpty {
            if AutoRemove == true && policy.Name != "no" {
                throw .invalid("Restart policy cannot be updated because AutoRemove is enabled for the container")
            }
            host.RestartPolicy = EngineTypes.RestartPolicy(Name: policy.Name, MaximumRetryCount: policy.MaximumRetryCount ?? 0)
        }
        return host
    }

    /// What Docker's update carries and passes over is refused: it would look as if it had been done.
    private func refuseFixed() throws(EngineError) {
        func refuse(_ condition: Bool, _ name: String) throws(EngineError) {
            if condition { throw .invalid("\(name) cannot be changed by an update") }
        }
        try refuse(!(CgroupParent ?? "").isEmpty, "CgroupParent")
        try refuse(!(Devices ?? []).isEmpty, "Devices")
        try refuse(!(DeviceCgroupRules ?? []).isEmpty, "DeviceCgroupRules")
        try refuse(!(DeviceRequests ?? []).isEmpty, "DeviceRequests")
        try refuse(!(Ulimits ?? []).isEmpty, "Ulimits")
        try refuse(OomKillDisable == true, "OomKillDisable")
        try refuse((MemorySwappiness ?? -1) != -1, "MemorySwappiness")
        try refuse((KernelMemory ?? 0) != 0, "KernelMemory")
        try refuse(
            !(BlkioWeightDevice ?? []).isEmpty || !(BlkioDeviceReadBps ?? []).isEmpty || !(BlkioDeviceWriteBps ?? []).isEmpty
                || !(BlkioDeviceReadIOps ?? []).isEmpty || !(BlkioDeviceWriteIOps ?? []).isEmpty, "BlkioDevice limits")
    }
}
