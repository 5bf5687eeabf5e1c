internal import CLinux
internal import EngineTypes
internal import Glibc
internal import OCIRuntimeSpec

/// HostConfig's limits in the OCI specification's words.
struct ResourceLimits {
    private let host: HostConfig

    init(_ host: HostConfig) { self.host = host }

    func resolve() throws(EngineError) -> Spec.Resources {
        var resources = Spec.Resources()
        resources.memory = memory()
        resources.cpu = cpu()
        if let limit = host.PidsLimit, limit != 0 { resources.pidsLimit = limit < 0 ? -1 : limit }
        resources.blockIO = try blockIO()
        return resources
    }

    private func memory() -> Spec.Memory? {
        var memory = Spec.Memory()
        func positive(_ value: Int64?) -> Int64? { value.flatMap { $0 == 0 ? nil : $0 } }
        memory.limit = positive(host.Memory)
        memory.swap = positive(host.MemorySwap)
        memory.reservation = positive(host.MemoryReservation)
        memory.kernelTCP = positive(host.KernelMemoryTCP)
        memory.swappiness = host.MemorySwappiness.flatMap { $0 < 0 ? nil : UInt64($0) }
        memory.disableOOMKiller = host.OomKillDisable == true ? true : nil
        return memory == Spec.Memory() ? nil : memory
    }

    private func cpu() -> Spec.CPU? {
        var cpu = Spec.CPU()
        cpu.shares = host.CpuShares.flatMap { $0 > 0 ? UInt64($0) : nil }
        cpu.quota = host.CpuQuota.flatMap { $0 == 0 ? nil : $0 }
        cpu.period = host.CpuPeriod.flatMap { $0 > 0 ? UInt64($0) : nil }
        if let nano = host.NanoCpus, nano > 0 {
            cpu.period = 100_000
            cpu.quota = nano / 10_000
        }
        cpu.realtimeRuntime = host.CpuRealtimeRuntime.flatMap { $0 == 0 ? nil : $0 }
        cpu.realtimePeriod = host.CpuRealtimePeriod.flatMap { $0 > 0 ? UInt64($0) : nil }
        cpu.cpus = host.CpusetCpus.flatMap { $0.isEmpty ? nil : $0 }
        cpu.mems = host.CpusetMems.flatMap { $0.isEmpty ? nil : $0 }
        return cpu == Spec.CPU() ? nil : cpu
    }

    private func blockIO() throws(EngineError) -> Spec.BlockIO? {
        var block = Spec.BlockIO()
        block.weight = host.BlkioWeight.flatMap { $0 > 0 ? UInt16(clamping: $0) : nil }
        for device in host.BlkioWeightDevice ?? [] {
            let (major, minor) = try Self.number(of: device.Path)
            block.weightDevice.append(Spec.DeviceWeight(major: major, minor: minor, weight: UInt16(clamping: device.Weight)))
        }
        block.throttleReadBps = try rates(host.BlkioDeviceReadBps)
        block.throttleWriteBps = try rates(host.BlkioDeviceWriteBps)
        block.throttleReadIOPS = try rates(host.BlkioDeviceReadIOps)
        block.throttleWriteIOPS = try rates(host.BlkioDeviceWriteIOps)
        return block == Spec.BlockIO() ? nil : block
    }

    private func rates(_ devices: [ThrottleDevice]?) throws(EngineError) -> [Spec.DeviceRate] {
        var result: [Spec.DeviceRate] = []
        for device in devices ?? [] {
            let (major, minor) = try Self.number(of: device.Path)
            result.append(Spec.DeviceRate(major: major, minor: minor, rate: device.Rate))
        }
        return result
    }

    private static func number(of path: String) throws(EngineError) -> (Int64, Int64) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw .invalid("no such device: \(path)") }
        return (Int64(clp_major(status.st_rdev)), Int64(clp_minor(status.st_rdev)))
    }
}
