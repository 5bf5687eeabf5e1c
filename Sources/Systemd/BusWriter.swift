/// Lays values out as they go over the wire, little-endian (D-Bus specification, "Marshaling (Wire Format)").
struct BusWriter {
    private(set) var bytes: [UInt8] = []

    mutating func align(to boundary: Int) {
        while bytes.count % boundary != 0 { bytes.append(0) }
    }

    mutating func number<T: FixedWidthInteger>(_ value: T) {
        align(to: T.bitWidth / 8)
        var rest = value
        for _ in 0..<T.bitWidth / 8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }

    mutating func put(_ value: BusValue) {
        switch value {
        case .byte(let number): bytes.append(number)
        case .bool(let flag): number(UInt32(flag ? 1 : 0))
        case .int32(let value): number(value)
        case .uint32(let value): number(value)
        case .int64(let value): number(value)
        case .uint64(let value): number(value)
        case .double(let value): number(value.bitPattern)
        case .string(let text), .objectPath(let text): string(text)
        case .signature(let text): signature(text)
        case .variant(let value):
            signature(value.type)
            put(value)
        case .structure(let members):
            align(to: 8)
            members.forEach { put($0) }
        case .array(let element, let elements): array(element, elements)
        }
    }

    private mutating func string(_ text: String) {
        number(UInt32(text.utf8.count))
        bytes += text.utf8
        bytes.append(0)
    }

    private mutating func signature(_ text: String) {
        bytes.append(UInt8(truncatingIfNeeded: text.utf8.count))
        bytes += text.utf8
        bytes.append(0)
    }

    /// The length counts the elements alone, not the padding before the first.
    private mutating func array(_ element: String, _ elements: [BusValue]) {
        number(UInt32(0))
        let place = bytes.count - 4
        align(to: BusWriter.alignment(of: element))
        let start = bytes.count
        elements.forEach { put($0) }
        let length = UInt32(bytes.count - start)
        for index in 0..<4 { bytes[place + index] = UInt8(truncatingIfNeeded: length >> (8 * index)) }
    }

    /// Where a value of a type begins: a multiple of this.
    static func alignment(of type: String) -> Int {
        switch type.utf8.first {
        case UInt8(ascii: "y"), UInt8(ascii: "g"), UInt8(ascii: "v"): 1
        case UInt8(ascii: "n"), UInt8(ascii: "q"): 2
        case UInt8(ascii: "x"), UInt8(ascii: "t"), UInt8(ascii: "d"), UInt8(ascii: "("), UInt8(ascii: "{"): 8
        default: 4
        }
    }
}
