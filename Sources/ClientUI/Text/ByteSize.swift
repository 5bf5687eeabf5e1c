internal import Linux

/// Sizes as users write them: `512`, `64m`, `1.5g`, `2GiB`; units are powers of 1024.
public enum ByteSize {
    /// Bytes; nil for what is no size. `-1` is a size, for limits that know "unlimited".
    public static func bytes(_ text: String) -> Int64? { text == "-1" ? -1 : try? GoSize.bytes(text) }
}

/// Decimal fractions, kept exactly to the billionth.
public enum Decimal {
    /// Billionths: `0.5` is 500,000,000. Nil for more than nine digits behind the point, as for what is no number.
    public static func nano(_ text: String) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let parts = (isNegative ? text.dropFirst() : text[...]).split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let whole = parts.first ?? ""
        let fraction = parts.count == 2 ? parts[1] : ""
        guard !(whole.isEmpty && fraction.isEmpty), (whole + fraction).allSatisfy({ $0.isASCII && $0.isNumber }), fraction.count <= 9 else {
            return nil
        }
        guard let high = Int64(whole.isEmpty ? "0" : whole), high < 9_000_000_000 else { return nil }
        let low = Int64(fraction + String(repeating: "0", count: 9 - fraction.count)) ?? 0
        let value = high * 1_000_000_000 + low
        return isNegative ? -value : value
    }
}
