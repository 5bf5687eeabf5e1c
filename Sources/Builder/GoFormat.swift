/// Text as Go's fmt prints it: histories of images carry it, and cache keys of other builders depend on it.
enum GoFormat {
    /// `%q` of a string.
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            default: result += escaped(scalar)
            }
        }
        return result + "\""
    }

    /// `%q` of a list of strings: `["a" "b"]`.
    static func quoted(_ list: [String]) -> String { "[" + list.map(quoted).joined(separator: " ") + "]" }

    /// `%q` of a number, taken as a character.
    static func quoted(character number: Int) -> String {
        guard let value = UInt32(exactly: number), let scalar = Unicode.Scalar(value) else { return "'\u{FFFD}'" }
        return scalar == "'" ? "'\\''" : "'\(escaped(scalar))'"
    }

    /// `%v` of a list of strings: `[a b]`.
    static func plain(_ list: [String]) -> String { "[" + list.joined(separator: " ") + "]" }

    /// time.Duration's String, quoted: `"1m30s"`.
    static func quoted(nanoseconds: Int64) -> String { quoted(duration(nanoseconds)) }

    static func duration(_ nanoseconds: Int64) -> String {
        if nanoseconds == 0 { return "0s" }
        if nanoseconds < 1_000 { return "\(nanoseconds)ns" }
        if nanoseconds < 1_000_000 { return decimal(nanoseconds, 1_000) + "µs" }
        if nanoseconds < 1_000_000_000 { return decimal(nanoseconds, 1_000_000) + "ms" }
        let (minutes, rest) = nanoseconds.quotientAndRemainder(dividingBy: 60_000_000_000)
        let seconds = decimal(rest, 1_000_000_000) + "s"
        if minutes == 0 { return seconds }
        return minutes < 60 ? "\(minutes)m\(seconds)" : "\(minutes / 60)h\(minutes % 60)m\(seconds)"
    }

    private static func decimal(_ value: Int64, _ unit: Int64) -> String {
        let (whole, rest) = value.quotientAndRemainder(dividingBy: unit)
        if rest == 0 { return "\(whole)" }
        var digits = String(String(rest + unit).dropFirst())
        while digits.last == "0" { digits.removeLast() }
        return "\(whole).\(digits)"
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\\": return "\\\\"
        case "\u{7}": return "\\a"
        case "\u{8}": return "\\b"
        case "\u{c}": return "\\f"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case "\u{b}": return "\\v"
        default:
            guard scalar.value < 0x20 || scalar.value == 0x7f else { return String(Character(scalar)) }
            let hex = String(scalar.value, radix: 16)
            return "\\x" + (hex.count == 1 ? "0" + hex : hex)
        }
    }
}
