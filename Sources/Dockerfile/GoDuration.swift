/// Durations as Go writes them: `1h30m`, `1.5s`, `100ms`.
public enum GoDuration {
    /// Nanoseconds; throws Go's own sentence about what is wrong.
    public static func parse(_ text: String) throws(GoDurationError) -> Int64 {
        var rest = text.unicodeScalars[...]
        var sign = 1.0
        if let first = rest.first, first == "-" || first == "+" {
            sign = first == "-" ? -1 : 1
            rest = rest.dropFirst()
        }
        if String(rest) == "0" { return 0 }
        guard !rest.isEmpty else { throw GoDurationError(message: "time: invalid duration \"\(text)\"") }
        var total = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { ("0"..."9").contains($0) || $0 == "." }
            // `.5` and `1.` are numbers to Go.
            guard digits.contains(where: { $0 != "." }), let value = Double(digits.contains(".") ? "0\(String(digits))0" : String(digits))
            else {
                throw GoDurationError(message: "time: invalid duration \"\(text)\"")
            }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { !("0"..."9").contains($0) && $0 != "." }
            guard !unit.isEmpty else { throw GoDurationError(message: "time: missing unit in duration \"\(text)\"") }
            guard let scale = units[String(unit)] else {
                throw GoDurationError(message: "time: unknown unit \"\(String(unit))\" in duration \"\(text)\"")
            }
            rest = rest.dropFirst(unit.count)
            total += value * scale
        }
        guard total < 9.2e18 else { throw GoDurationError(message: "time: invalid duration \"\(text)\"") }
        return Int64(sign * total.rounded())
    }

    private static let units: [String: Double] = [
        "ns": 1, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9,
    ]
}

public struct GoDurationError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }
}
