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
}
