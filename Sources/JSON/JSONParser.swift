extension JSONValue {
    /// How deep arrays and objects may nest.
    public static let maximumDepth = 512

    /// Reads one document; anything but white space behind it is an error. Throws `JSONError`.
    public init(parsing bytes: [UInt8]) throws(JSONError) { try self.init(bytes, rowMembers: nil) }

    /// Reads an array of objects of which only some members are of interest: of its elements the others are checked, not kept.
    /// Throws `JSONError`.
    public init(parsing bytes: [UInt8], rowMembers: Set<String>) throws(JSONError) { try self.init(bytes, rowMembers: rowMembers) }

    private init(_ bytes: [UInt8], rowMembers: Set<String>?) throws(JSONError) {
        var failure: JSONError?
        let value = bytes.withUnsafeBufferPointer { buffer -> JSONValue? in
            var parser = JSONParser(buffer, rowMembers: rowMembers)
            do throws(JSONError) { return try parser.document() } catch { failure = error; return nil }
        }
        if let value { self = value } else { throw failure ?? JSONError(message: "unreadable", line: 1, column: 1) }
    }

    public init(parsing text: String) throws(JSONError) { try self.init(parsing: Array(text.utf8)) }
}

/// A recursive-descent parser over bytes (RFC 8259).
struct JSONParser {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var depth = 0
    /// What is kept of the objects at depth 2, the rows of a list; nil is all.
    private let rowMembers: Set<String>?
    /// Whether what is read is only checked.
    private var isSkipping = false

    init(_ bytes: UnsafeBufferPointer<UInt8>, rowMembers: Set<String>? = nil) {
        self.bytes = bytes
        self.rowMembers = rowMembers
    }

    mutating func document() throws(JSONError) -> JSONValue {
        skipSpace()
        let value = try self.value()
        skipSpace()
        if position < bytes.count { throw error("unexpected text after the document") }
        return value
    }

    private func error(_ message: String) -> JSONError {
        let before = bytes[..<min(position, bytes.count)]
        let line = before.count { $0 == 10 } + 1
        let column = position - (before.lastIndex(of: 10).map { $0 + 1 } ?? 0) + 1
        return JSONError(message: message, line: line, column: column)
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 32, 10, 13, 9: position += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        guard let byte = current else { throw error("unexpected end of input") }
        switch byte {
        case UInt8(ascii: "{"): return try nested { (parser) throws(JSONError) in .object(try parser.object()) }
        case UInt8(ascii: "["): return try nested { (parser) throws(JSONError) in .array(try parser.array()) }
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), 48...57: return try number()
        default: throw error("unexpected character \(Self.quoted(byte))")
        }
    }

    private static func quoted(_ byte: UInt8) -> String {
        byte > 32 && byte < 127 ? "'\(Character(Unicode.Scalar(byte)))'" : "0x\(String(byte, radix: 16))"
    }

    private mutating func nested(_ body: (inout JSONParser) throws(JSONError) -> JSONValue) throws(JSONError) -> JSONValue {
        depth += 1
        if depth > JSONValue.maximumDepth { throw error("nested deeper than \(JSONValue.maximumDepth)") }
        let value = try body(&self)
        depth -= 1
        return value
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw error("unexpected end of input") }
        for index in 0..<count where bytes[position + index] != word.utf8Start[index] { throw error("unknown word") }
        position += count
        return value
    }

    private mutating func object() throws(JSONError) -> JSONObject {
        position += 1
        var object = JSONObject()
        skipSpace()
        if current == UInt8(ascii: "}") { position += 1; return object }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw error("expected a member name") }
            let name = try string()
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw error("expected ':'") }
            position += 1
            skipSpace()
            if isSkipping {
                _ = try value()
            } else if let rowMembers, depth == 2, !rowMembers.contains(name) {
                isSkipping = true
                _ = try value()
                isSkipping = false
            } else {
                object.append(name, try value())
            }
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"): position += 1; return object
            default: throw error("expected ',' or '}'")
            }
        }
    }

    private mutating func array() throws(JSONError) -> [JSONValue] {
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if current == UInt8(ascii: "]") { position += 1; return elements }
        while true {
            skipSpace()
            let element = try value()
            if !isSkipping { elements.append(element) }
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"): position += 1; return elements
            default: throw error("expected ',' or ']'")
            }
        }
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "\""), bytes[position] != UInt8(ascii: "\\"), bytes[position] >= 32 {
            position += 1
        }
        guard let byte = current else { throw error("unterminated string") }
        if byte == UInt8(ascii: "\"") {
            position += 1
            return isSkipping ? "" : String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position - 1]), as: UTF8.self)
        }
        return try escapedString(from: start)
    }

    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        var text = Array(bytes[start..<position])
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<32: position -= 1; throw error("control character in a string")
            default: text.append(byte)
            }
        }
        throw error("unterminated string")
    }

    private mutating func escape(into text: inout [UInt8]) throws(JSONError) {
        guard let byte = current else { throw error("unterminated string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"): text.append(contentsOf: String(Character(try scalar())).utf8)
        default: position -= 1; throw error("unknown escape \(Self.quoted(byte))")
        }
    }

    /// The scalar of a \u escape, of a surrogate pair, or U+FFFD for half a pair (as Go's decoder).
    private mutating func scalar() throws(JSONError) -> Unicode.Scalar {
        let high = try hexDigits()
        if let scalar = Unicode.Scalar(high) { return scalar }
        if high < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"), bytes[position + 1] == UInt8(ascii: "u") {
            let before = position
            position += 2
            let low = try hexDigits()
            let combined = 0x10000 + (high - 0xD800) << 10
            if (0xDC00...0xDFFF).contains(low), let scalar = Unicode.Scalar(combined + (low - 0xDC00)) { return scalar }
            position = before
        }
        return "\u{FFFD}"
    }

    private mutating func hexDigits() throws(JSONError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw error("unterminated string") }
        var value: UInt32 = 0
        for byte in bytes[position..<position + 4] {
            switch byte {
            case 48...57: value = value << 4 + UInt32(byte - 48)
            case 65...70: value = value << 4 + UInt32(byte - 55)
            case 97...102: value = value << 4 + UInt32(byte - 87)
            default: throw error("expected four hexadecimal digits")
            }
        }
        position += 4
        return value
    }

    private mutating func number() throws(JSONError) -> JSONValue {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        guard let first = current, first >= 48, first <= 57 else { throw error("expected a digit") }
        if first == 48, position + 1 < bytes.count, bytes[position + 1] >= 48, bytes[position + 1] <= 57 { throw error("leading zero") }
        skipDigits()
        var isWhole = true
        if current == UInt8(ascii: ".") {
            isWhole = false
            position += 1
            try requireDigits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try requireDigits()
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        if isWhole {
            if let number = Int64(text) { return .integer(number) }
            if let number = UInt64(text) { return .unsigned(number) }
        }
        guard let number = Double(text), number.isFinite else { throw error("number out of range") }
        return .double(number)
    }

    private mutating func skipDigits() {
        while position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 { position += 1 }
    }

    private mutating func requireDigits() throws(JSONError) {
        guard let byte = current, byte >= 48, byte <= 57 else { throw error("expected a digit") }
        skipDigits()
    }
}
