/// Go's durations: `1h30m`, `500ms`, `1.5s`.
public enum GoDuration {
    /// Nanoseconds; nil for what time.ParseDuration refuses.
    public static func nanoseconds(_ text: String) -> Int64? {
        var rest = Substring(text)
        let isNegative = rest.first == "-"
        if rest.first == "-" || rest.first == "+" { rest = rest.dropFirst() }
        if rest == "0" { return 0 }
        if rest.isEmpty { return nil }
        var total = 0.0
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard !number.isEmpty, number != ".", let value = Double(number.hasSuffix(".") ? number + "0" : number) else { return nil }
            rest = rest.dropFirst(number.count)
            let unit = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
            rest = rest.dropFirst(unit.count)
            let units: [Substring: Double] = ["ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9]
            guard let scale = units[unit] else { return nil }
            total += value * scale
        }
        guard total < 9.2e18 else { return nil }
        return isNegative ? -Int64(total) : Int64(total)
    }

    /// As Go prints it: `1h30m0s`, `1.5s`, `500ms`, `0s`.
    public static func text(_ nanoseconds: Int64) -> String {
        let magnitude = nanoseconds.magnitude
        let sign = nanoseconds < 0 ? "-" : ""
        for (unit, size) in [("ns", 1 as UInt64), ("µs", 1000), ("ms", 1_000_000)] where magnitude > 0 && magnitude < size * 1000 {
            return sign + decimal(magnitude, size) + unit
        }
        let (minutes, rest) = magnitude.quotientAndRemainder(dividingBy: 60_000_000_000)
        var text = minutes >= 60 ? "\(minutes / 60)h" : ""
        if minutes > 0 { text += "\(minutes % 60)m" }
        return sign + text + decimal(rest, 1_000_000_000) + "s"
    }

    /// A number of units with as many places as it needs.
    private static func decimal(_ value: UInt64, _ unit: UInt64) -> String {
        let (whole, rest) = value.quotientAndRemainder(dividingBy: unit)
        if rest == 0 { return "\(whole)" }
        var places = String(String(unit + rest).dropFirst())
        while places.hasSuffix("0") { places.removeLast() }
        return "\(whole).\(places)"
    }
}
