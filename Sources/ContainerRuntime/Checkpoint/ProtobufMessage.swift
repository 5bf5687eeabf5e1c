/// A protocol buffer as it is on the wire: what criu's service speaks (protobuf.dev, "Encoding"). Varints and
/// length-delimited fields, which is all that criu uses.
struct ProtobufMessage {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ field: UInt64, _ value: UInt64) {
        varint(field << 3)
        varint(value)
    }

    mutating func put(_ field: UInt64, _ value: Int32) { put(field, UInt64(bitPattern: Int64(value))) }

    /// False is what an absent field is.
    mutating func put(_ field: UInt64, _ flag: Bool) { if flag { put(field, 1 as UInt64) } }

    mutating func put(_ field: UInt64, _ text: String?) { if let text { put(field, Array(text.utf8)) } }

    mutating func put(_ field: UInt64, _ message: ProtobufMessage) { put(field, message.bytes) }

    private mutating func put(_ field: UInt64, _ content: [UInt8]) {
        varint(field << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest > 0x7f {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// The fields of a message that was received.
struct ProtobufFields {
    private var numbers: [UInt64: UInt64] = [:]
    private var contents: [UInt64: [UInt8]] = [:]

    /// Nil for what is no message.
    init?(_ bytes: some Collection<UInt8>) {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            guard let key = Self.varint(&rest) else { return nil }
            switch key & 7 {
            case 0:
                guard let value = Self.varint(&rest) else { return nil }
                numbers[key >> 3] = value
            case 1, 5:
                let size = key & 7 == 1 ? 8 : 4
                if rest.count < size { return nil }
                rest.removeFirst(size)
            case 2:
                guard let size = Self.varint(&rest).flatMap({ Int(exactly: $0) }), size <= rest.count else { return nil }
                contents[key >> 3] = Array(rest.prefix(size))
                rest.removeFirst(size)
            default: return nil
            }
        }
    }

    private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            result |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return result }
        }
        return nil
    }

    func number(_ field: UInt64) -> Int32? { numbers[field].map { Int32(truncatingIfNeeded: $0) } }
    func flag(_ field: UInt64) -> Bool { numbers[field] == 1 }
    func text(_ field: UInt64) -> String? { contents[field].map { String(decoding: $0, as: UTF8.self) } }
    func message(_ field: UInt64) -> ProtobufFields? { contents[field].flatMap { ProtobufFields($0) } }
}
