/// Annotations `org.systemd.property.NAME`, by which engines set properties of the scope, as runc and crun have it: the
/// value in GVariant's text form. Known are strings, booleans, numbers (with a type in front: `uint64 5`) and arrays of
/// strings; a name that ends in `Sec` is a time in seconds and becomes microseconds.
public enum UnitAnnotations {
    /// With which the names of these annotations begin.
    public static let prefix = "org.systemd.property."

    public static func properties(_ annotations: [String: String]) throws(BusError) -> [SystemdProperty] {
        var result: [SystemdProperty] = []
        for (key, text) in annotations.sorted(by: { $0.key < $1.key }) where key.hasPrefix(prefix) {
            let name = String(key.dropFirst(prefix.count))
            guard name.utf8.count >= 3, name.utf8.allSatisfy({ (65...90).contains($0) || (97...122).contains($0) }) else {
                throw .invalid("annotation \(key): no property's name")
            }
            guard let value = value(text) else { throw .invalid("annotation \(key): cannot read the value \(text)") }
            let stem = name.dropLast(3)
            if name.hasSuffix("Sec"), let last = stem.utf8.last, (97...122).contains(last) {
                guard let time = microseconds(value) else { throw .invalid("annotation \(key): \(text) is no time in seconds") }
                result.append(.init("\(stem)USec", .uint64(time)))
            } else {
                result.append(.init(name, value))
            }
        }
        return result
    }

    private static func microseconds(_ value: BusValue) -> UInt64? {
        let seconds: Double? =
            switch value {
            case .byte(let number): Double(number)
            case .int32(let number): Double(number)
            case .uint32(let number): Double(number)
            case .int64(let number): Double(number)
            case .uint64(let number): Double(number)
            case .double(let number): number
            default: nil
            }
        guard let seconds, seconds >= 0, seconds < 9e12 else { return nil }
        return UInt64(seconds * 1_000_000)
    }

    static func value(_ text: String) -> BusValue? {
        let text = text.drop { $0 == " " }
        if text == "true" || text == "false" { return .bool(text == "true") }
        if let quoted = string(text) { return .string(quoted) }
        if text.hasPrefix("["), text.hasSuffix("]") {
            let parts = text.dropFirst().dropLast().split(separator: ",").map { string(trimmed($0)) }
            return parts.contains(nil) ? nil : .strings(parts.compactMap { $0 })
        }
        let words = text.split(separator: " ")
        if words.count == 1 { return Int32(text).map { .int32($0) } ?? Double(text).map { .double($0) } }
        guard words.count == 2 else { return nil }
        switch words[0] {
        case "byte": return UInt8(words[1]).map { .byte($0) }
        case "int32": return Int32(words[1]).map { .int32($0) }
        case "uint32": return UInt32(words[1]).map { .uint32($0) }
        case "int64": return Int64(words[1]).map { .int64($0) }
        case "uint64": return UInt64(words[1]).map { .uint64($0) }
        case "double": return Double(words[1]).map { .double($0) }
        default: return nil
        }
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var rest = text.drop { $0 == " " }
        while rest.last == " " { rest = rest.dropLast() }
        return rest
    }

    /// A text in single or double quotes, without escapes.
    private static func string(_ text: Substring) -> String? {
        guard text.utf8.count >= 2, let quote = text.first, quote == "'" || quote == "\"", text.last == quote else { return nil }
        let inner = text.dropFirst().dropLast()
        return inner.contains(quote) || inner.contains("\\") ? nil : String(inner)
    }
}
