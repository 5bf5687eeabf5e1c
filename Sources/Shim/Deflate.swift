/// Packs bytes with deflate (RFC 1951) in the form of gzip (RFC 1952) or zlib (RFC 1950): matches within each piece, codes
/// of the fixed table. Simple and quick, for logs: they shrink to about a fifth.
struct Deflate {
    enum Form { case gzip, zlib }

    private let form: Form
    private var output: [UInt8] = []
    private var bits: UInt64 = 0
    private var bitCount: UInt64 = 0
    private var length: UInt32 = 0
    private var crc: UInt32 = .max
    private var adler: (low: UInt32, high: UInt32) = (1, 0)

    init(_ form: Form) {
        self.form = form
        // Magic, deflate, no flags, no time, no hints, Unix; or a window of 32 KiB and the check bits.
        output = form == .gzip ? [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] : [0x78, 0x01]
    }

    /// All at once.
    static func packed(_ bytes: [UInt8], _ form: Form) -> [UInt8] {
        var deflate = Deflate(form)
        let head = bytes.withUnsafeBytes { deflate.compress($0) }
        return head + deflate.finish()
    }

    /// The next piece, at most 1 GiB; answers what is ready.
    mutating func compress(_ piece: UnsafeRawBufferPointer) -> [UInt8] {
        if piece.isEmpty { return [] }
        addCheck(piece)
        // A block that is not the last, fixed codes.
        put(0b010, 3)
        match(piece)
        putLiteral(256)
        defer { output = [] }
        return output
    }

    /// The end: an empty last block, and the check values.
    mutating func finish() -> [UInt8] {
        put(0b011, 3)
        putLiteral(256)
        if bitCount > 0 { put(0, 8 - bitCount) }
        switch form {
        case .gzip:
            putBytes(~crc, bigEndian: false)
            putBytes(length, bigEndian: false)
        case .zlib: putBytes(adler.high << 16 | adler.low, bigEndian: true)
        }
        return output
    }

    // MARK: Matches

    private static let hashBits: UInt32 = 15
    private static let window = 32768

    private mutating func match(_ bytes: UnsafeRawBufferPointer) {
        var latest = [Int32](repeating: -1, count: 1 << Deflate.hashBits)
        var earlier = [Int32](repeating: -1, count: Deflate.window)
        var position = 0
        while position < bytes.count {
            guard position + 4 <= bytes.count else {
                putLiteral(UInt32(bytes[position]))
                position += 1
                continue
            }
            let found = Deflate.longest(bytes, position, from: latest[Deflate.hash(bytes, position)], earlier)
            let step = max(1, found.length)
            if found.length > 0 { putMatch(found.length, found.distance) } else { putLiteral(UInt32(bytes[position])) }
            for index in position..<min(position + step, bytes.count - 3) {
                let slot = Deflate.hash(bytes, index)
                earlier[index & (Deflate.window - 1)] = latest[slot]
                latest[slot] = Int32(truncatingIfNeeded: index)
            }
            position += step
        }
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer, _ position: Int) -> Int {
        let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)
        return Int((word &* 2_654_435_761) >> (32 - hashBits))
    }

    /// The longest match of at least 4 and at most 258 bytes among the latest few with the same hash.
    private static func longest(_ bytes: UnsafeRawBufferPointer, _ position: Int, from first: Int32, _ earlier: [Int32]) -> (
        length: Int, distance: Int
    ) {
        let limit = min(258, bytes.count - position)
        var best = (length: 0, distance: 0)
        var candidate = Int(first)
        for _ in 0..<8 {
            guard candidate >= 0, position - candidate < window, best.length < limit else { break }
            var length = 0
            while length < limit && bytes[candidate + length] == bytes[position + length] { length += 1 }
            if length >= 4 && length > best.length { best = (length, position - candidate) }
            let next = Int(earlier[candidate & (window - 1)])
            // The slot belongs to a later place by now.
            if next >= candidate { break }
            candidate = next
        }
        return best
    }

    // MARK: Codes

    private static func reversed(_ code: UInt32, _ count: UInt32) -> UInt64 {
        var (code, result) = (code, UInt64(0))
        for _ in 0..<count {
            result = result << 1 | UInt64(code & 1)
            code >>= 1
        }
        return result
    }

    /// RFC 1951, 3.2.6: the code of each literal and length symbol, first bit lowest, and its number of bits.
    private static let symbols: [(code: UInt64, count: UInt64)] = (0..<288 as Range<UInt32>).map { symbol in
        switch symbol {
        case ..<144: (reversed(0x30 + symbol, 8), 8)
        case ..<256: (reversed(0x190 + symbol - 144, 9), 9)
        case ..<280: (reversed(symbol - 256, 7), 7)
        default: (reversed(0xC0 + symbol - 280, 8), 8)
        }
    }

    /// RFC 1951, 3.2.5: for each length the symbol, the extra bits and how many.
    private static let lengths: [(symbol: UInt32, extra: UInt64, count: UInt64)] = (0...258).map { length in
        if length < 3 { return (0, 0, 0) }
        if length == 258 { return (285, 0, 0) }
        if length < 11 { return (UInt32(254 + length), 0, 0) }
        let rest = length - 3
        let count = (Int.bitWidth - 1 - rest.leadingZeroBitCount) - 2
        return (UInt32(257 + 4 * count + (rest >> count)), UInt64(rest & (1 << count - 1)), UInt64(count))
    }

    private mutating func putMatch(_ length: Int, _ distance: Int) {
        let entry = Deflate.lengths[length]
        putLiteral(entry.symbol)
        put(entry.extra, entry.count)
        let rest = distance - 1
        if rest < 4 { return put(Deflate.reversed(UInt32(rest), 5), 5) }
        let count = (Int.bitWidth - 1 - rest.leadingZeroBitCount) - 1
        put(Deflate.reversed(UInt32(2 * count + (rest >> count)), 5), 5)
        put(UInt64(rest & (1 << count - 1)), UInt64(count))
    }

    private mutating func putLiteral(_ symbol: UInt32) {
        let entry = Deflate.symbols[Int(symbol)]
        put(entry.code, entry.count)
    }

    private mutating func put(_ value: UInt64, _ count: UInt64) {
        bits |= value << bitCount
        bitCount += count
        while bitCount >= 8 {
            output.append(UInt8(truncatingIfNeeded: bits))
            bits >>= 8
            bitCount -= 8
        }
    }

    // MARK: Check values

    private static let crcTable: [UInt32] = (0..<256 as Range<UInt32>).map { byte in
        (0..<8).reduce(byte) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1 }
    }

    private mutating func addCheck(_ bytes: UnsafeRawBufferPointer) {
        length &+= UInt32(truncatingIfNeeded: bytes.count)
        switch form {
        case .gzip: for byte in bytes { crc = Deflate.crcTable[Int((crc ^ UInt32(byte)) & 255)] ^ crc >> 8 }
        case .zlib:
            for byte in bytes {
                adler.low = (adler.low + UInt32(byte)) % 65521
                adler.high = (adler.high + adler.low) % 65521
            }
        }
    }

    private mutating func putBytes(_ value: UInt32, bigEndian: Bool) {
        withUnsafeBytes(of: bigEndian ? value.bigEndian : value.littleEndian) { output += $0 }
    }
}
