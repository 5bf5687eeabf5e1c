public import JSON

extension Spec.Resources {
    /// Reads the resources object alone, as `update --resources` takes it.
    public init(parsing bytes: [UInt8]) throws(SpecError) {
        let document: JSONValue
        do throws(JSONError) { document = try JSONValue(parsing: bytes) } catch {
            throw SpecError(kind: .notJSON, message: error.description)
        }
        do throws(SpecError) { try self.init(try SpecObject(document)) } catch { throw error.inside("resources") }
    }

    init(_ fields: SpecObject) throws(SpecError) {
        devices = try fields.array("devices", Spec.DeviceRule.init)
        memory = try fields.object("memory", Spec.Memory.init)
        cpu = try fields.object("cpu", Spec.CPU.init)
        pidsLimit = try fields.object("pids") { (pids) throws(SpecError) -> Int64? in try pids.number("limit") } ?? nil
        blockIO = try fields.object("blockIO", Spec.BlockIO.init)
        hugepageLimits = try fields.array("hugepageLimits", Spec.HugepageLimit.init)
        network = try fields.object("network", Spec.Network.init)
        rdma =
            try fields.object("rdma") { (devices) throws(SpecError) in
                var result: [String: Spec.RDMA] = [:]
                for name in devices.names { result[name] = try devices.object(name, Spec.RDMA.init) }
                return result
            } ?? [:]
        unified = try fields.map("unified")
    }

    public var json: JSONValue {
        var object = SpecWriter()
        object.put("devices", devices.map(\.json))
        object.put("memory", memory?.json)
        object.put("cpu", cpu?.json)
        object.put("pids", pidsLimit.map { ["limit": .integer($0)] })
        object.put("blockIO", blockIO?.json)
        object.put(
            "hugepageLimits", hugepageLimits.map { ["pageSize": .string($0.pageSize), "limit": SpecWriter.number($0.limit)] })
        object.put("network", network?.json)
        if !rdma.isEmpty {
            var devices = SpecWriter()
            for (name, limits) in rdma.sorted(by: { $0.key < $1.key }) { devices.put(name, limits.json) }
            object.put("rdma", devices.value)
        }
        object.put("unified", unified)
        return object.value
    }
}

extension Spec.DeviceRule {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let allow = try fields.bool("allow") else { throw SpecError.missing("allow") }
        let type = try fields.string("type") ?? ""
        guard ["", "a", "b", "c"].contains(type) else { throw SpecError.invalid("type", "unknown device type \"\(type)\"") }
        let access = try fields.string("access") ?? ""
        guard access.utf8.allSatisfy({ "rwm".utf8.contains($0) }) else {
            throw SpecError.invalid("access", "only r, w and m are known, found \"\(access)\"")
        }
        self.init(
            allow: allow, type: type.isEmpty ? "a" : type, major: try fields.number("major"), minor: try fields.number("minor"),
            access: access.isEmpty ? "rwm" : access)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("allow", allow)
        object.put("type", type == "a" ? nil : type)
        object.put("major", major)
        object.put("minor", minor)
        object.put("access", access)
        return object.value
    }
}

extension Spec.Memory {
    init(_ fields: SpecObject) throws(SpecError) {
        limit = try fields.number("limit")
        reservation = try fields.number("reservation")
        swap = try fields.number("swap")
        kernel = try fields.number("kernel")
        kernelTCP = try fields.number("kernelTCP")
        swappiness = try fields.number("swappiness")
        disableOOMKiller = try fields.bool("disableOOMKiller")
        useHierarchy = try fields.bool("useHierarchy")
        checkBeforeUpdate = try fields.bool("checkBeforeUpdate")
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("limit", limit)
        object.put("reservation", reservation)
        object.put("swap", swap)
        object.put("kernel", kernel)
        object.put("kernelTCP", kernelTCP)
        object.put("swappiness", swappiness)
        object.put("disableOOMKiller", disableOOMKiller)
        object.put("useHierarchy", useHierarchy)
        object.put("checkBeforeUpdate", checkBeforeUpdate)
        return object.value
    }
}

extension Spec.CPU {
    init(_ fields: SpecObject) throws(SpecError) {
        shares = try fields.number("shares")
        quota = try fields.number("quota")
        burst = try fields.number("burst")
        period = try fields.number("period")
        realtimeRuntime = try fields.number("realtimeRuntime")
        realtimePeriod = try fields.number("realtimePeriod")
        cpus = try fields.string("cpus").flatMap { $0.isEmpty ? nil : $0 }
        mems = try fields.string("mems").flatMap { $0.isEmpty ? nil : $0 }
        idle = try fields.number("idle")
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("shares", shares)
        object.put("quota", quota)
        object.put("burst", burst)
        object.put("period", period)
        object.put("realtimeRuntime", realtimeRuntime)
        object.put("realtimePeriod", realtimePeriod)
        object.put("cpus", cpus)
        object.put("mems", mems)
        object.put("idle", idle)
        return object.value
    }
}

extension Spec.BlockIO {
    init(_ fields: SpecObject) throws(SpecError) {
        weight = try fields.number("weight")
        leafWeight = try fields.number("leafWeight")
        weightDevice = try fields.array("weightDevice") { (device) throws(SpecError) in
            Spec.DeviceWeight(
                major: try device.required("major"), minor: try device.required("minor"), weight: try device.number("weight"),
                leafWeight: try device.number("leafWeight"))
        }
        throttleReadBps = try fields.array("throttleReadBpsDevice", Spec.DeviceRate.init)
        throttleWriteBps = try fields.array("throttleWriteBpsDevice", Spec.DeviceRate.init)
        throttleReadIOPS = try fields.array("throttleReadIOPSDevice", Spec.DeviceRate.init)
        throttleWriteIOPS = try fields.array("throttleWriteIOPSDevice", Spec.DeviceRate.init)
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("weight", weight)
        object.put("leafWeight", leafWeight)
        object.put(
            "weightDevice",
            weightDevice.map { device in
                var entry = SpecWriter()
                entry.put("major", device.major)
                entry.put("minor", device.minor)
                entry.put("weight", device.weight)
                entry.put("leafWeight", device.leafWeight)
                return entry.value
            })
        object.put("throttleReadBpsDevice", throttleReadBps.map(\.json))
        object.put("throttleWriteBpsDevice", throttleWriteBps.map(\.json))
        object.put("throttleReadIOPSDevice", throttleReadIOPS.map(\.json))
        object.put("throttleWriteIOPSDevice", throttleWriteIOPS.map(\.json))
        return object.value
    }
}

extension Spec.DeviceRate {
    init(_ fields: SpecObject) throws(SpecError) {
        self.init(major: try fields.required("major"), minor: try fields.required("minor"), rate: try fields.required("rate"))
    }

    var json: JSONValue { ["major": .integer(major), "minor": .integer(minor), "rate": SpecWriter.number(rate)] }
}

extension Spec.HugepageLimit {
    init(_ fields: SpecObject) throws(SpecError) {
        guard let pageSize = try fields.string("pageSize") else { throw SpecError.missing("pageSize") }
        self.init(pageSize: pageSize, limit: try fields.required("limit"))
    }
}

extension Spec.Network {
    init(_ fields: SpecObject) throws(SpecError) {
        classID = try fields.number("classID")
        priorities = try fields.array("priorities") { (entry) throws(SpecError) in
            guard let name = try entry.string("name") else { throw SpecError.missing("name") }
            return Spec.InterfacePriority(name: name, priority: try entry.required("priority"))
        }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("classID", classID)
        object.put("priorities", priorities.map { ["name": .string($0.name), "priority": .integer(Int64($0.priority))] })
        return object.value
    }
}

extension Spec.RDMA {
    init(_ fields: SpecObject) throws(SpecError) {
        self.init(hcaHandles: try fields.number("hcaHandles"), hcaObjects: try fields.number("hcaObjects"))
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("hcaHandles", hcaHandles)
        object.put("hcaObjects", hcaObjects)
        return object.value
    }
}

extension SpecObject {
    func required<T: FixedWidthInteger & Sendable>(_ name: String) throws(SpecError) -> T {
        guard let number: T = try number(name) else { throw SpecError.missing(name) }
        return number
    }
}
