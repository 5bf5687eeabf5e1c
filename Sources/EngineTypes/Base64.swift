/// Base 64 (RFC 4648, section 4, with padding).
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    public static func encode(_ bytes: [UInt8]) -> String {
        var output: [UInt8] = []
        output.reserveCapacity((bytes.count + 2) / 3 * 4)
        var index = 0
        while index < bytes.count {
            let rest = bytes.count - index
            let word = Int(bytes[index]) << 16 | (rest > 1 ? Int(bytes[index + 1]) << 8 : 0) | (rest > 2 ? Int(bytes[index + 2]) : 0)
            output.append(alphabet[word >> 18 & 63])
            output.append(alphabet[word >> 12 & 63])
            output.append(rest > 1 ? alphabet[word >> 6 & 63] : UInt8(ascii: "="))
            output.append(rest > 2 ? alphabet[word & 63] : UInt8(ascii: "="))
            index += 3
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// Nil for what is no base 64. Padding may be missing; the URL alphabet (section 5) is read too.
    public static func decode(_ text: String) -> [UInt8]? {
        var output: [UInt8] = []
        var (word, bits) = (0, 0)
        for byte in text.utf8 {
            let digit: Int
            switch byte {
            case UInt8(ascii: "="): continue
            case UInt8(ascii: "-"): digit = 62
            case UInt8(ascii: "_"): digit = 63
            default:
                guard let index = alphabet.firstIndex(of: byte) else { return nil }
                digit = index
            }
            word = (word << 6 | digit) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                output.append(UInt8(truncatingIfNeeded: word >> bits))
            }
        }
        return output
    }
}
