internal import CLinux

/// Writes netlink messages and their attributes (netlink(7)): 4-byte aligned, in host order unless a name says otherwise.
public struct NetlinkBuilder {
    public private(set) var bytes: [UInt8] = []

    public init() { bytes.reserveCapacity(512) }

    /// One message: a 16-byte header (length, type, flags, sequence, port 0), then what `body` writes.
    public mutating func message(type: UInt16, flags: UInt16, sequence: UInt32, _ body: (inout NetlinkBuilder) -> Void) {
        let start = bytes.count
        append(UInt32(0))
        append(type)
        append(flags)
        append(sequence)
        append(UInt32(0))
        body(&self)
        patch(UInt32(bytes.count - start), at: start)
    }

    /// An attribute that holds attributes. False when the content does not fit an attribute's 16-bit length.
    @discardableResult
    public mutating func nested(_ type: UInt16, _ body: (inout NetlinkBuilder) -> Void) -> Bool {
        let start = bytes.count
        append(UInt16(0))
        append(type | UInt16(NLA_F_NESTED))
        body(&self)
        let length = bytes.count - start
        patch(UInt16(truncatingIfNeeded: length), at: start)
        return length <= Int(UInt16.max)
    }

    /// An attribute with these bytes, padded to 4.
    public mutating func attribute(_ type: UInt16, _ value: some Collection<UInt8>) {
        append(UInt16(4 + value.count))
        append(type)
        bytes.append(contentsOf: value)
        pad()
    }

    /// An attribute that holds a text with its terminating zero.
    public mutating func attribute(_ type: UInt16, text: String) { attribute(type, Array(text.utf8) + [0]) }

    /// An attribute that holds a number in host order.
    public mutating func attribute<Number: FixedWidthInteger>(_ type: UInt16, _ value: Number) {
        append(UInt16(4 + MemoryLayout<Number>.size))
        append(type)
        append(value)
        pad()
    }

    /// An attribute that holds a 32-bit number in network order, as nf_tables has all of its numbers.
    public mutating func attribute(_ type: UInt16, big value: UInt32) { attribute(type, value.bigEndian) }

    /// Bytes of a fixed structure after the header.
    public mutating func append<Number: FixedWidthInteger>(_ value: Number) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }

    private mutating func pad() {
        while bytes.count % 4 != 0 { bytes.append(0) }
    }

    private mutating func patch<Number: FixedWidthInteger>(_ value: Number, at offset: Int) {
        withUnsafeBytes(of: value) { source in
            for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
        }
    }
}

/// A constant of the kernel's headers that names an attribute or message. Swift sees those of anonymous enums as
/// `Int`, those of named enums as a type of their own.
func code(_ value: Int) -> UInt16 { UInt16(truncatingIfNeeded: value) }
func code<Constant: RawRepresentable>(_ value: Constant) -> UInt16 where Constant.RawValue == UInt32 {
    UInt16(truncatingIfNeeded: value.rawValue)
}
