internal import JSON

/// The functions of a template: Go's own and Docker's.
enum TemplateFunctions {
    static let names: Set<String> = [
        "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "index", "slice", "len", "print", "printf", "println", "json", "join",
        "lower",
        "upper", "title", "split", "pad", "truncate", "html", "js", "urlquery", "call",
    ]

    /// `and` and `or` are not here: they evaluate their arguments one by one.
    static func call(_ name: String, _ arguments: [JSONValue]) throws(TemplateError) -> JSONValue {
        switch name {
        case "not": .bool(!isTrue(try argument(0, arguments, name)))
        case "eq": .bool(arguments.dropFirst().contains(try argument(0, arguments, name)))
        case "ne": .bool(try argument(0, arguments, name) != argument(1, arguments, name))
        case "lt", "le", "gt", "ge": .bool(try compare(name, argument(0, arguments, name), argument(1, arguments, name)))
        case "index": try index(arguments)
        case "slice": try slice(arguments)
        case "len": .integer(try length(argument(0, arguments, name)))
        case "print": .string(print(arguments))
        case "println": .string(arguments.map(text).joined(separator: " ") + "\n")
        case "printf": .string(TemplateFormat.printf(try string(0, arguments, name), Array(arguments.dropFirst())))
        case "json": .string(try argument(0, arguments, name).text())
        case "join": .string(try list(0, arguments, name).map(text).joined(separator: string(1, arguments, name)))
        case "lower": .string(try string(0, arguments, name).lowercased())
        case "upper": .string(try string(0, arguments, name).uppercased())
        case "title": .string(title(try string(0, arguments, name)))
        case "split": .array(try split(string(0, arguments, name), string(1, arguments, name)).map { .string($0) })
        case "pad": .string(try pad(arguments))
        case "truncate": .string(String(try string(0, arguments, name).prefix(Int(try integer(1, arguments, name)))))
        case "html": .string(escapedHTML(print(arguments)))
        case "urlquery": .string(escapedQuery(print(arguments)))
        default: throw failure(name, "not implemented")
        }
    }

    private static func failure(_ name: String, _ what: String) -> TemplateError {
        TemplateError(message: "error calling \(name): \(what)")
    }

    private static func argument(_ index: Int, _ arguments: [JSONValue], _ name: String) throws(TemplateError) -> JSONValue {
        guard index < arguments.count else {
            throw TemplateError(message: "wrong number of args for \(name): want at least \(index + 1) got \(arguments.count)")
        }
        return arguments[index]
    }

    private static func string(_ index: Int, _ arguments: [JSONValue], _ name: String) throws(TemplateError) -> String {
        let value = try argument(index, arguments, name)
        guard let text = value.stringValue else { throw failure(name, "wrong type for value; expected string; got \(value.kind)") }
        return text
    }

    private static func integer(_ index: Int, _ arguments: [JSONValue], _ name: String) throws(TemplateError) -> Int64 {
        let value = try argument(index, arguments, name)
        guard let number = value.intValue, number >= 0 else { throw failure(name, "wrong type for value; expected int; got \(value.kind)") }
        return number
    }

    private static func list(_ index: Int, _ arguments: [JSONValue], _ name: String) throws(TemplateError) -> [JSONValue] {
        let value = try argument(index, arguments, name)
        if value.isNull { return [] }
        guard let elements = value.arrayValue else { throw failure(name, "wrong type for value; expected []string; got \(value.kind)") }
        return elements
    }

    /// Go's truth: false, 0, nil, and what is empty are false.
    static func isTrue(_ value: JSONValue) -> Bool {
        switch value {
        case .null: false
        case .bool(let flag): flag
        case .integer(let number): number != 0
        case .unsigned(let number): number != 0
        case .double(let number): number != 0
        case .string(let text): !text.isEmpty
        case .array(let elements): !elements.isEmpty
        case .object(let object): !object.isEmpty
        }
    }

    private static func length(_ value: JSONValue) throws(TemplateError) -> Int64 {
        switch value {
        case .string(let text): Int64(text.utf8.count)
        case .array(let elements): Int64(elements.count)
        case .object(let object): Int64(object.members.count)
        case .null: 0
        default: throw failure("len", "len of type \(value.kind)")
        }
    }

    private static func index(_ arguments: [JSONValue]) throws(TemplateError) -> JSONValue {
        var value = try argument(0, arguments, "index")
        for key in arguments.dropFirst() {
            switch (value, key) {
            case (.object(let object), .string(let name)): value = object[name] ?? .null
            case (.array(let elements), .integer(let position)):
                guard position >= 0, position < elements.count else { throw failure("index", "reflect: slice index out of range") }
                value = elements[Int(position)]
            case (.null, _): throw failure("index", "index of untyped nil")
            default: throw failure("index", "cannot index \(value.kind) with \(key.kind)")
            }
        }
        return value
    }

    private static func slice(_ arguments: [JSONValue]) throws(TemplateError) -> JSONValue {
        let value = try argument(0, arguments, "slice")
        let count = Int(try length(value))
        let from = arguments.count > 1 ? Int(try integer(1, arguments, "slice")) : 0
        let to = arguments.count > 2 ? Int(try integer(2, arguments, "slice")) : count
        guard from <= to, to <= count else { throw failure("slice", "index out of range: \(to)") }
        switch value {
        case .string(let text): return .string(String(decoding: Array(text.utf8)[from..<to], as: UTF8.self))
        case .array(let elements): return .array(Array(elements[from..<to]))
        default: throw failure("slice", "can't slice item of type \(value.kind)")
        }
    }

    private static func compare(_ name: String, _ left: JSONValue, _ right: JSONValue) throws(TemplateError) -> Bool {
        if let a = left.stringValue, let b = right.stringValue { return ordered(name, a < b, a == b) }
        guard let a = left.doubleValue, let b = right.doubleValue else { throw failure(name, "incompatible types for comparison") }
        return ordered(name, a < b, a == b)
    }

    private static func ordered(_ name: String, _ isLess: Bool, _ isEqual: Bool) -> Bool {
        switch name {
        case "lt": isLess
        case "le": isLess || isEqual
        case "gt": !isLess && !isEqual
        default: !isLess
        }
    }

    /// fmt.Sprint: a space between two operands when neither is a string.
    private static func print(_ values: [JSONValue]) -> String {
        var result = ""
        for (index, value) in values.enumerated() {
            if index > 0, value.stringValue == nil, values[index - 1].stringValue == nil { result += " " }
            result += text(value)
        }
        return result
    }

    /// Go's %v.
    static func text(_ value: JSONValue) -> String {
        switch value {
        case .null: "<no value>"
        case .string(let text): text
        case .array(let elements): "[\(elements.map(inner).joined(separator: " "))]"
        case .object(let object):
            "map[\(object.members.sorted { $0.name < $1.name }.map { "\($0.name):\(inner($0.value))" }.joined(separator: " "))]"
        default: value.text()
        }
    }

    private static func inner(_ value: JSONValue) -> String { value.isNull ? "<nil>" : text(value) }

    private static func title(_ text: String) -> String {
        var result = ""
        var isStart = true
        for character in text {
            result += isStart ? character.uppercased() : String(character)
            isStart = character.isWhitespace
        }
        return result
    }

    private static func split(_ text: String, _ separator: String) -> [String] {
        if separator.isEmpty { return text.map { String($0) } }
        var parts: [String] = []
        var part: [UInt8] = []
        let bytes = Array(text.utf8)
        let wanted = Array(separator.utf8)
        var position = 0
        while position < bytes.count {
            if bytes[position...].starts(with: wanted) {
                parts.append(String(decoding: part, as: UTF8.self))
                part = []
                position += wanted.count
            } else {
                part.append(bytes[position])
                position += 1
            }
        }
        return parts + [String(decoding: part, as: UTF8.self)]
    }

    /// html/template's five characters, as Go writes them.
    private static func escapedHTML(_ text: String) -> String {
        text.reduce(into: "") { result, character in
            switch character {
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "&": result += "&amp;"
            case "\"": result += "&#34;"
            case "'": result += "&#39;"
            default: result.append(character)
            }
        }
    }

    /// Go's url.QueryEscape.
    private static func escapedQuery(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            case UInt8(ascii: " "): result += "+"
            default: result += "%\(byte < 16 ? "0" : "")\(String(byte, radix: 16, uppercase: true))"
            }
        }
    }

    private static func pad(_ arguments: [JSONValue]) throws(TemplateError) -> String {
        let text = try string(0, arguments, "pad")
        if text.isEmpty { return text }
        let before = Int(try integer(1, arguments, "pad"))
        let after = Int(try integer(2, arguments, "pad"))
        return String(repeating: " ", count: min(before, 10_000)) + text + String(repeating: " ", count: min(after, 10_000))
    }
}
