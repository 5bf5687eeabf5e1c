internal import CLinux
public import Linux

/// One netlink message as it came from the kernel.
public struct NetlinkMessage: Sendable {
    public let type: UInt16
    public let flags: UInt16
    public let sequence: UInt32
    /// What follows the header.
    public let payload: ArraySlice<UInt8>

    /// The messages of one datagram. Throws EBADMSG for lengths that do not fit.
    public static func parse(_ datagram: [UInt8]) throws(SystemError) -> [NetlinkMessage] {
        var result: [NetlinkMessage] = []
        var rest = datagram[...]
        while !rest.isEmpty {
            guard let length = rest.number(UInt32.self, at: 0).map(Int.init), length >= 16, length <= rest.count,
                let type = rest.number(UInt16.self, at: 4), let flags = rest.number(UInt16.self, at: 6),
                let sequence = rest.number(UInt32.self, at: 8)
            else { throw SystemError("read netlink message", code: EBADMSG) }
            let payload = rest.dropFirst(16).prefix(length - 16)
            result.append(NetlinkMessage(type: type, flags: flags, sequence: sequence, payload: payload))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return result
    }

    /// The attributes after a fixed structure of `header` bytes.
    public func attributes(after header: Int) throws(SystemError) -> [NetlinkAttribute] {
        guard payload.count >= header else { throw SystemError("read netlink message", code: EBADMSG) }
        return try NetlinkAttribute.parse(payload.dropFirst(header))
    }
}

/// One attribute of a message.
public struct NetlinkAttribute: Sendable {
    /// The type without its flags (nested, byte order).
    public let type: UInt16
    public let payload: ArraySlice<UInt8>

    static func parse(_ bytes: ArraySlice<UInt8>) throws(SystemError) -> [NetlinkAttribute] {
        var result: [NetlinkAttribute] = []
        var rest = bytes
        while rest.count >= 4 {
            guard let length = rest.number(UInt16.self, at: 0).map(Int.init), length >= 4, length <= rest.count,
                let type = rest.number(UInt16.self, at: 2)
            else { throw SystemError("read netlink attribute", code: EBADMSG) }
            result.append(NetlinkAttribute(type: type & 0x3fff, payload: rest.dropFirst(4).prefix(length - 4)))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return result
    }

    /// The attributes inside this one.
    public func nested() throws(SystemError) -> [NetlinkAttribute] { try Self.parse(payload) }

    /// Text up to the terminating zero.
    public var text: String { String(decoding: payload.prefix { $0 != 0 }, as: UTF8.self) }

    /// A number in host order; nil when the attribute is shorter.
    public func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? { payload.number(type, at: 0) }
}

extension ArraySlice<UInt8> {
    /// A number in host order at `offset` from the start; nil when it does not fit.
    func number<Number: FixedWidthInteger>(_ type: Number.Type, at offset: Int) -> Number? {
        guard offset + MemoryLayout<Number>.size <= count else { return nil }
        return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: type) }
    }
}
