/// An address with the length of its network's prefix: `172.17.0.2/16`. The bits below the prefix are kept, so that
/// it can name an interface's address as well as a network; `network` has them cleared.
public struct IPPrefix: Hashable, Sendable {
    public let address: IPAddress
    /// 0 … 32 or 0 … 128.
    public let length: Int

    /// nil when the length does not fit the family.
    public init?(_ address: IPAddress, length: Int) {
        guard (0...address.family.bits).contains(length) else { return nil }
        self.address = address
        self.length = length
    }

    private init(unchecked address: IPAddress, length: Int) {
        self.address = address
        self.length = length
    }

    public var family: IPAddress.Family { address.family }

    /// Bits of the host part, all set: 0xffff for a /16.
    private var hostMask: UInt128 {
        let bits = family.bits - length
        return bits == 128 ? .max : (1 << UInt128(bits)) - 1
    }

    /// The mask in network order: 255, 255, 0, 0 for an IPv4 /16.
    public var mask: [UInt8] { IPAddress(family: family, value: ~hostMask).bytes }

    /// 0.0.0.0/0.
    public static let everything = IPPrefix(unchecked: .unspecified(.v4), length: 0)

    /// The same prefix with the host part cleared.
    public var network: IPPrefix { IPPrefix(unchecked: first, length: length) }

    /// The lowest address: the network's own.
    public var first: IPAddress { IPAddress(family: family, value: address.value & ~hostMask) }

    /// The highest address: for IPv4 the broadcast address.
    public var last: IPAddress { IPAddress(family: family, value: address.value | hostMask) }

    public func contains(_ other: IPAddress) -> Bool { other.family == family && first <= other && other <= last }

    /// True when the other network lies wholly in this one.
    public func contains(_ other: IPPrefix) -> Bool { contains(other.first) && contains(other.last) }

    public func overlaps(_ other: IPPrefix) -> Bool { contains(other.first) || other.contains(first) }

    /// The networks of `length` bits inside this one, in order.
    public func subnets(length: Int) -> some Sequence<IPPrefix> {
        let step: UInt128 = 1 << UInt128(family.bits - length)
        let start = first
        let end = last
        return sequence(first: IPPrefix(unchecked: start, length: length)) { previous in
            let next = previous.address.value.addingReportingOverflow(step)
            guard !next.overflow, next.partialValue <= end.value else { return nil }
            return IPPrefix(unchecked: IPAddress(family: previous.family, value: next.partialValue), length: length)
        }
    }
}

extension IPPrefix: LosslessStringConvertible {
    /// Reads `172.17.0.1/16`; the length is required.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let address = IPAddress(String(parts[0])), (1...3).contains(parts[1].utf8.count),
            parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let length = Int(parts[1])
        else { return nil }
        self.init(address, length: length)
    }

    public var description: String { "\(address)/\(length)" }
}

extension IPPrefix: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let prefix = IPPrefix(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "invalid CIDR address: \(text)")
        }
        self = prefix
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
