internal import JSON

/// Published ports whose packets the kernel cannot send to the container: the shim answers at sockets that the daemon lends
/// it and passes on what comes.
public struct PortRelay: Sendable, Equatable {
    /// The container's address, IPv4 or IPv6.
    public var target: String
    public var listeners: [Listener]

    public init(target: String, listeners: [Listener]) {
        self.target = target
        self.listeners = listeners
    }

    /// One socket.
    public struct Listener: Sendable, Equatable {
        /// Its number in the shim.
        public var descriptor: Int32
        /// The container's port.
        public var port: UInt16
        /// A bound UDP socket; else a TCP socket that listens.
        public var isUDP: Bool

        public init(descriptor: Int32, port: UInt16, isUDP: Bool) {
            self.descriptor = descriptor
            self.port = port
            self.isUDP = isUDP
        }
    }
}

extension PortRelay {
    /// A container may have hundreds of ports: `tcp` and `udp` are rows of descriptors and ports, in turn.
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("target", target)
        for isUDP in [false, true] {
            let numbers = listeners.filter { $0.isUDP == isUDP }.flatMap { [Int64($0.descriptor), Int64($0.port)] }
            if !numbers.isEmpty { writer.put(isUDP ? "udp" : "tcp", .array(numbers.map { .integer($0) })) }
        }
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        target = try fields.string("target")
        listeners = []
        for isUDP in [false, true] {
            let name = isUDP ? "udp" : "tcp"
            if fields.isAbsent(name) { continue }
            let numbers = (fields.value[name]?.arrayValue ?? []).map { $0.intValue ?? -1 }
            guard !numbers.isEmpty, numbers.count % 2 == 0 else { throw fields.wrong(name, "descriptors and ports in turn") }
            for index in stride(from: 0, to: numbers.count, by: 2) {
                guard let descriptor = Int32(exactly: numbers[index]), descriptor > ShimWire.controlDescriptor,
                    let port = UInt16(exactly: numbers[index + 1]), port > 0
                else { throw fields.wrong(name, "descriptors and ports in turn") }
                listeners.append(Listener(descriptor: descriptor, port: port, isUDP: isUDP))
            }
        }
    }
}
