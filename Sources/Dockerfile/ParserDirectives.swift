/// `# key=value` comments at the very beginning of a file.
public struct ParserDirectives: Sendable, Equatable {
    /// The image of an external parser; known, not used: this parser reads the whole language itself.
    public var syntax: String?
    /// `\` or a backquote.
    public var escape: Unicode.Scalar = "\\"
    /// Options for a linter.
    public var check: String?

    public init() {}

    /// Directives stop at the first line that is anything else: an instruction, a comment, an empty line.
    init(lines: [String]) throws(DockerfileError) {
        var seen: Set<String> = []
        for (index, line) in lines.enumerated() {
            guard let (key, value) = Self.directive(line) else { return }
            guard seen.insert(key).inserted else {
                throw DockerfileError("only one \(key) parser directive can be used", line: index + 1)
            }
            switch key {
            case "syntax": syntax = value
            case "check": check = value
            default:
                guard value == "\\" || value == "`", let scalar = value.unicodeScalars.first else {
                    throw DockerfileError("invalid escape token '\(value)' does not match ` or \\", line: index + 1)
                }
                escape = scalar
            }
        }
    }

    private static func directive(_ line: String) -> (String, String)? {
        let text = line.trimmed
        guard text.hasPrefix("#") else { return nil }
        let parts = text.dropFirst().split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let key = String(parts[0]).trimmed.lowercased()
        let value = String(parts[1]).trimmed
        guard ["syntax", "escape", "check"].contains(key), !value.isEmpty else { return nil }
        return (key, value)
    }
}
