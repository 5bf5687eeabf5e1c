/// Reads values as they came over the wire. Whatever the bytes are, the answer is values or `BusError.malformed`.
struct BusReader {
    private let bytes: ArraySlice<UInt8>
    private var position = 0
    private let isBigEndian: Bool
    /// Deeper nesting than the specification allows (32 arrays and 32 structures) is refused.
    private static let deepest = 64

    init(_ bytes: ArraySlice<UInt8>, isBigEndian: Bool = false) {
        self.bytes = bytes
        self.isBigEndian = isBigEndian
    }

    var isAtEnd: Bool { position >= bytes.count }

    mutating func align(to boundary: Int) { position = (position + boundary - 1) / boundary * boundary }

    mutating func byte() throws(BusError) -> UInt8 {
        guard position < bytes.count else { throw .malformed("it ends too early") }
        defer { position += 1 }
        return bytes[bytes.startIndex + position]
    }

    mutating func number<T: FixedWidthInteger>(_: T.Type = T.self) throws(BusError) -> T {
        let size = T.bitWidth / 8
        align(to: size)
        var result: T = 0
        for index in 0..<size { result |= T(truncatingIfNeeded: try byte()) << (8 * (isBigEndian ? size - 1 - index : index)) }
        return result
    }

    private mutating func text(_ length: Int) throws(BusError) -> String {
        guard length >= 0, position + length < bytes.count else { throw .malformed("a string is longer than the message") }
        let start = bytes.startIndex + position
        position += length + 1
        return String(decoding: bytes[start..<start + length], as: UTF8.self)
    }

    /// The values of a signature such as `uoss`.
    mutating func values(_ signature: String) throws(BusError) -> [BusValue] {
        var types = Array(signature.utf8)[...]
        var result: [BusValue] = []
        while !types.isEmpty { result.append(try value(try Self.nextType(&types), 0)) }
        return result
    }

    /// Takes one complete type off the front.
    static func nextType(_ types: inout ArraySlice<UInt8>) throws(BusError) -> [UInt8] {
        var depth = 0
        var length = 0
        for letter in types {
            length += 1
            switch letter {
            case UInt8(ascii: "a"): continue
            case UInt8(ascii: "("), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
            if depth < 0 { break }
            if depth == 0 {
                defer { types = types.dropFirst(length) }
                return Array(types.prefix(length))
            }
        }
        throw .malformed("broken type \"\(String(decoding: types, as: UTF8.self))\"")
    }

    private mutating func value(_ type: [UInt8], _ depth: Int) throws(BusError) -> BusValue {
        if depth > Self.deepest { throw .malformed("it is nested too deeply") }
        switch type.first {
        case UInt8(ascii: "y"): return .byte(try byte())
        case UInt8(ascii: "b"): return .bool(try number(UInt32.self) != 0)
        case UInt8(ascii: "i"): return .int32(try number())
        case UInt8(ascii: "u"), UInt8(ascii: "h"): return .uint32(try number())
        case UInt8(ascii: "n"): return .int32(Int32(try number(Int16.self)))
        case UInt8(ascii: "q"): return .uint32(UInt32(try number(UInt16.self)))
        case UInt8(ascii: "x"): return .int64(try number())
        case UInt8(ascii: "t"): return .uint64(try number())
        case UInt8(ascii: "d"): return .double(Double(bitPattern: try number()))
        case UInt8(ascii: "s"): return .string(try text(Int(try number(UInt32.self))))
        case UInt8(ascii: "o"): return .objectPath(try text(Int(try number(UInt32.self))))
        case UInt8(ascii: "g"): return .signature(try text(Int(try byte())))
        case UInt8(ascii: "v"):
            var inner = Array(try text(Int(try byte())).utf8)[...]
            return .variant(try value(try Self.nextType(&inner), depth + 1))
        case UInt8(ascii: "("), UInt8(ascii: "{"):
            align(to: 8)
            var types = type.dropFirst().dropLast()
            var members: [BusValue] = []
            while !types.isEmpty { members.append(try value(try Self.nextType(&types), depth + 1)) }
            return .structure(members)
        case UInt8(ascii: "a"): return try array(Array(type.dropFirst()), depth)
        default: throw .malformed("unknown type \"\(String(decoding: type, as: UTF8.self))\"")
        }
    }

    private mutating func array(_ element: [UInt8], _ depth: Int) throws(BusError) -> BusValue {
        let length = Int(try number(UInt32.self))
        let name = String(decoding: element, as: UTF8.self)
        align(to: BusWriter.alignment(of: name))
        let end = position + length
        guard end <= bytes.count else { throw .malformed("an array is longer than the message") }
        var elements: [BusValue] = []
        while position < end {
            let before = position
            elements.append(try value(element, depth + 1))
            // An empty structure takes no room: it would be read for ever.
            if position == before { throw .malformed("an array of nothing") }
        }
        return .array(of: name, elements)
    }
}
