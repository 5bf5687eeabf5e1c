/// The rules of .dockerignore and of `--exclude`: one pattern a line, `**` for any number of directories, `!` takes back;
/// the last rule that matches a path, or a directory above it, decides.
struct IgnorePatterns {
    private struct Rule {
        /// Nil stands for `**`.
        var components: [PathPattern?]
        var isException: Bool
    }
    private let rules: [Rule]

    /// The lines of a .dockerignore. Malformed patterns match nothing.
    init(file: String) {
        self.init(
            file.split(whereSeparator: \.isNewline).map(String.init).filter { !$0.hasPrefix("#") })
    }

    init(_ patterns: [String]) {
        rules = patterns.compactMap { line in
            var text = line.filter { $0 != "\u{FEFF}" }
            while let first = text.first, first.isWhitespace { text.removeFirst() }
            while let last = text.last, last.isWhitespace { text.removeLast() }
            let isException = text.hasPrefix("!")
            if isException { text.removeFirst() }
            let parts = RelativePath.clean(text)
            guard !parts.isEmpty, parts != [".."] else { return nil }
            var components: [PathPattern?] = []
            for part in parts {
                if part == "**" {
                    components.append(nil)
                } else {
                    guard let pattern = PathPattern(part) else { return nil }
                    components.append(pattern)
                }
            }
            return Rule(components: components, isException: isException)
        }
    }

    var isEmpty: Bool { rules.isEmpty }

    /// Whether a relative path is left out.
    func excludes(_ path: String) -> Bool {
        let parts = path.split(separator: "/").map(String.init)
        var isExcluded = false
        for rule in rules where isExcluded == rule.isException {
            // A rule for a directory holds for everything in it.
            for count in 1...max(1, parts.count) where Self.matches(rule.components[...], parts.prefix(count)[...]) {
                isExcluded = !rule.isException
                break
            }
        }
        return isExcluded
    }

    private static func matches(_ pattern: ArraySlice<PathPattern?>, _ parts: ArraySlice<String>) -> Bool {
        guard let first = pattern.first else { return parts.isEmpty }
        guard let component = first else {
            // `**` at the end means "everything below", so at least one component.
            if pattern.count == 1 { return !parts.isEmpty }
            return (0...parts.count).contains { matches(pattern.dropFirst(), parts.dropFirst($0)) }
        }
        guard let name = parts.first, component.matches(name) else { return false }
        return matches(pattern.dropFirst(), parts.dropFirst())
    }
}

/// Paths as text, without touching a file system.
enum RelativePath {
    /// The components of a path: `.` and empty ones dropped, `..` resolved as far as there is something above. `..` that
    /// lead out of a relative path stay at the beginning; those of an absolute path vanish.
    static func clean(_ path: String) -> [String] {
        var parts: [String] = []
        for part in path.split(separator: "/") where part != "." {
            if part == ".." {
                if let last = parts.last, last != ".." {
                    parts.removeLast()
                } else if !path.hasPrefix("/") {
                    parts.append("..")
                }
            } else {
                parts.append(String(part))
            }
        }
        return parts
    }

    /// An absolute, clean path, taken from `base` when it is relative.
    static func absolute(_ path: String, from base: String) -> String {
        let full = path.hasPrefix("/") ? path : base + "/" + path
        return "/" + clean("/" + full).joined(separator: "/")
    }
}
