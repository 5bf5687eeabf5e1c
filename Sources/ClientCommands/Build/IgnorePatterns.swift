/// .dockerignore: patterns with `*`, `?`, `[a-z]`, `**`, exceptions with `!`; the last one that matches a path counts.
/// A pattern matches a path and everything below it.
struct IgnorePatterns: Sendable {
    private struct Pattern: Sendable {
        var segments: [[UInt8]]
        var isException: Bool
    }

    private let patterns: [Pattern]

    var isEmpty: Bool { patterns.isEmpty }

    /// Throws `Failure` for a pattern that can't be.
    init(parsing text: String) throws {
        var patterns: [Pattern] = []
        let content = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
        for raw in content.split(whereSeparator: \.isNewline) {
            if raw.hasPrefix("#") { continue }
            var line = String(raw).trimmed
            if line.isEmpty { continue }
            let isException = line.hasPrefix("!")
            if isException { line = String(line.dropFirst()).trimmed }
            if line.isEmpty { throw Failure("illegal exclusion pattern: \"!\"") }
            let segments = Self.clean(line)
            if segments.isEmpty { continue }
            for segment in segments where !Self.isWellFormed(segment) { throw Failure("syntax error in pattern: \(line)") }
            patterns.append(Pattern(segments: segments, isException: isException))
        }
        self.patterns = patterns
    }

    /// Lexically cleaned, without a leading slash: `/a/./b/../c/` is `a`, `c`.
    private static func clean(_ path: String) -> [[UInt8]] {
        var result: [[UInt8]] = []
        for part in path.utf8.split(separator: UInt8(ascii: "/")) {
            let bytes = Array(part)
            if bytes == Array(".".utf8) { continue }
            if bytes == Array("..".utf8) { if result.isEmpty { continue } else { result.removeLast() } } else { result.append(bytes) }
        }
        return result
    }

    /// Whether a path (relative, `a/b`) is left out: the last pattern that matches it or a directory above it decides.
    func excludes(_ path: String) -> Bool {
        let segments = path.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
        var isExcluded = false
        for pattern in patterns where pattern.isException == isExcluded {
            let isMatch = (1...max(segments.count, 1)).contains { Self.matches(pattern.segments[...], segments.prefix($0)) }
            if isMatch { isExcluded = !pattern.isException }
        }
        return isExcluded
    }

    /// Whether a directory may be left out without a look inside: it is excluded and no exception may name something below it.
    func excludesWhole(_ path: String) -> Bool {
        guard excludes(path) else { return false }
        let segments = path.utf8.split(separator: UInt8(ascii: "/")).map { Array($0) }
        return !patterns.contains { $0.isException && Self.mayMatchBelow($0.segments[...], segments[...]) }
    }

    /// Whether the pattern can match a path that begins with these segments and goes on.
    private static func mayMatchBelow(_ pattern: ArraySlice<[UInt8]>, _ path: ArraySlice<[UInt8]>) -> Bool {
        guard let first = pattern.first else { return false }
        if first == Array("**".utf8) { return true }
        guard let segment = path.first else { return true }
        return match(first[...], segment[...]) && mayMatchBelow(pattern.dropFirst(), path.dropFirst())
    }

    private static func matches(_ pattern: ArraySlice<[UInt8]>, _ path: ArraySlice<[UInt8]>) -> Bool {
        guard let first = pattern.first else { return path.isEmpty }
        if first == Array("**".utf8) {
            // A final ** stands for something; one in the middle for any number of directories, also none.
            if pattern.count == 1 { return !path.isEmpty }
            return (0...path.count).contains { matches(pattern.dropFirst(), path.dropFirst($0)) }
        }
        guard let segment = path.first else { return false }
        return match(first[...], segment[...]) && matches(pattern.dropFirst(), path.dropFirst())
    }

    /// One segment against one pattern: `*` any run, `?` one character, `[...]` a class, `\` takes the next as it is.
    private static func match(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        switch first {
        case UInt8(ascii: "*"):
            let rest = pattern.drop { $0 == UInt8(ascii: "*") }
            return (0...text.count).contains { match(rest, text.dropFirst($0)) }
        case UInt8(ascii: "?"):
            guard let byte = text.first else { return false }
            let width = byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
            return match(pattern.dropFirst(), text.dropFirst(width))
        case UInt8(ascii: "["):
            guard let byte = text.first, let (isIn, rest) = inClass(pattern.dropFirst(), byte), isIn else { return false }
            return match(rest, text.dropFirst())
        case UInt8(ascii: "\\"):
            guard let next = pattern.dropFirst().first, text.first == next else { return false }
            return match(pattern.dropFirst(2), text.dropFirst())
        default: return text.first == first && match(pattern.dropFirst(), text.dropFirst())
        }
    }

    /// `^` negates; `a-z` ranges. Nil for a class that isn't closed.
    private static func inClass(_ pattern: ArraySlice<UInt8>, _ byte: UInt8) -> (Bool, ArraySlice<UInt8>)? {
        var rest = pattern
        let isNegated = rest.first == UInt8(ascii: "^")
        if isNegated { rest = rest.dropFirst() }
        var isIn = false
        var isFirst = true
        while let next = rest.first, isFirst || next != UInt8(ascii: "]") {
            isFirst = false
            rest = rest.dropFirst()
            var low = next
            if low == UInt8(ascii: "\\") {
                guard let escaped = rest.popFirst() else { return nil }
                low = escaped
            }
            var high = low
            if rest.first == UInt8(ascii: "-"), let end = rest.dropFirst().first, end != UInt8(ascii: "]") {
                high = end
                rest = rest.dropFirst(2)
            }
            if low <= byte && byte <= high { isIn = true }
        }
        guard rest.first == UInt8(ascii: "]") else { return nil }
        return (isIn != isNegated, rest.dropFirst())
    }

    private static func isWellFormed(_ segment: [UInt8]) -> Bool {
        var rest = segment[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\") {
                guard rest.popFirst() != nil else { return false }
            } else if byte == UInt8(ascii: "[") {
                guard let (_, after) = inClass(rest, 0) else { return false }
                rest = after
            }
        }
        return true
    }
}
