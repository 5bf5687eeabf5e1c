public import Linux
public import OCIRuntimeSpec

extension CgroupResources {
    /// The limits of a spec in the kernel room's own words.
    public init(_ spec: Spec.Resources) throws(SpecError) {
        self.init()
        if let memory = spec.memory { self.memory = Memory(memory) }
        if let cpu = spec.cpu { self.cpu = CPU(cpu) }
        pidsLimit = spec.pidsLimit
        if let blockIO = spec.blockIO { self.blockIO = BlockIO(blockIO) }
        hugepages = spec.hugepageLimits.map { Hugepage(pageSize: $0.pageSize, limit: $0.limit) }
        network.classID = spec.network?.classID
        network.priorities = spec.network?.priorities.map { .init(interface: $0.name, priority: $0.priority) } ?? []
        rdma = spec.rdma.mapValues { RDMA(handles: $0.hcaHandles, objects: $0.hcaObjects) }
        unified = spec.unified
        for (index, rule) in spec.devices.enumerated() {
            do throws(SpecError) { devices.append(try DeviceRule(rule)) } catch {
                throw SpecError.invalid("linux.resources.devices[\(index)].\(error.field)", error.message)
            }
        }
    }
}

extension DeviceRule {
    init(_ rule: Spec.DeviceRule) throws(SpecError) {
        guard let kind = Kind(rawValue: rule.type) else { throw SpecError.invalid("type", "unknown device type \"\(rule.type)\"") }
        guard let access = Access(rule.access) else { throw SpecError.invalid("access", "unknown access \"\(rule.access)\"") }
        self.init(
            allow: rule.allow, kind: kind, major: try Self.number(rule.major, "major"), minor: try Self.number(rule.minor, "minor"),
            access: access)
    }

    /// -1, as nothing, is every number.
    private static func number(_ value: Int64?, _ field: String) throws(SpecError) -> UInt32? {
        guard let value, value != -1 else { return nil }
        guard let number = UInt32(exactly: value) else { throw SpecError.invalid(field, "must be -1 to 4294967295, is \(value)") }
        return number
    }
}

extension CgroupResources.Memory {
    init(_ spec: Spec.Memory) {
        self.init()
        limit = spec.limit
        reservation = spec.reservation
        swap = spec.swap
        kernel = spec.kernel
        kernelTCP = spec.kernelTCP
        swappiness = spec.swappiness
        disableOOMKiller = spec.disableOOMKiller
        useHierarchy = spec.useHierarchy
        checkBeforeUpdate = spec.checkBeforeUpdate
    }
}

extension CgroupResources.CPU {
    init(_ spec: Spec.CPU) {
        self.init()
        shares = spec.shares
        quota = spec.quota
        burst = spec.burst
        period = spec.period
        realtimeRuntime = spec.realtimeRuntime
        realtimePeriod = spec.realtimePeriod
        cpus = spec.cpus
        mems = spec.mems
        idle = spec.idle
    }
}

extension CgroupResources.BlockIO {
    init(_ spec: Spec.BlockIO) {
        self.init()
        weight = spec.weight
        leafWeight = spec.leafWeight
        weightDevices = spec.weightDevice.map {
            .init(major: $0.major, minor: $0.minor, weight: $0.weight, leafWeight: $0.leafWeight)
        }
        readBytes = spec.throttleReadBps.map { .init(major: $0.major, minor: $0.minor, rate: $0.rate) }
        writeBytes = spec.throttleWriteBps.map { .init(major: $0.major, minor: $0.minor, rate: $0.rate) }
        readOperations = spec.throttleReadIOPS.map { .init(major: $0.major, minor: $0.minor, rate: $0.rate) }
        writeOperations = spec.throttleWriteIOPS.map { .init(major: $0.major, minor: $0.minor, rate: $0.rate) }
    }
}
