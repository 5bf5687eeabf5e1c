/// CPUs or memory nodes as the kernel's lists write them: `0-3,7` (cpuset(7), "List format").
public struct NumberList: Hashable, Sendable {
    /// A bit for each number, 64 to a word.
    public private(set) var words: [UInt64] = []

    /// No kernel can be built for more CPUs or nodes.
    public static let maximum = 8192

    /// nil for anything that is no list: empty parts, words, ranges that run backwards, numbers from `maximum` on.
    public init?(strictly text: String) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let range = Self.range(part) else { return nil }
            for number in range { insert(number) }
        }
    }

    /// From the kernel's own files: what is no number or range is left out.
    public init(_ text: String) {
        for part in text.split(whereSeparator: { $0 == "," || $0 == "\n" }) {
            if let range = Self.range(part) { for number in range { insert(number) } }
        }
    }

    private static func range(_ part: Substring) -> ClosedRange<Int>? {
        let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = number(ends[0]), let last = ends.count == 1 ? first : number(ends[1]), first <= last else { return nil }
        return first...last
    }

    /// From the kernel's own mask.
    public init(words: [UInt64]) { self.words = words }

    private static func number(_ text: Substring) -> Int? {
        guard !text.isEmpty, text.utf8.count <= 4, text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(text) else {
            return nil
        }
        return number < maximum ? number : nil
    }

    private mutating func insert(_ number: Int) {
        while words.count <= number / 64 { words.append(0) }
        words[number / 64] |= 1 << UInt64(number % 64)
    }

    /// In ascending order.
    public var numbers: [UInt16] { (0..<words.count * 64).filter(contains).map { UInt16($0) } }

    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    public func contains(_ number: Int) -> Bool { number / 64 < words.count && words[number / 64] >> UInt64(number % 64) & 1 == 1 }
}
