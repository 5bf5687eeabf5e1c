/// Sizes for people.
public enum HumanSize {
    /// Powers of 1000, four significant digits: `1.09MB` (three with `precision: 3`, as `images` and `history` show them).
    public static func decimal(_ bytes: Double, precision: Int = 4) -> String {
        scaled(bytes, 1000, ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"], precision)
    }

    /// Powers of 1024: `1.952GiB`.
    public static func binary(_ bytes: Double, precision: Int = 4) -> String {
        scaled(bytes, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"], precision)
    }

    private static func scaled(_ bytes: Double, _ base: Double, _ units: [String], _ precision: Int) -> String {
        var value = bytes
        var index = 0
        while value >= base && index < units.count - 1 {
            value /= base
            index += 1
        }
        return general(value, precision) + units[index]
    }

    /// printf's %.Ng: N significant digits, no trailing zeros; the exponent form when it is shorter.
    static func general(_ value: Double, _ precision: Int) -> String {
        if value == 0 { return "0" }
        var magnitude = 0
        var scaled = abs(value)
        while scaled >= 10 { scaled /= 10; magnitude += 1 }
        while scaled < 1 { scaled *= 10; magnitude -= 1 }
        if rounded(abs(value), precision - 1 - magnitude).count(over: magnitude) { magnitude += 1 }
        if magnitude >= precision {
            let mantissa = trimmed(fixed(abs(value) / power(magnitude), precision - 1))
            return "\(value < 0 ? "-" : "")\(mantissa)e+\(magnitude < 10 ? "0" : "")\(magnitude)"
        }
        return (value < 0 ? "-" : "") + trimmed(fixed(abs(value), precision - 1 - magnitude))
    }

    private static func rounded(_ value: Double, _ digits: Int) -> Rounded {
        Rounded(value: (value * power(digits)).rounded(.toNearestOrEven), digits: digits)
    }

    private struct Rounded {
        let value: Double
        let digits: Int

        /// Whether rounding lifted the number to the next power of ten above `magnitude`.
        func count(over magnitude: Int) -> Bool { value >= HumanSize.power(magnitude + 1 + digits) }
    }

    static func power(_ exponent: Int) -> Double {
        var result = 1.0
        for _ in 0..<abs(exponent) { result *= 10 }
        return exponent < 0 ? 1 / result : result
    }

    /// A number with exactly `digits` digits behind the point.
    public static func fixed(_ value: Double, _ digits: Int) -> String {
        if digits <= 0 { return String(Int64((value).rounded(.toNearestOrEven))) }
        let scale = power(digits)
        let whole = Int64(exactlyRounded(abs(value), scale))
        let text = String(whole)
        let padded = text.count <= digits ? String(repeating: "0", count: digits + 1 - text.count) + text : text
        return (value < 0 && whole != 0 ? "-" : "") + padded.dropLast(digits) + "." + padded.suffix(digits)
    }

    /// The product rounded as if it were exact: a tie that only the multiplication made is broken by its error.
    private static func exactlyRounded(_ value: Double, _ scale: Double) -> Double {
        let product = value * scale
        let below = product.rounded(.down)
        guard product - below == 0.5 else { return product.rounded() }
        let error = (-product).addingProduct(value, scale)
        return error == 0 ? product.rounded(.toNearestOrEven) : error > 0 ? below + 1 : below
    }

    private static func trimmed(_ text: String) -> String {
        guard text.contains(".") else { return text }
        var result = text
        while result.last == "0" { result.removeLast() }
        if result.last == "." { result.removeLast() }
        return result
    }
}
