/// A pattern of Go's filepath.Match for one path component: `*`, `?`, `[a-z]`, `[^a]`, `\x`.
struct PathPattern {
    private enum Element {
        case literal(Unicode.Scalar)
        case anyText, anyOne
        case oneOf(ranges: [ClosedRange<Unicode.Scalar>], isNegated: Bool)
    }
    private let elements: [Element]

    /// Whether a path holds anything but plain characters.
    static func isPattern(_ text: String) -> Bool { text.contains { $0 == "*" || $0 == "?" || $0 == "[" } }

    /// Nil for a malformed pattern.
    init?(_ text: String) {
        let scalars = Array(text.unicodeScalars)
        var elements: [Element] = []
        var position = 0
        while position < scalars.count {
            let scalar = scalars[position]
            position += 1
            switch scalar {
            case "*": elements.append(.anyText)
            case "?": elements.append(.anyOne)
            case "\\":
                guard position < scalars.count else { return nil }
                elements.append(.literal(scalars[position]))
                position += 1
            case "[":
                guard let (element, end) = Self.characterClass(scalars, from: position) else { return nil }
                elements.append(element)
                position = end
            default: elements.append(.literal(scalar))
            }
        }
        self.elements = elements
    }

    private static func characterClass(_ scalars: [Unicode.Scalar], from start: Int) -> (Element, Int)? {
        var position = start
        var isNegated = false
        if position < scalars.count, scalars[position] == "^" {
            isNegated = true
            position += 1
        }
        func character() -> Unicode.Scalar? {
            guard position < scalars.count, scalars[position] != "-" else { return nil }
            if scalars[position] == "\\" { position += 1 }
            guard position < scalars.count else { return nil }
            defer { position += 1 }
            return scalars[position]
        }
        var ranges: [ClosedRange<Unicode.Scalar>] = []
        while position < scalars.count {
            if scalars[position] == "]" && !ranges.isEmpty { return (.oneOf(ranges: ranges, isNegated: isNegated), position + 1) }
            guard scalars[position] != "]", let low = character() else { return nil }
            var high = low
            if position < scalars.count, scalars[position] == "-" {
                position += 1
                guard position < scalars.count, scalars[position] != "]", let end = character() else { return nil }
                high = end
            }
            // Go takes an upside-down range and matches nothing with it.
            if low <= high { ranges.append(low...high) } else { ranges.append("\u{0}"..."\u{0}") }
        }
        return nil
    }

    /// Whether the whole name matches. Time is pattern times name.
    func matches(_ name: String) -> Bool {
        let scalars = Array(name.unicodeScalars)
        var reachable = [Bool](repeating: false, count: scalars.count + 1)
        reachable[0] = true
        for element in elements {
            if case .anyText = element {
                var isReached = false
                for index in reachable.indices {
                    // A star doesn't cross a slash.
                    if index > 0 && scalars[index - 1] == "/" { isReached = false }
                    isReached = isReached || reachable[index]
                    reachable[index] = isReached
                }
                continue
            }
            for index in stride(from: scalars.count, to: 0, by: -1) {
                reachable[index] = reachable[index - 1] && Self.matches(element, scalars[index - 1])
            }
            reachable[0] = false
        }
        return reachable[scalars.count]
    }

    private static func matches(_ element: Element, _ scalar: Unicode.Scalar) -> Bool {
        switch element {
        case .literal(let wanted): scalar == wanted
        case .anyOne: scalar != "/"
        case .oneOf(let ranges, let isNegated): scalar != "/" && ranges.contains { $0.contains(scalar) } != isNegated
        case .anyText: false
        }
    }
}
