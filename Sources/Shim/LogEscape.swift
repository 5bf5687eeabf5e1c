internal import Glibc

/// Text inside a JSON string, byte for byte as Docker's json-file driver writes it: `"` `\` newline and carriage return
/// by two characters, other control characters and `<` `>` `&` as \u00XX, U+2028 and U+2029 as \u202X, each byte that
/// is not UTF-8 as \ufffd.
enum LogEscape {
    private static let plain: [Bool] = (0..<256).map { byte in
        byte >= 0x20 && byte < 0x80 && !"\"\\<>&".utf8.contains(UInt8(byte))
    }
    private static let digits = Array("0123456789abcdef".utf8)

    /// Writes at most six bytes for each of `count`; answers how many.
    static func write(_ input: UnsafePointer<UInt8>?, _ count: Int, to output: UnsafeMutablePointer<UInt8>) -> Int {
        guard let input else { return 0 }
        return plain.withUnsafeBufferPointer { plain in
            var position = 0
            var out = output
            while position < count {
                let start = position
                while position < count && plain[Int(input[position])] { position += 1 }
                memcpy(out, input + start, position - start)
                out += position - start
                if position < count { position += special(input + position, count - position, to: &out) }
            }
            return out - output
        }
    }

    /// Writes the character at `input`, which is not plain; answers how many bytes of input it was.
    private static func special(_ input: UnsafePointer<UInt8>, _ count: Int, to out: inout UnsafeMutablePointer<UInt8>) -> Int {
        let byte = input[0]
        if byte < 0x80 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): put([UInt8(ascii: "\\"), byte], &out)
            case UInt8(ascii: "\n"): put("\\n".utf8, &out)
            case UInt8(ascii: "\r"): put("\\r".utf8, &out)
            default:
                put("\\u00".utf8, &out)
                put([digits[Int(byte >> 4)], digits[Int(byte & 15)]], &out)
            }
            return 1
        }
        let length = sequenceLength(input, count)
        if length == 0 {
            put("\\ufffd".utf8, &out)
            return 1
        }
        // U+2028 and U+2029 end a line in JavaScript.
        if byte == 0xE2 && input[1] == 0x80 && (input[2] == 0xA8 || input[2] == 0xA9) {
            put("\\u202".utf8, &out)
            put([input[2] == 0xA8 ? UInt8(ascii: "8") : UInt8(ascii: "9")], &out)
        } else {
            memcpy(out, input, length)
            out += length
        }
        return length
    }

    /// Length of the well-formed UTF-8 sequence at `input` (RFC 3629); 0 when there is none.
    private static func sequenceLength(_ input: UnsafePointer<UInt8>, _ count: Int) -> Int {
        let (length, second): (Int, ClosedRange<UInt8>) =
            switch input[0] {
            case 0xC2...0xDF: (2, 0x80...0xBF)
            case 0xE0: (3, 0xA0...0xBF)
            case 0xE1...0xEC, 0xEE...0xEF: (3, 0x80...0xBF)
            case 0xED: (3, 0x80...0x9F)
            case 0xF0: (4, 0x90...0xBF)
            case 0xF1...0xF3: (4, 0x80...0xBF)
            case 0xF4: (4, 0x80...0x8F)
            default: (0, 0...0)
            }
        guard length > 0, count >= length, second.contains(input[1]) else { return 0 }
        for index in 2..<max(2, length) where input[index] & 0xC0 != 0x80 { return 0 }
        return length
    }

    private static func put(_ bytes: some Sequence<UInt8>, _ out: inout UnsafeMutablePointer<UInt8>) {
        for byte in bytes {
            out[0] = byte
            out += 1
        }
    }
}
