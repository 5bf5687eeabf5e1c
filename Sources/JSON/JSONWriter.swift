extension JSONValue {
    /// Compact bytes, or indented as `docker inspect` prints when `indent` is given (spaces per level).
    public func serialized(indent: Int? = nil) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(256)
        write(to: &output, indent: indent, level: 0)
        return output
    }

    /// `serialized` as text.
    public func text(indent: Int? = nil) -> String { String(decoding: serialized(indent: indent), as: UTF8.self) }

    private func write(to output: inout [UInt8], indent: Int?, level: Int) {
        switch self {
        case .null: output.append(contentsOf: "null".utf8)
        case .bool(let flag): output.append(contentsOf: (flag ? "true" : "false").utf8)
        case .integer(let number): output.append(contentsOf: String(number).utf8)
        case .unsigned(let number): output.append(contentsOf: String(number).utf8)
        case .double(let number): output.append(contentsOf: Self.text(of: number).utf8)
        case .string(let text): Self.write(text, to: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (index, element) in elements.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                Self.newLine(&output, indent, level + 1)
                element.write(to: &output, indent: indent, level: level + 1)
            }
            if !elements.isEmpty { Self.newLine(&output, indent, level) }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            output.append(UInt8(ascii: "{"))
            for (index, member) in object.members.enumerated() {
                if index > 0 { output.append(UInt8(ascii: ",")) }
                Self.newLine(&output, indent, level + 1)
                Self.write(member.name, to: &output)
                output.append(UInt8(ascii: ":"))
                if indent != nil { output.append(32) }
                member.value.write(to: &output, indent: indent, level: level + 1)
            }
            if !object.isEmpty { Self.newLine(&output, indent, level) }
            output.append(UInt8(ascii: "}"))
        }
    }

    private static func newLine(_ output: inout [UInt8], _ indent: Int?, _ level: Int) {
        guard let indent else { return }
        output.append(10)
        output.append(contentsOf: repeatElement(32, count: indent * level))
    }

    private static func text(of number: Double) -> String {
        guard number.isFinite else { return "null" }
        return number == number.rounded() && abs(number) < 1e15 ? String(Int64(number)) : "\(number)"
    }

    /// Writes a quoted string: control characters, quote and backslash escaped.
    public static func write(_ text: String, to output: inout [UInt8]) {
        output.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            // Stretches that need no escape, nearly always the whole text, are copied at once.
            var start = 0
            for index in bytes.indices where needsEscape(bytes[index]) {
                output.append(contentsOf: bytes[start..<index])
                writeEscaped(bytes[index], to: &output)
                start = index + 1
            }
            output.append(contentsOf: bytes[start...])
        }
        output.append(UInt8(ascii: "\""))
    }

    @inline(__always)
    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 32 || byte == 127 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    /// Writes one byte of a string's UTF-8, escaped where JSON asks for it.
    @inline(__always)
    public static func writeEscaped(_ byte: UInt8, to output: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            output.append(UInt8(ascii: "\\"))
            output.append(byte)
        case 10: output.append(contentsOf: [92, UInt8(ascii: "n")])
        case 13: output.append(contentsOf: [92, UInt8(ascii: "r")])
        case 9: output.append(contentsOf: [92, UInt8(ascii: "t")])
        case 0..<32, 127:
            let digits = Array("0123456789abcdef".utf8)
            output.append(contentsOf: [92, UInt8(ascii: "u"), 48, 48, digits[Int(byte >> 4)], digits[Int(byte & 15)]])
        default: output.append(byte)
        }
    }
}
