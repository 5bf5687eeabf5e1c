/// Sizes as Docker reads them (go-units' RAMInBytes): `512`, `64m`, `1.5g`, `2 GiB`; units are powers of 1024.
public enum GoSize {
    /// What is no size, in go-units' words.
    public struct Refusal: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    private static let powers: [Character: Int] = ["k": 1, "m": 2, "g": 3, "t": 4, "p": 5]

    /// Bytes. Throws `invalid size: 'x'`, `invalid suffix: 'x'`.
    public static func bytes(_ text: String) throws(Refusal) -> Int64 {
        guard let last = text.lastIndex(where: { $0.isASCII && ($0.isNumber || $0 == "." || $0 == " ") }) else {
            throw Refusal(description: "invalid size: '\(text)'")
        }
        let number = text[last] == " " ? text[..<last] : text[...last]
        guard !number.isEmpty, number.allSatisfy({ $0.isASCII && ($0.isNumber || "+-.eE".contains($0)) }), let value = Double(number) else {
            throw Refusal(description: "strconv.ParseFloat: parsing \"\(number)\": invalid syntax")
        }
        if value < 0 { throw Refusal(description: "invalid size: '\(text)'") }
        let suffix = text[text.index(after: last)...]
        guard suffix.utf8.count <= 3 else { throw Refusal(description: "invalid suffix: '\(suffix)'") }
        let unit = suffix.lowercased()
        var size = value
        if let letter = unit.first, unit != "b" {
            guard let power = powers[letter], ["", "b", "ib"].contains(unit.dropFirst()) else {
                throw Refusal(description: "invalid suffix: '\(unit)'")
            }
            for _ in 0..<power { size *= 1024 }
        }
        guard size < 9.2e18 else { throw Refusal(description: "invalid size: '\(text)'") }
        return Int64(size)
    }
}
