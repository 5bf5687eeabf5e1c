/// A shell's pattern in `${x#pattern}` and its kin: `*` any text, `?` one character, the escape character protects the next.
struct ShellPattern {
    private enum Element: Equatable { case literal(Unicode.Scalar), anyText, anyOne }
    private let elements: [Element]

    init(_ text: String, escape: Unicode.Scalar) {
        var elements: [Element] = []
        var isEscaped = false
        for scalar in text.unicodeScalars {
            if isEscaped {
                elements.append(.literal(scalar))
                isEscaped = false
            } else if scalar == escape {
                isEscaped = true
            } else if scalar == "*" {
                // Several stars in a row are one.
                if elements.last != .anyText { elements.append(.anyText) }
            } else {
                elements.append(scalar == "?" ? .anyOne : .literal(scalar))
            }
        }
        self.elements = elements
    }

    func cutPrefix(of value: String, longest: Bool) -> String {
        let scalars = Array(value.unicodeScalars)
        let lengths = Self.matches(elements, at: scalars[...])
        guard let length = longest ? lengths.last : lengths.first else { return value }
        return String(scalars[length...])
    }

    func cutSuffix(of value: String, longest: Bool) -> String {
        let reversed = Array(value.unicodeScalars.reversed())
        let lengths = Self.matches(elements.reversed(), at: reversed[...])
        guard let length = longest ? lengths.last : lengths.first else { return value }
        return String(reversed[length...].reversed())
    }

    /// Replaces the leftmost longest match, or each one after the other.
    func replace(in value: String, with replacement: String, everywhere: Bool) -> String {
        let scalars = Array(value.unicodeScalars)
        var result = ""
        var position = 0
        while position < scalars.count {
            if let length = Self.matches(elements, at: scalars[position...]).last, length > 0 {
                result += replacement
                position += length
                if !everywhere { break }
            } else {
                result.unicodeScalars.append(scalars[position])
                position += 1
            }
        }
        return result + String(scalars[position...])
    }

    /// The lengths of all beginnings of `text` that match, in rising order. Time is pattern times text.
    private static func matches(_ elements: [Element], at text: ArraySlice<Unicode.Scalar>) -> [Int] {
        let scalars = Array(text)
        // reachable[n]: the elements so far match the first n scalars.
        var reachable = [Bool](repeating: false, count: scalars.count + 1)
        reachable[0] = true
        for element in elements {
            switch element {
            case .anyText:
                var isReached = false
                for index in reachable.indices {
                    isReached = isReached || reachable[index]
                    reachable[index] = isReached
                }
            case .anyOne, .literal:
                for index in stride(from: scalars.count, to: 0, by: -1) {
                    reachable[index] = reachable[index - 1] && (element == .anyOne || element == .literal(scalars[index - 1]))
                }
                reachable[0] = false
            }
        }
        return reachable.indices.filter { reachable[$0] }
    }
}
