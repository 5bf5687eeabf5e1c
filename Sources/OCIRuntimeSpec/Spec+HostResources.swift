internal import JSON

extension Spec {
    /// How far a clock of a time namespace is from the host's (config-linux.md, "Offset for Time Namespace").
    public struct TimeOffset: Sendable, Equatable {
        public var seconds: Int64
        public var nanoseconds: UInt32

        public init(seconds: Int64, nanoseconds: UInt32 = 0) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }
    }

    /// A network interface of the runtime's namespace that moves into the container's (config-linux.md, "Network Devices").
    public struct NetDevice: Sendable, Equatable {
        /// Its name outside.
        public var hostName: String
        /// Its name inside; nil keeps it. With `%d` the kernel fills in a number.
        public var name: String?

        public init(hostName: String, name: String? = nil) {
            self.hostName = hostName
            self.name = name
        }
    }

    /// Cache and memory bandwidth by Intel RDT (config-linux.md, "IntelRdt").
    public struct IntelRdt: Sendable, Equatable {
        /// The class of service; nil makes one of the container's own, `/` is the default one.
        public var closID: String?
        public var l3CacheSchema: String?
        public var memBwSchema: String?
        /// Lines of the `schemata` file.
        public var schemata: [String] = []
        public var enableMonitoring = false

        public init() {}

        /// What is written to `schemata`, in the specification's order.
        public var lines: [String] { [l3CacheSchema, memBwSchema].compactMap { $0 } + schemata }
    }
}

extension Spec.TimeOffset {
    init(_ fields: SpecObject) throws(SpecError) {
        seconds = try fields.number("secs") ?? 0
        nanoseconds = try fields.number("nanosecs") ?? 0
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("secs", seconds)
        object.put("nanosecs", nanoseconds == 0 ? nil : nanoseconds)
        return object.value
    }
}

extension Spec.IntelRdt {
    init(_ fields: SpecObject) throws(SpecError) {
        closID = try fields.string("closID").flatMap { $0.isEmpty ? nil : $0 }
        l3CacheSchema = try fields.string("l3CacheSchema").flatMap { $0.isEmpty ? nil : $0 }
        memBwSchema = try fields.string("memBwSchema").flatMap { $0.isEmpty ? nil : $0 }
        schemata = try fields.strings("schemata")
        enableMonitoring = try fields.bool("enableMonitoring") ?? false
        // Replaced by enableMonitoring in specification 1.3; nobody ever implemented them.
        if try fields.bool("enableCMT") == true { throw SpecError.notImplemented("enableCMT") }
        if try fields.bool("enableMBM") == true { throw SpecError.notImplemented("enableMBM") }
    }

    var json: JSONValue {
        var object = SpecWriter()
        object.put("closID", closID)
        object.put("l3CacheSchema", l3CacheSchema)
        object.put("memBwSchema", memBwSchema)
        object.put("schemata", schemata)
        object.put("enableMonitoring", enableMonitoring ? true : nil)
        return object.value
    }
}

extension SpecObject {
    /// An object whose members' names mean something, in the order of the names.
    func entries<T>(_ name: String, _ make: (String, SpecObject) throws(SpecError) -> T) throws(SpecError) -> [T] {
        try value(name) { (value) throws(SpecError) -> [T] in
            let fields = try SpecObject(value)
            var result: [T] = []
            for name in fields.names.sorted() {
                // A null is Go's empty object.
                let entry = try fields.object(name) { (entry) throws(SpecError) in try make(name, entry) }
                if let entry { result.append(entry) } else { throw SpecError.missing(name) }
            }
            return result
        } ?? []
    }
}

extension Spec.LinuxConfig {
    mutating func readHostResources(_ fields: SpecObject) throws(SpecError) {
        for (clock, offset) in try fields.entries("timeOffsets", { (name, entry) throws(SpecError) in (name, try Spec.TimeOffset(entry)) })
        {
            timeOffsets[clock] = offset
        }
        netDevices = try fields.entries("netDevices") { (name, entry) throws(SpecError) in
            Spec.NetDevice(hostName: name, name: try entry.string("name").flatMap { $0.isEmpty ? nil : $0 })
        }
        intelRdt = try fields.object("intelRdt", Spec.IntelRdt.init)
        memoryPolicy = try fields.object("memoryPolicy", Spec.MemoryPolicy.init)
    }

    var timeOffsetsJSON: JSONValue? {
        if timeOffsets.isEmpty { return nil }
        var object = SpecWriter()
        for (clock, offset) in timeOffsets.sorted(by: { $0.key < $1.key }) { object.put(clock, offset.json) }
        return object.value
    }

    var netDevicesJSON: JSONValue? {
        if netDevices.isEmpty { return nil }
        var object = SpecWriter()
        for device in netDevices {
            var entry = SpecWriter()
            entry.put("name", device.name)
            object.put(device.hostName, entry.value)
        }
        return object.value
    }
}
