internal import Glibc

extension CgroupManager {
    /// Sets the limits that are given and leaves all others: at creation and for `update`. The first that the host
    /// cannot carry out throws, `CgroupError` by the name of the OCI field.
    public func apply(_ resources: CgroupResources) throws {
        if let setting = resources.memory.firstSetting { try resources.memory.apply(to: carrier(of: "memory", for: setting)) }
        if let setting = resources.cpu.firstTimeSetting { try resources.cpu.applyTime(to: carrier(of: "cpu", for: setting)) }
        if let setting = resources.cpu.firstSetSetting { try resources.cpu.applySets(to: carrier(of: "cpuset", for: setting)) }
        if let limit = resources.pidsLimit { try carrier(of: "pids", for: "pids.limit").applyPids(limit) }
        if let setting = resources.blockIO.firstSetting { try resources.blockIO.apply(to: carrier(of: "blkio", for: setting)) }
        for hugepage in resources.hugepages {
            try hugepage.apply(to: carrier(of: "hugetlb", for: "hugepageLimits.\(hugepage.pageSize)"))
        }
        if let identifier = resources.network.classID {
            try carrier(of: "net_cls", for: "network.classID").set("net_cls.classid", "\(identifier)", for: "network.classID")
        }
        for entry in resources.network.priorities {
            try carrier(of: "net_prio", for: "network.priorities")
                .set("net_prio.ifpriomap", "\(entry.interface) \(entry.priority)", for: "network.priorities")
        }
        for (device, limit) in resources.rdma.sorted(by: { $0.key < $1.key }) {
            try limit.apply(to: carrier(of: "rdma", for: "rdma.\(device)"), device: device)
        }
        if !resources.devices.isEmpty { try apply(devices: resources.devices) }
        try apply(unified: resources.unified)
    }

    /// The directory whose controller carries a limit; v1's name of the controller, `blkio` is `io` on v2.
    private func carrier(of controller: String, for setting: String) throws -> CgroupDirectory {
        if let found = directory(of: controller) { return found }
        if controller == "blkio", let found = directory(of: "io") { return found }
        throw CgroupError.controllerMissing(controller: controller, setting: setting)
    }

    /// v1 has knobs for it; v2 asks a BPF program, which also works on a hybrid host without the devices controller.
    private func apply(devices rules: [DeviceRule]) throws {
        let list = try DeviceList(rules)
        if let v1 = directory(of: "devices") { return try list.apply(toV1: v1) }
        guard let unified else { throw CgroupError.controllerMissing(controller: "devices", setting: "devices") }
        try DeviceProgram(list).attach(to: unified)
    }

    private func apply(unified settings: [String: String]) throws {
        for (name, content) in settings.sorted(by: { $0.key < $1.key }) {
            let setting = "unified.\(name)"
            guard let unified else { throw CgroupError.unsupported(setting: setting, reason: "this host has no cgroup v2") }
            if name.isEmpty || name.utf8.contains(UInt8(ascii: "/")) || name == ".." || name == "." {
                throw CgroupError.invalid(setting: setting, reason: "not a file name")
            }
            // io.max and its like take one device per write.
            for line in content.split(separator: "\n") { try unified.set(name, String(line), for: setting) }
        }
    }
}

extension CgroupDirectory {
    /// Writes knobs whose valid values depend on each other (a quota must fit its period, a burst its quota): one
    /// that is refused as invalid is tried again after the others.
    func setTogether(_ knobs: [(name: String, text: String, setting: String)]) throws {
        var pending = knobs
        while !pending.isEmpty {
            var refused: [(name: String, text: String, setting: String)] = []
            var failure: SystemError?
            for knob in pending {
                do { try set(knob.name, knob.text, for: knob.setting) } catch let error as SystemError where error.code == EINVAL {
                    refused.append(knob)
                    failure = failure ?? error
                }
            }
            if let failure, refused.count == pending.count { throw failure }
            pending = refused
        }
    }
}
