// The blkio (v1) and io (v2) controllers: cgroup-v1/blkio-controller.rst, cgroup-v2.rst "IO".
extension CgroupResources.BlockIO {
    /// The name of the first field that is set.
    var firstSetting: String? {
        if weight ?? 0 != 0 { return "blockIO.weight" }
        if leafWeight ?? 0 != 0 { return "blockIO.leafWeight" }
        if !weightDevices.isEmpty { return "blockIO.weightDevice" }
        return throttles.first { !$0.list.isEmpty }?.setting
    }

    /// The four throttles: OCI's name, v1's file, v2's key in io.max.
    private var throttles: [(list: [CgroupResources.Throttle], setting: String, file: String, key: String)] {
        [
            (readBytes, "blockIO.throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"),
            (writeBytes, "blockIO.throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"),
            (readOperations, "blockIO.throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"),
            (writeOperations, "blockIO.throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"),
        ]
    }

    func apply(to directory: CgroupDirectory) throws {
        for value in [weight, leafWeight] + weightDevices.flatMap({ [$0.weight, $0.leafWeight] }) {
            if let value, value != 0, !(10...1000).contains(value) {
                throw CgroupError.invalid(setting: "blockIO.weight", reason: "\(value) is not 10 to 1000")
            }
        }
        if directory.isUnified { try applyUnified(to: directory) } else { try applyV1(to: directory) }
    }

    private func applyV1(to directory: CgroupDirectory) throws {
        if let weight, weight != 0 { try directory.set(Self.knob("weight", directory), "\(weight)", for: "blockIO.weight") }
        if let leafWeight, leafWeight != 0 { try directory.set("blkio.leaf_weight", "\(leafWeight)", for: "blockIO.leafWeight") }
        for device in weightDevices {
            if let weight = device.weight, weight != 0 {
                let knob = Self.knob("weight_device", directory)
                try directory.set(knob, "\(device.major):\(device.minor) \(weight)", for: "blockIO.weightDevice")
            }
            if let weight = device.leafWeight, weight != 0 {
                let text = "\(device.major):\(device.minor) \(weight)"
                try directory.set("blkio.leaf_weight_device", text, for: "blockIO.weightDevice.leafWeight")
            }
        }
        for throttle in throttles {
            for entry in throttle.list {
                try directory.set(throttle.file, "\(entry.major):\(entry.minor) \(entry.rate)", for: throttle.setting)
            }
        }
    }

    /// With CFQ gone from the kernel (5.0) only BFQ weighs.
    private static func knob(_ name: String, _ directory: CgroupDirectory) -> String {
        directory.has("blkio.bfq.\(name)") ? "blkio.bfq.\(name)" : "blkio.\(name)"
    }

    private func applyUnified(to directory: CgroupDirectory) throws {
        if leafWeight ?? 0 != 0 || weightDevices.contains(where: { $0.leafWeight ?? 0 != 0 }) {
            throw CgroupError.unsupported(setting: "blockIO.leafWeight", reason: "cgroup v2 has no such limit")
        }
        let hasBFQ = directory.has("io.bfq.weight")
        func text(_ weight: UInt16) -> String { hasBFQ ? "\(weight)" : "\(Self.unifiedWeight(weight))" }
        let knob = hasBFQ ? "io.bfq.weight" : "io.weight"
        if let weight, weight != 0 { try directory.set(knob, text(weight), for: "blockIO.weight") }
        for device in weightDevices {
            guard let weight = device.weight, weight != 0 else { continue }
            try directory.set(knob, "\(device.major):\(device.minor) \(text(weight))", for: "blockIO.weightDevice")
        }
        for throttle in throttles {
            for entry in throttle.list {
                let rate = entry.rate == 0 ? "max" : "\(entry.rate)"
                try directory.set("io.max", "\(entry.major):\(entry.minor) \(throttle.key)=\(rate)", for: throttle.setting)
            }
        }
    }

    /// 10–1000 onto io.weight's 1–10000, linearly, as runc and crun do.
    public static func unifiedWeight(_ weight: UInt16) -> UInt64 { 1 + (UInt64(weight) - 10) * 9999 / 990 }
}
