/// Base 64 (RFC 4648, section 4, with padding).
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func encode(_ bytes: [UInt8]) -> String {
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
}
