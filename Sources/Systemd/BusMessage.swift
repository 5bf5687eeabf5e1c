/// A message with what systemd's manager needs of the header (D-Bus specification, "Message Format").
struct BusMessage: Hashable {
    enum Kind: UInt8 {
        case call = 1
        case answer = 2
        case error = 3
        case signal = 4
    }

    var kind: Kind
    var serial: UInt32 = 0
    var path: String?
    var interface: String?
    var member: String?
    var errorName: String?
    var answersSerial: UInt32?
    var destination: String?
    var body: [BusValue] = []

    /// The largest that is read: the manager's answers are a few hundred bytes.
    static let largest = 1 << 24

    var bytes: [UInt8] {
        var content = BusWriter()
        body.forEach { content.put($0) }
        var fields: [BusValue] = []
        func add(_ code: UInt8, _ value: BusValue?) {
            if let value { fields.append(.structure([.byte(code), .variant(value)])) }
        }
        add(1, path.map { .objectPath($0) })
        add(2, interface.map { .string($0) })
        add(3, member.map { .string($0) })
        add(4, errorName.map { .string($0) })
        add(5, answersSerial.map { .uint32($0) })
        add(6, destination.map { .string($0) })
        if !body.isEmpty { add(8, .signature(body.map(\.type).joined())) }
        var writer = BusWriter()
        // Little-endian, no flags, protocol version 1.
        for byte in [UInt8(ascii: "l"), kind.rawValue, 0, 1] { writer.put(.byte(byte)) }
        writer.number(UInt32(content.bytes.count))
        writer.number(serial)
        writer.put(.array(of: "(yv)", fields))
        writer.align(to: 8)
        return writer.bytes + content.bytes
    }

    /// How many bytes the message at the front has in all; nil when too few are there to tell.
    static func length(_ bytes: ArraySlice<UInt8>) throws(BusError) -> Int? {
        if bytes.count < 16 { return nil }
        let isBigEndian = try endianness(bytes)
        var reader = BusReader(bytes.dropFirst(4), isBigEndian: isBigEndian)
        let body = Int(try reader.number(UInt32.self))
        _ = try reader.number(UInt32.self)
        let fields = Int(try reader.number(UInt32.self))
        let total = (16 + fields + 7) / 8 * 8 + body
        if total > largest { throw .malformed("it is too long (\(total) bytes)") }
        return total
    }

    private static func endianness(_ bytes: ArraySlice<UInt8>) throws(BusError) -> Bool {
        switch bytes.first {
        case UInt8(ascii: "l"): return false
        case UInt8(ascii: "B"): return true
        default: throw .malformed("unknown byte order")
        }
    }

    init(kind: Kind) { self.kind = kind }

    /// Reads one whole message; nil for a kind that is to be ignored.
    init?(parsing bytes: ArraySlice<UInt8>) throws(BusError) {
        let isBigEndian = try Self.endianness(bytes)
        guard bytes.count >= 16, let kind = Kind(rawValue: bytes[bytes.startIndex + 1]) else { return nil }
        self.kind = kind
        var reader = BusReader(bytes, isBigEndian: isBigEndian)
        for _ in 0..<4 { _ = try reader.byte() }
        _ = try reader.number(UInt32.self)
        serial = try reader.number()
        var signature = ""
        guard case .array(_, let fields)? = try reader.values("a(yv)").first else { throw .malformed("no header") }
        for case .structure(let pair) in fields {
            guard pair.count == 2, case .byte(let code) = pair[0], case .variant(let value) = pair[1] else { continue }
            switch (code, value) {
            case (1, .objectPath(let text)): path = text
            case (2, .string(let text)): interface = text
            case (3, .string(let text)): member = text
            case (4, .string(let text)): errorName = text
            case (5, .uint32(let number)): answersSerial = number
            case (6, .string(let text)): destination = text
            case (8, .signature(let text)): signature = text
            default: break
            }
        }
        reader.align(to: 8)
        body = try reader.values(signature)
    }
}
