/// JSON documents as Go's encoder writes them (package encoding/json), for those who compare text.
enum GoJSON {
    /// Of a document: what HTML takes for its own, which JSON has in strings only, is escaped.
    static func htmlSafe(_ document: String) -> String {
        var result = ""
        for character in document {
            switch character {
            case "<": result += "\\u003c"
            case ">": result += "\\u003e"
            case "&": result += "\\u0026"
            case "\u{2028}": result += "\\u2028"
            case "\u{2029}": result += "\\u2029"
            default: result.append(character)
            }
        }
        return result
    }

    /// The same document, which must be valid, with one line for each member and one tab for each level. Strings and numbers stay
    /// as they are spelled.
    static func tabbed(_ document: [UInt8]) -> String {
        var output: [UInt8] = []
        var (level, isInString, isEscaped, isOpen) = (0, false, false, false)
        func newLine() {
            output.append(10)
            output.append(contentsOf: repeatElement(9, count: level))
        }
        for byte in document {
            if isInString {
                output.append(byte)
                isInString = isEscaped || byte != UInt8(ascii: "\"")
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
                continue
            }
            if byte <= 32 { continue }
            let closes = byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]")
            if isOpen && !closes {
                level += 1
                newLine()
            }
            if closes && !isOpen {
                level -= 1
                newLine()
            }
            isOpen = byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
            isInString = byte == UInt8(ascii: "\"")
            output.append(byte)
            if byte == UInt8(ascii: ",") { newLine() } else if byte == UInt8(ascii: ":") { output.append(32) }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
