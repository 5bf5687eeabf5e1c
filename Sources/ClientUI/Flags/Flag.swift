internal import Linux

/// One flag of a command. A table of these is all that parser, help and completion know.
public struct Flag: Sendable {
    public enum Kind: Sendable, Equatable {
        /// `--x`, `--x=false`
        case bool
        case string
        /// Each occurrence adds one value.
        case list
        /// Each occurrence adds values that commas divide.
        case commaList
        case int
        case uint
        case uint16
        /// `1h30m`
        case duration
        /// `64m`
        case bytes
        case decimal
        /// `key=value`, each occurrence adds one.
        case map
    }

    public let name: String
    public let short: Character?
    public let kind: Kind
    public let help: String
    /// The word for the value in help; by default the kind's.
    public let valueName: String?
    /// The value when the flag is not given, shown in help.
    public let standard: String?
    public let isHidden: Bool

    public init(
        _ name: String, _ short: Character?, _ kind: Kind, _ help: String, valueName: String? = nil, default standard: String? = nil,
        hidden: Bool = false
    ) {
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.valueName = valueName
        self.standard = standard
        isHidden = hidden
    }

    /// A flag without a letter.
    public init(
        _ name: String, _ kind: Kind, _ help: String, valueName: String? = nil, default standard: String? = nil, hidden: Bool = false
    ) {
        self.init(name, nil, kind, help, valueName: valueName, default: standard, hidden: hidden)
    }

    /// `-m, --memory` or `--rm`: how messages name the flag.
    var label: String { short.map { "-\($0), --\(name)" } ?? "--\(name)" }

    /// The word after the flag in help: empty for switches.
    var typeName: String {
        if let valueName { return valueName }
        return switch kind {
        case .bool: ""
        case .string: "string"
        case .list: "list"
        case .commaList: "strings"
        case .int: "int"
        case .uint: "uint"
        case .uint16: "uint16"
        case .duration: "duration"
        case .bytes: "bytes"
        case .decimal: "decimal"
        case .map: "map"
        }
    }

    var takesMany: Bool { kind == .list || kind == .commaList || kind == .map }

    /// Why a text can't be the flag's value; nil when it can. The texts are those of Go's parsers, which users know.
    func objection(to text: String) -> String? {
        switch kind {
        case .string, .list, .commaList: nil
        case .bool: Self.bool(text) == nil ? "strconv.ParseBool: parsing \(quoted(text)): invalid syntax" : nil
        case .int: GoInteger.signed(text) == nil ? "strconv.ParseInt: parsing \(quoted(text)): \(GoInteger.reason(text))" : nil
        case .uint: GoInteger.unsigned(text) == nil ? "strconv.ParseUint: parsing \(quoted(text)): \(GoInteger.reason(text))" : nil
        case .uint16:
            switch GoInteger.unsigned(text) {
            case nil: "strconv.ParseUint: parsing \(quoted(text)): \(GoInteger.reason(text))"
            case let number? where number > 65535: "strconv.ParseUint: parsing \(quoted(text)): value out of range"
            default: nil
            }
        case .duration: GoDuration.nanoseconds(text) == nil ? "time: invalid duration \(quoted(text))" : nil
        case .bytes: ByteSize.bytes(text) == nil ? "invalid size: '\(text)'" : nil
        case .decimal: Decimal.nano(text) == nil ? "failed to parse \(text) as a rational number" : nil
        case .map: text.contains("=") ? nil : "\(text) must be formatted as key=value"
        }
    }

    /// A truth value as Go's strconv.ParseBool reads it; nil for anything else.
    public static func bool(_ text: String) -> Bool? {
        switch text {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: nil
        }
    }
}

/// A text in double quotes, escaped as Go's %q does for the printable part.
public func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { $0 >= 32 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
    if isPlain { return "\"" + text + "\"" }
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

/// strconv.ParseInt and ParseUint with base 0: `0x1f`, `0b1`, `0o7`, `017`, `1_000` are numbers too.
public enum GoInteger {
    static func signed(_ text: String) -> Int64? {
        if text.hasPrefix("-") {
            guard let magnitude = unsigned(String(text.dropFirst())) else { return nil }
            return magnitude == UInt64(Int64.max) + 1 ? Int64.min : Int64(exactly: magnitude).map { -$0 }
        }
        return unsigned(text.hasPrefix("+") ? String(text.dropFirst()) : text).flatMap { Int64(exactly: $0) }
    }

    public static func unsigned(_ text: String) -> UInt64? {
        let lower = text.lowercased()
        if lower.hasPrefix("+") || lower.hasPrefix("-") { return nil }
        if lower.hasPrefix("0x") { return UInt64(lower.dropFirst(2), radix: 16) }
        if lower.hasPrefix("0b") { return UInt64(lower.dropFirst(2), radix: 2) }
        if lower.hasPrefix("0o") { return UInt64(lower.dropFirst(2), radix: 8) }
        if lower.hasPrefix("0") && lower.utf8.count > 1 { return UInt64(lower, radix: 8) }
        return UInt64(lower)
    }

    static func reason(_ text: String) -> String {
        let digits = text.hasPrefix("-") || text.hasPrefix("+") ? text.dropFirst() : text[...]
        return !digits.isEmpty && digits.allSatisfy { $0.isASCII && $0.isNumber } ? "value out of range" : "invalid syntax"
    }
}
