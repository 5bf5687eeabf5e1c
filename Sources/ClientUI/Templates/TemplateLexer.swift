internal import JSON

/// Takes a template apart: text and actions (`{{ }}` with trim markers and comments), and an action into words.
struct TemplateLexer {
    enum Piece: Equatable {
        case text(String)
        case action([Token])
    }

    struct Token: Equatable {
        enum Kind: Equatable {
            case word(String)
            /// `.Name`; empty for a lone dot. `isChained` when it follows the word before without a space.
            case field(String, isChained: Bool)
            case variable(String)
            case literal(JSONValue)
            case pipe, open, close, comma, declare, assign
        }

        var kind: Kind
        var offset: Int
    }

    /// Throws `TemplateError` for an action that isn't closed or a character that can't be.
    static func pieces(of source: String) throws(TemplateError) -> [Piece] {
        let bytes = Array(source.utf8)
        var pieces: [Piece] = []
        var position = 0
        var trimsNext = false
        while position < bytes.count {
            let start = find("{{", in: bytes, from: position) ?? bytes.count
            var text = bytes[position..<start]
            if trimsNext { text = text.drop { isSpace($0) } }
            if start == bytes.count {
                pieces.append(.text(String(decoding: text, as: UTF8.self)))
                break
            }
            var inner = start + 2
            if inner + 1 < bytes.count, bytes[inner] == UInt8(ascii: "-"), isSpace(bytes[inner + 1]) {
                while let last = text.last, isSpace(last) { text = text.dropLast() }
                inner += 1
            }
            if !text.isEmpty { pieces.append(.text(String(decoding: text, as: UTF8.self))) }
            var lexer = TemplateLexer(bytes: bytes, position: inner)
            let tokens = try lexer.action()
            trimsNext = lexer.trims
            position = lexer.position
            if let tokens { pieces.append(.action(tokens)) }
        }
        return pieces
    }

    private let bytes: [UInt8]
    private var position: Int
    private var trims = false

    private init(bytes: [UInt8], position: Int) {
        self.bytes = bytes
        self.position = position
    }

    private static func find(_ text: StaticString, in bytes: [UInt8], from start: Int) -> Int? {
        let wanted = Array("\(text)".utf8)
        guard bytes.count >= wanted.count, start <= bytes.count - wanted.count else { return nil }
        return (start...(bytes.count - wanted.count)).first { Array(bytes[$0..<$0 + wanted.count]) == wanted }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }

    private func at(_ offset: Int) -> UInt8? { position + offset < bytes.count ? bytes[position + offset] : nil }

    private func error(_ message: String) -> TemplateError { TemplateError(message: "template: :1: \(message)") }

    /// The words up to `}}`; nil for a comment.
    private mutating func action() throws(TemplateError) -> [Token]? {
        var probe = position
        while probe < bytes.count, Self.isSpace(bytes[probe]) { probe += 1 }
        if probe + 1 < bytes.count, bytes[probe] == UInt8(ascii: "/"), bytes[probe + 1] == UInt8(ascii: "*") {
            guard let end = Self.find("*/", in: bytes, from: probe + 2) else { throw error("unclosed comment") }
            position = end + 2
            guard try token() == nil else { throw error("comment ends before closing delimiter") }
            return nil
        }
        var tokens: [Token] = []
        while let token = try token() { tokens.append(token) }
        return tokens
    }

    /// The next word; nil behind the closing braces.
    private mutating func token() throws(TemplateError) -> Token? {
        let before = position
        while let byte = at(0), Self.isSpace(byte) { position += 1 }
        guard let byte = at(0) else { throw error("unclosed action") }
        if byte == UInt8(ascii: "-"), position > before, at(1) == UInt8(ascii: "}"), at(2) == UInt8(ascii: "}") {
            trims = true
            position += 3
            return nil
        }
        if byte == UInt8(ascii: "}"), at(1) == byte {
            position += 2
            return nil
        }
        let start = position
        return Token(kind: try kind(of: byte, isChained: position == before), offset: start)
    }

    private mutating func kind(of byte: UInt8, isChained: Bool) throws(TemplateError) -> Token.Kind {
        switch byte {
        case UInt8(ascii: "|"): return single(.pipe)
        case UInt8(ascii: "("): return single(.open)
        case UInt8(ascii: ")"): return single(.close)
        case UInt8(ascii: ","): return single(.comma)
        case UInt8(ascii: "="): return single(.assign)
        case UInt8(ascii: ":") where at(1) == UInt8(ascii: "="):
            position += 2
            return .declare
        case UInt8(ascii: "\""), UInt8(ascii: "`"): return .literal(.string(try string(byte)))
        case UInt8(ascii: "."):
            if let next = at(1), next >= 48, next <= 57 { return .literal(try number()) }
            position += 1
            return .field(name(), isChained: isChained)
        case UInt8(ascii: "$"):
            position += 1
            return .variable("$" + name())
        case 48...57, UInt8(ascii: "-"), UInt8(ascii: "+"): return .literal(try number())
        case 65...90, 97...122, UInt8(ascii: "_"), 128...255:
            switch name() {
            case "true": return .literal(true)
            case "false": return .literal(false)
            case let word: return .word(word)
            }
        default: throw error("unexpected \(quoted(String(UnicodeScalar(byte)))) in action")
        }
    }

    private mutating func single(_ kind: Token.Kind) -> Token.Kind {
        position += 1
        return kind
    }

    private mutating func name() -> String {
        let start = position
        while let byte = at(0),
            (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 95 || byte >= 128
        {
            position += 1
        }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func number() throws(TemplateError) -> JSONValue {
        let start = position
        while let byte = at(0),
            (48...57).contains(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == 101
        {
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let whole = Int64(text) { return .integer(whole) }
        if let number = Double(text) { return .double(number) }
        throw error("bad number syntax: \(quoted(text))")
    }

    private mutating func string(_ quote: UInt8) throws(TemplateError) -> String {
        position += 1
        var content: [UInt8] = []
        while let byte = at(0), byte != quote {
            position += 1
            guard byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\""), let escaped = at(0) else {
                content.append(byte)
                continue
            }
            position += 1
            switch escaped {
            case UInt8(ascii: "n"): content.append(10)
            case UInt8(ascii: "t"): content.append(9)
            case UInt8(ascii: "r"): content.append(13)
            default: content.append(escaped)
            }
        }
        guard at(0) == quote else { throw error("unterminated quoted string") }
        position += 1
        return String(decoding: content, as: UTF8.self)
    }
}
