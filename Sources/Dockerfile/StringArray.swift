/// The exec form: a JSON array of strings that takes up the whole text.
enum StringArray {
    case array([String])
    /// An array, but not of strings only.
    case otherElements
    /// No array at all: then the text is a shell form.
    case notAnArray

    init(_ text: String) {
        var reader = Reader(scalars: Array(text.trimmed.unicodeScalars))
        guard reader.take("[") else {
            self = .notAnArray
            return
        }
        var strings: [String] = []
        var hasOther = false
        reader.skipSpace()
        if !reader.take("]") {
            while true {
                reader.skipSpace()
                if let string = reader.string() {
                    strings.append(string)
                } else if reader.scalarLiteral() {
                    hasOther = true
                } else {
                    self = .notAnArray
                    return
                }
                reader.skipSpace()
                if reader.take(",") { continue }
                if reader.take("]") { break }
                self = .notAnArray
                return
            }
        }
        guard reader.isAtEnd else {
            self = .notAnArray
            return
        }
        self = hasOther ? .otherElements : .array(strings)
    }

    private struct Reader {
        let scalars: [Unicode.Scalar]
        var position = 0

        var isAtEnd: Bool { position == scalars.count }

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            guard position < scalars.count, scalars[position] == scalar else { return false }
            position += 1
            return true
        }

        mutating func skipSpace() {
            while position < scalars.count, [" ", "\t", "\n", "\r"].contains(scalars[position]) { position += 1 }
        }

        /// A number, true, false or null.
        mutating func scalarLiteral() -> Bool {
            let start = position
            while position < scalars.count,
                scalars[position].properties.isAlphabetic || "0123456789+-.".unicodeScalars.contains(scalars[position])
            {
                position += 1
            }
            let word = String(scalars[start..<position])
            return ["true", "false", "null"].contains(word) || (word.first != "+" && Double(word) != nil)
        }

        mutating func string() -> String? {
            let start = position
            guard take("\"") else { return nil }
            var result = String.UnicodeScalarView()
            while position < scalars.count {
                let scalar = scalars[position]
                position += 1
                switch scalar {
                case "\"": return String(result)
                case "\\":
                    guard let escaped = escape() else {
                        position = start
                        return nil
                    }
                    result.append(escaped)
                default:
                    // RFC 8259: control characters must be escaped.
                    if scalar.value < 0x20 {
                        position = start
                        return nil
                    }
                    result.append(scalar)
                }
            }
            position = start
            return nil
        }

        private mutating func escape() -> Unicode.Scalar? {
            guard position < scalars.count else { return nil }
            let scalar = scalars[position]
            position += 1
            switch scalar {
            case "\"", "\\", "/": return scalar
            case "b": return "\u{8}"
            case "f": return "\u{c}"
            case "n": return "\n"
            case "r": return "\r"
            case "t": return "\t"
            case "u":
                guard let high = hexadecimal() else { return nil }
                guard (0xD800..<0xDC00).contains(high) else { return Unicode.Scalar(high) ?? "\u{FFFD}" }
                guard take("\\"), take("u"), let low = hexadecimal(), (0xDC00..<0xE000).contains(low) else { return "\u{FFFD}" }
                return Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
            default: return nil
            }
        }

        private mutating func hexadecimal() -> UInt32? {
            guard position + 4 <= scalars.count, let value = UInt32(String(scalars[position..<position + 4]), radix: 16) else { return nil }
            position += 4
            return value
        }
    }
}
