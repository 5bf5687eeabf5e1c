internal import JSON

/// Go's Printf, as far as templates need it: %s %v %d %q %t %x %f %c %%, with width, precision, `-` and `0`.
enum TemplateFormat {
    static func printf(_ format: String, _ arguments: [JSONValue]) -> String {
        var result = ""
        var rest = Substring(format)
        var values = arguments[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                result.append(character)
                continue
            }
            var directive = Directive()
            while let flag = rest.first, "-0+ #".contains(flag) {
                if flag == "-" { directive.isLeft = true }
                if flag == "0" { directive.padsWithZeros = true }
                rest.removeFirst()
            }
            directive.width = min(number(&rest) ?? 0, 10_000)
            if rest.first == "." {
                rest.removeFirst()
                directive.precision = min(number(&rest) ?? 0, 100)
            }
            guard let verb = rest.popFirst() else { return result + "%!(NOVERB)" }
            if verb == "%" {
                result += "%"
            } else if let value = values.popFirst() {
                result += directive.padded(directive.text(verb, value))
            } else {
                result += "%!\(verb)(MISSING)"
            }
        }
        if !values.isEmpty { result += "%!(EXTRA \(values.map { "\(kind($0))=\(TemplateFunctions.text($0))" }.joined(separator: ", ")))" }
        return result
    }

    private static func number(_ rest: inout Substring) -> Int? {
        let digits = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(digits.count)
        return Int(digits)
    }

    static func kind(_ value: JSONValue) -> String {
        switch value {
        case .integer, .unsigned: "int"
        case .double: "float64"
        default: value.kind
        }
    }

    private struct Directive {
        var isLeft = false
        var padsWithZeros = false
        var width = 0
        var precision: Int?

        func padded(_ text: String) -> String {
            let missing = width - text.unicodeScalars.count
            guard missing > 0 else { return text }
            if isLeft { return text + String(repeating: " ", count: missing) }
            return String(repeating: padsWithZeros ? "0" : " ", count: missing) + text
        }

        func text(_ verb: Character, _ value: JSONValue) -> String {
            switch (verb, value) {
            case ("v", _): TemplateFunctions.text(value)
            case ("s", .string(let text)): precision.map { String(text.prefix($0)) } ?? text
            case ("s", .array), ("s", .object): TemplateFunctions.text(value)
            case ("q", .string(let text)): quoted(text)
            case ("d", .integer), ("d", .unsigned): TemplateFunctions.text(value)
            case ("t", .bool(let flag)): flag ? "true" : "false"
            case ("x", .integer(let number)): String(number, radix: 16)
            case ("x", .string(let text)): text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            case ("f", .double(let number)): HumanSize.fixed(number, precision ?? 6)
            case ("f", .integer(let number)): HumanSize.fixed(Double(number), precision ?? 6)
            default: "%!\(verb)(\(TemplateFormat.kind(value))=\(TemplateFunctions.text(value)))"
            }
        }
    }
}
