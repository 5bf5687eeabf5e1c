internal import EngineTypes
internal import Linux
internal import Networking

extension HealthConfig {
    /// Docker's bounds: a millisecond at least where a time is given.
    func check() throws(EngineError) {
        for (name, time) in [
            ("Interval", Interval), ("Timeout", Timeout), ("StartPeriod", StartPeriod), ("StartInterval", StartInterval),
        ] where time != nil && time != 0 && time ?? 0 < 1_000_000 {
            throw .invalid("\(name) in Healthcheck cannot be less than 1ms")
        }
        if let retries = Retries, retries < 0 { throw .invalid("Retries in Healthcheck cannot be negative") }
        guard let kind = Test?.first, !["NONE", "CMD", "CMD-SHELL"].contains(kind) else { return }
        throw .invalid("Unknown healthcheck type '\(kind)' (expected 'CMD')")
    }
}

extension ContainerConfig {
    /// Variables have names.
    func checkVariables() throws(EngineError) {
        if let wrong = Env?.first(where: { $0.isEmpty || $0.hasPrefix("=") }) { throw .invalid("invalid environment variable: \(wrong)") }
    }
}

extension HostConfig {
    /// Refuses by name what cannot be applied, with Docker's texts where Docker has them.
    func check(config: ContainerConfig) throws(EngineError) {
        try checkUnbuilt()
        try checkMemory()
        try checkCPU()
        try checkNetwork(config)
        if let policy = RestartPolicy, let name = policy.Name, !name.isEmpty {
            guard ["no", "always", "unless-stopped", "on-failure"].contains(name) else {
                throw .invalid(
                    "invalid restart policy: unknown policy '\(name)'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'")
            }
            if let count = policy.MaximumRetryCount, count != 0, name != "on-failure" {
                let also = count < 0 ? " and cannot be negative" : ""
                throw .invalid("invalid restart policy: maximum retry count can only be used with 'on-failure'\(also)")
            }
            if let count = policy.MaximumRetryCount, count < 0 {
                throw .invalid("invalid restart policy: maximum retry count cannot be negative")
            }
            if AutoRemove == true && name != "no" { throw .invalid("can't create 'AutoRemove' container with restart policy") }
        }
        try checkNamespaces(config)
        try config.Healthcheck?.check()
        if let size = ShmSize, size < 0 { throw .invalid("SHM size can not be less than 0") }
        if let adjustment = OomScoreAdj, !(-1000...1000).contains(adjustment) {
            throw .invalid("Invalid value \(adjustment), range for oom score adj is [-1000, 1000]")
        }
        if let annotations = Annotations, annotations.keys.contains("") {
            throw .invalid("invalid Annotations: the empty string is not permitted as an annotation key")
        }
        if let size = ConsoleSize, size.count != 2 || size.contains(where: { !(0...Int(UInt16.max)).contains($0) }) {
            throw .invalid("invalid ConsoleSize: expected a height and a width")
        }
    }

    private func checkNamespaces(_ config: ContainerConfig) throws(EngineError) {
        let sharing = IpcMode ?? ""
        guard ["", "none", "private", "shareable", "host"].contains(sharing) || sharing.hasPrefix("container:") else {
            throw .invalid("invalid IPC mode: \(sharing)")
        }
        let processes = PidMode ?? ""
        guard ["", "host"].contains(processes) || processes.hasPrefix("container:") else {
            throw .invalid("invalid PID mode: \(processes)")
        }
        guard ["", "host"].contains(UTSMode ?? "") else { throw .invalid("invalid UTS mode: \(UTSMode ?? "")") }
        if UTSMode == "host" {
            if !(config.Hostname ?? "").isEmpty { throw .invalid("conflicting options: hostname and the UTS mode") }
            if !(config.Domainname ?? "").isEmpty { throw .invalid("conflicting options: domainname and the UTS mode") }
        }
        guard ["", "host"].contains(UsernsMode ?? "") else { throw .invalid("invalid user namespace mode: \(UsernsMode ?? "")") }
        guard ["", "host", "private"].contains(CgroupnsMode ?? "") else {
            throw .invalid("invalid cgroup namespace mode: \(CgroupnsMode ?? "")")
        }
        if let isolation = Isolation, !["", "default"].contains(isolation) {
            throw .invalid("Invalid isolation: \"\(isolation)\" - linux only supports 'default'")
        }
    }

    private func checkUnbuilt() throws(EngineError) {
        func refuse(_ condition: Bool, _ what: String) throws(EngineError) {
            if condition { throw .notImplemented("HostConfig.\(what)") }
        }
        try refuse(!(Cgroup ?? "").isEmpty, "Cgroup")
        try refuse((CpuCount ?? 0) != 0 || (CpuPercent ?? 0) != 0, "CpuCount and CpuPercent (Windows)")
        try refuse((IOMaximumIOps ?? 0) != 0 || (IOMaximumBandwidth ?? 0) != 0, "IOMaximumIOps and IOMaximumBandwidth (Windows)")
        try refuse((KernelMemory ?? 0) > 0, "KernelMemory")
    }

    private func checkMemory() throws(EngineError) {
        let memory = Memory ?? 0
        if memory != 0 && memory < 6 * 1024 * 1024 { throw .invalid("Minimum memory limit allowed is 6MB") }
        let swap = MemorySwap ?? 0
        if memory == 0 && swap > 0 { throw .invalid("You should always set the Memory limit when using Memoryswap limit, see usage") }
        if memory > 0 && swap > 0 && swap < memory {
            throw .invalid("Minimum memoryswap limit should be larger than memory limit, see usage")
        }
        if let swappiness = MemorySwappiness, swappiness != -1, !(0...100).contains(swappiness) {
            throw .invalid("Invalid value: \(swappiness), valid memory swappiness range is 0-100")
        }
        let reservation = MemoryReservation ?? 0
        if reservation > 0 && reservation < 6 * 1024 * 1024 { throw .invalid("Minimum memory reservation allowed is 6MB") }
        if memory > 0 && reservation > memory {
            throw .invalid("Minimum memory limit can not be less than memory reservation limit, see usage")
        }
    }

    private func checkCPU() throws(EngineError) {
        if (CpuShares ?? 0) < 0 { throw .invalid("invalid CPU shares (\(CpuShares ?? 0)): value must be a positive integer") }
        let nano = NanoCpus ?? 0
        if nano != 0 {
            if (CpuPeriod ?? 0) != 0 { throw .invalid("Conflicting options: Nano CPUs and CPU Period cannot both be set") }
            if (CpuQuota ?? 0) != 0 { throw .invalid("Conflicting options: Nano CPUs and CPU Quota cannot both be set") }
            let available = HostFacts.processorCount
            if nano < 0 || nano > Int64(available) * 1_000_000_000 {
                throw .invalid("range of CPUs is from 0.01 to \(available).00, as there are only \(available) CPUs available")
            }
        }
        try Self.checkSet(CpusetCpus, available: "/sys/devices/system/cpu/online", "CPUs")
        try Self.checkSet(CpusetMems, available: "/sys/devices/system/node/online", "memory nodes")
        if let period = CpuPeriod, period != 0, !(1000...1_000_000).contains(period) {
            throw .invalid("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
        }
        if let quota = CpuQuota, quota > 0, quota < 1000 { throw .invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)") }
        try checkRealtime()
        for weight in [BlkioWeight ?? 0] + (BlkioWeightDevice ?? []).map(\.Weight) where weight != 0 && !(10...1000).contains(weight) {
            throw .invalid("Range of blkio weight is from 10 to 1000")
        }
    }

    private func checkRealtime() throws(EngineError) {
        let (period, runtime) = (CpuRealtimePeriod ?? 0, CpuRealtimeRuntime ?? 0)
        if period == 0 && runtime == 0 { return }
        guard HostFacts.hasRealtimeLimits else { throw .invalid("Your kernel does not support CPU real-time scheduler") }
        if period < 0 || runtime < 0 { throw .invalid("cpu real-time period and runtime cannot be negative") }
        if period != 0 && runtime > period { throw .invalid("cpu real-time runtime cannot be higher than cpu real-time period") }
    }

    /// `0-2,7` has to lie within what the kernel has.
    private static func checkSet(_ text: String?, available path: String, _ what: String) throws(EngineError) {
        guard let text, !text.isEmpty else { return }
        func numbers(_ list: String) -> Set<Int>? {
            var found: Set<Int> = []
            for part in list.split(separator: ",") {
                let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Int($0) }
                guard let first = ends[0], let last = ends.count == 2 ? ends[1] : first, 0 <= first, first <= last, last < 1 << 16 else {
                    return nil
                }
                found.formUnion(first...last)
            }
            return found
        }
        guard let wanted = numbers(text) else { throw .invalid("Invalid value \(text) for cpuset \(what == "CPUs" ? "cpus" : "mems")") }
        let known = ((try? Files.readText(path)) ?? "").split(separator: "\n").first.map(String.init) ?? ""
        guard let there = numbers(known), !there.isEmpty else { return }
        if !wanted.isSubset(of: there) {
            throw .invalid("Requested \(what) are not available - requested \(text), available: \(known)")
        }
    }

    private func checkNetwork(_ config: ContainerConfig) throws(EngineError) {
        for key in (config.ExposedPorts ?? [:]).keys.sorted() { _ = try PortRequests.parse(key) }
        for (key, bindings) in (PortBindings ?? [:]).sorted(by: { $0.key < $1.key }) {
            _ = try PortRequests.parse(key)
            for binding in bindings ?? [] {
                do { _ = try PortRequest.hostPorts(binding.HostPort ?? "") } catch {
                    throw .invalid("invalid port specification: \"\(binding.HostPort ?? "")\"")
                }
            }
        }
        for entry in ExtraHosts ?? [] {
            do { _ = try ContainerFiles.extraHost(entry) } catch { throw .invalid(error.message) }
        }
        let mode = NetworkMode ?? "default"
        if mode == "container:" { throw .invalid("Invalid network mode: invalid container format container:<name|id>") }
        let shares = mode == "host" || mode.hasPrefix("container:")
        if mode.hasPrefix("container:") {
            if !(config.Hostname ?? "").isEmpty { throw .invalid("conflicting options: hostname and the network mode") }
            if !(Dns ?? []).isEmpty { throw .invalid("conflicting options: dns and the network mode") }
            if !(ExtraHosts ?? []).isEmpty { throw .invalid("conflicting options: custom host-to-IP mapping and the network mode") }
            if !(PortBindings ?? [:]).isEmpty { throw .invalid("conflicting options: port publishing and the container type network mode") }
            if !(config.ExposedPorts ?? [:]).isEmpty {
                throw .invalid("conflicting options: port exposing and the container type network mode")
            }
        }
        if shares && !(config.MacAddress ?? "").isEmpty { throw .invalid("conflicting options: mac-address and the network mode") }
    }

    /// Fills in what the client left out, so that `inspect` shows every field.
    func withDefaults(shmSize: Int64, logDriver: String, _ defaults: ContainerDefaults = ContainerDefaults()) -> HostConfig {
        var filled = self
        filled.CpuShares = CpuShares ?? 0
        filled.Memory = Memory ?? 0
        filled.NanoCpus = NanoCpus ?? 0
        filled.CgroupParent = CgroupParent ?? ""
        filled.BlkioWeight = BlkioWeight ?? 0
        filled.BlkioWeightDevice = BlkioWeightDevice ?? []
        filled.BlkioDeviceReadBps = BlkioDeviceReadBps ?? []
        filled.BlkioDeviceWriteBps = BlkioDeviceWriteBps ?? []
        filled.BlkioDeviceReadIOps = BlkioDeviceReadIOps ?? []
        filled.BlkioDeviceWriteIOps = BlkioDeviceWriteIOps ?? []
        filled.CpuPeriod = CpuPeriod ?? 0
        filled.CpuQuota = CpuQuota ?? 0
        filled.CpuRealtimePeriod = CpuRealtimePeriod ?? 0
        filled.CpuRealtimeRuntime = CpuRealtimeRuntime ?? 0
        filled.CpusetCpus = CpusetCpus ?? ""
        filled.CpusetMems = CpusetMems ?? ""
        filled.CpuCount = CpuCount ?? 0
        filled.CpuPercent = CpuPercent ?? 0
        filled.IOMaximumIOps = IOMaximumIOps ?? 0
        filled.IOMaximumBandwidth = IOMaximumBandwidth ?? 0
        filled.Cgroup = Cgroup ?? ""
        filled.Devices = Devices ?? []
        filled.MemoryReservation = MemoryReservation ?? 0
        // Docker: without a swap limit a container may use as much swap as memory.
        let memory = Memory ?? 0
        filled.MemorySwap = MemorySwap.flatMap { $0 == 0 ? nil : $0 } ?? (memory > 0 ? (memory > .max / 2 ? .max : memory * 2) : 0)
        filled.OomKillDisable = OomKillDisable ?? false
        filled.Ulimits = Ulimits ?? []
        filled.ContainerIDFile = ContainerIDFile ?? ""
        filled.LogConfig = EngineTypes.LogConfig(
            Type: LogConfig?.Type.flatMap { $0.isEmpty ? nil : $0 } ?? logDriver, Config: LogConfig?.Config ?? [:])
        filled.NetworkMode = NetworkMode.flatMap { $0.isEmpty ? nil : $0 } ?? "default"
        filled.PortBindings = (PortBindings ?? [:]).mapValues { bindings in
            bindings?.map { PortBinding(HostIp: $0.HostIp ?? "", HostPort: $0.HostPort ?? "") }
        }
        filled.RestartPolicy = EngineTypes.RestartPolicy(
            Name: RestartPolicy?.Name.flatMap { $0.isEmpty ? nil : $0 } ?? "no", MaximumRetryCount: RestartPolicy?.MaximumRetryCount ?? 0)
        filled.AutoRemove = AutoRemove ?? false
        filled.VolumeDriver = VolumeDriver ?? ""
        filled.ConsoleSize = ConsoleSize ?? [0, 0]
        filled.CgroupnsMode =
            CgroupnsMode.flatMap { $0.isEmpty ? nil : $0 } ?? defaults.cgroupnsMode ?? (HostFacts.isUnifiedCgroup ? "private" : "host")
        filled.Dns = Dns ?? []
        filled.DnsOptions = DnsOptions ?? []
        filled.DnsSearch = DnsSearch ?? []
        filled.IpcMode = IpcMode.flatMap { $0.isEmpty ? nil : $0 } ?? defaults.ipcMode
        filled.OomScoreAdj = OomScoreAdj ?? 0
        filled.PidMode = PidMode ?? ""
        filled.Privileged = Privileged ?? false
        filled.PublishAllPorts = PublishAllPorts ?? false
        filled.ReadonlyRootfs = ReadonlyRootfs ?? false
        filled.UTSMode = UTSMode ?? ""
        filled.UsernsMode = UsernsMode ?? ""
        filled.ShmSize = ShmSize.flatMap { $0 == 0 ? nil : $0 } ?? shmSize
        filled.Runtime = Runtime.flatMap { $0.isEmpty ? nil : $0 } ?? "clipper"
        filled.Isolation = Isolation ?? ""
        filled.MaskedPaths = Privileged == true ? MaskedPaths : MaskedPaths ?? SpecDefaults.maskedPaths
        filled.ReadonlyPaths = Privileged == true ? ReadonlyPaths : ReadonlyPaths ?? SpecDefaults.readonlyPaths
        return filled
    }
}
