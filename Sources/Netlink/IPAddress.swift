/// An IPv4 or IPv6 address. Written and read as text everywhere outside of the kernel's messages.
public struct IPAddress: Hashable, Sendable {
    /// The two families of addresses, with the kernel's numbers (AF_INET, AF_INET6).
    public enum Family: UInt8, Sendable, Hashable, Codable {
        case v4 = 2
        case v6 = 10

        /// Length of an address in bits: 32 or 128.
        public var bits: Int { self == .v4 ? 32 : 128 }
    }

    public let family: Family
    /// The address as a number, most significant bit first; an IPv4 address uses the low 32 bits.
    public let value: UInt128

    public init(family: Family, value: UInt128) {
        self.family = family
        self.value = family == .v4 ? value & 0xffff_ffff : value
    }

    /// Four or sixteen bytes in network order; nil for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        self.init(family: bytes.count == 4 ? .v4 : .v6, value: bytes.reduce(0) { $0 << 8 | UInt128($1) })
    }

    /// The bytes in network order: 4 or 16.
    public var bytes: [UInt8] {
        stride(from: family.bits - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> UInt128($0)) }
    }

    /// 0.0.0.0 or ::.
    public static func unspecified(_ family: Family) -> IPAddress { IPAddress(family: family, value: 0) }

    public var isUnspecified: Bool { value == 0 }

    /// In 127.0.0.0/8, or ::1.
    public var isLoopback: Bool { family == .v4 ? value >> 24 == 127 : value == 1 }

    /// The address `offset` above this one.
    public func advanced(by offset: UInt128) -> IPAddress { IPAddress(family: family, value: value &+ offset) }
}

extension IPAddress: Comparable {
    public static func < (left: IPAddress, right: IPAddress) -> Bool {
        (left.family.rawValue, left.value) < (right.family.rawValue, right.value)
    }
}

extension IPAddress: LosslessStringConvertible {
    /// Reads `192.0.2.1`, `2001:db8::1`, `::ffff:192.0.2.1` and IPv6 in brackets. Zones (`%eth0`) are refused, as are
    /// leading zeros in IPv4, which other programs read as octal.
    public init?(_ text: String) {
        var bytes = Array(text.utf8)
        if bytes.first == UInt8(ascii: "["), bytes.last == UInt8(ascii: "]") { bytes = Array(bytes.dropFirst().dropLast()) }
        if bytes.contains(UInt8(ascii: ":")) {
            guard let value = Self.parse6(bytes) else { return nil }
            self.init(family: .v6, value: value)
        } else {
            guard let value = Self.parse4(bytes) else { return nil }
            self.init(family: .v4, value: UInt128(value))
        }
    }

    /// Dotted decimal, or RFC 5952: lower case, the longest run of zero groups shortened.
    public var description: String {
        if family == .v4 { return bytes.map(String.init).joined(separator: ".") }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: value >> UInt128(112 - 16 * $0)) }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8 && groups[end] == 0 { end += 1 }
            if end - start > max(longest.count, 1) { longest = start..<end }
            start = max(end, start + 1)
        }
        func text(_ range: Range<Int>) -> String { groups[range].map { String($0, radix: 16) }.joined(separator: ":") }
        return longest.isEmpty ? text(0..<8) : "\(text(0..<longest.lowerBound))::\(text(longest.upperBound..<8))"
    }

    private static func parse4(_ bytes: [UInt8]) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var result: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (48...57).contains($0) }) else { return nil }
            guard part.count == 1 || part.first != 48 else { return nil }
            let number = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 48) }
            guard number < 256 else { return nil }
            result = result << 8 | number
        }
        return result
    }

    private static func parse6(_ bytes: [UInt8]) -> UInt128? {
        let colon = UInt8(ascii: ":")
        guard let gap = bytes.indices.dropLast().first(where: { bytes[$0] == colon && bytes[$0 + 1] == colon }) else {
            guard let groups = groups6(String(decoding: bytes, as: UTF8.self)), groups.count == 8 else { return nil }
            return join(groups)
        }
        guard let head = groups6(String(decoding: bytes[..<gap], as: UTF8.self), isEnd: false),
            let tail = groups6(String(decoding: bytes[(gap + 2)...], as: UTF8.self)),
            head.count + tail.count < 8
        else { return nil }
        return join(head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail)
    }

    /// The groups of one side of `::`; a dotted IPv4 address may stand at the end and counts as two.
    private static func groups6(_ text: String, isEnd: Bool = true) -> [UInt16]? {
        if text.isEmpty { return [] }
        var result: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if isEnd, index == parts.count - 1, part.contains(".") {
                guard let low = parse4(Array(part.utf8)) else { return nil }
                result += [UInt16(low >> 16), UInt16(truncatingIfNeeded: low)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy(isHexDigit), let group = UInt16(part, radix: 16) else {
                    return nil
                }
                result.append(group)
            }
        }
        return result
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }

    private static func join(_ groups: [UInt16]) -> UInt128 { groups.reduce(0) { $0 << 16 | UInt128($1) } }
}

extension IPAddress: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = IPAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "invalid IP address: \(text)")
        }
        self = address
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
