extension RuntimeError {
    /// The longest line, in bytes: a message may quote a value of config.json, which may be megabytes long.
    static let longestLine = 4096

    /// The message as one line for a terminal or a log: lines joined, control characters shown as `\u{7f}`, cut off when
    /// it is too long. What a message quotes comes from outside.
    public var line: String {
        let lines = message.utf8.count > Self.longestLine ? Self.cut(message) : message
        if !lines.utf8.contains(where: { $0 < 32 || $0 == 127 || $0 == 0xC2 }) { return lines }
        let joined = lines.split(whereSeparator: \.isNewline).joined(separator: "; ")
        var line = ""
        for scalar in joined.unicodeScalars {
            if scalar.properties.generalCategory == .control {
                line += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                line.unicodeScalars.append(scalar)
            }
        }
        // What is shown in more bytes than it has may have become too long.
        return line.utf8.count > Self.longestLine ? Self.cut(line) : line
    }

    /// The beginning and the end, which tells the reason.
    private static func cut(_ text: String) -> String {
        let half = longestLine / 2 - 8
        return String(decoding: text.utf8.prefix(half), as: UTF8.self) + " … " + String(decoding: text.utf8.suffix(half), as: UTF8.self)
    }
}
