internal import Netlink

/// Which host ports this daemon's containers have. Whether a foreign process has one is for the kernel to say (`HeldSocket`).
struct PortAllocator: Sendable {
    private struct Key: Hashable {
        let proto: PortProtocol
        let port: UInt16
    }

    private var taken: [Key: Set<IPAddress>] = [:]
    /// Where the search for a free port goes on, per protocol.
    private var cursor: [PortProtocol: UInt16] = [:]
    /// Ports that are chosen from when a request names none.
    let dynamicPorts: ClosedRange<UInt16>

    /// The range that the dynamic ports of RFC 6335 have, for hosts that do not tell theirs.
    static let standardDynamicPorts: ClosedRange<UInt16> = 49153...65535

    init(dynamicPorts: ClosedRange<UInt16> = Self.standardDynamicPorts) { self.dynamicPorts = dynamicPorts }

    /// From the text of /proc/sys/net/ipv4/ip_local_port_range: two numbers.
    static func dynamicPorts(_ text: String) -> ClosedRange<UInt16> {
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { UInt16($0) }
        guard numbers.count == 2, numbers[0] > 0, numbers[0] <= numbers[1] else { return standardDynamicPorts }
        return numbers[0]...numbers[1]
    }

    /// True when no container has the port on this address. An unspecified address stands for all of its family.
    func isFree(_ port: UInt16, _ proto: PortProtocol, on address: IPAddress) -> Bool {
        guard let addresses = taken[Key(proto: proto, port: port)] else { return true }
        return !addresses.contains { $0.family == address.family && ($0 == address || $0.isUnspecified || address.isUnspecified) }
    }

    mutating func take(_ port: UInt16, _ proto: PortProtocol, on address: IPAddress) {
        taken[Key(proto: proto, port: port), default: []].insert(address)
    }

    mutating func release(_ port: UInt16, _ proto: PortProtocol, on address: IPAddress) {
        let key = Key(proto: proto, port: port)
        taken[key]?.remove(address)
        if taken[key]?.isEmpty == true { taken[key] = nil }
    }

    /// How many ports a request may get, and the n-th of them in the order in which they are to be tried: those it names, or
    /// the dynamic ones, each once, from where the last search ended.
    func candidates(_ request: PortRequest) -> (count: Int, at: (Int) -> UInt16) {
        let range = request.hostPorts ?? dynamicPorts
        let skipped = request.hostPorts == nil ? Int(cursor[request.proto] ?? range.lowerBound) - Int(range.lowerBound) : 0
        let count = range.count
        return (count, { range.lowerBound + UInt16((skipped + $0) % count) })
    }

    /// The next search begins after this port.
    mutating func moveCursor(_ proto: PortProtocol, after port: UInt16) {
        cursor[proto] = port < dynamicPorts.upperBound ? max(port + 1, dynamicPorts.lowerBound) : dynamicPorts.lowerBound
    }
}
