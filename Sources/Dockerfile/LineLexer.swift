/// Cuts a file into logical lines: comments taken out, continued lines joined, heredoc bodies attached.
struct LineLexer {
    /// One instruction's text.
    struct Line {
        var text: String
        var lines: ClosedRange<Int>
        var heredocs: [Heredoc]
    }

    let directives: ParserDirectives
    private(set) var warnings: [ParsedDockerfile.Warning] = []
    /// Physical lines without their line ends.
    private let physical: [String]
    /// Whether each physical line ended in a newline.
    private let endsInNewline: Bool
    private var position = 0
    private let escape: Unicode.Scalar

    init(_ bytes: [UInt8]) throws(DockerfileError) {
        var text = bytes[...]
        if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = text.dropFirst(3) }
        let parts = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        physical = parts.map { part in
            String(decoding: part.last == UInt8(ascii: "\r") ? part.dropLast() : part, as: UTF8.self)
        }
        endsInNewline = text.last == UInt8(ascii: "\n")
        directives = try ParserDirectives(lines: physical)
        escape = directives.escape
    }

    /// The next logical line; nil at the end.
    mutating func next() throws(DockerfileError) -> Line? {
        while position < physical.count {
            let first = physical[position].trimmedStart
            position += 1
            let start = position
            if first.hasPrefix("#") { continue }
            var (text, continues) = cutContinuation(first)
            if !continues && text.isBlank { continue }
            var hasEmptyLine = false
            while continues && position < physical.count {
                let more = physical[position]
                position += 1
                if more.trimmedStart.hasPrefix("#") { continue }
                if more.isBlank {
                    // The empty string after the last newline is no line.
                    if position < physical.count || !endsInNewline { hasEmptyLine = true }
                    continue
                }
                let (part, goesOn) = cutContinuation(more)
                text += part
                continues = goesOn
            }
            if hasEmptyLine {
                warnings.append(.init(line: start, message: "Empty continuation line found in: \(text.trimmed)"))
            }
            if text.isBlank { continue }
            let heredocs = try readHeredocs(of: text, start: start)
            return Line(text: text.trimmed, lines: start...max(start, min(position, lastLine)), heredocs: heredocs)
        }
        return nil
    }

    private var lastLine: Int { endsInNewline ? physical.count - 1 : physical.count }

    /// A line ends in the escape character (white space may follow): the text before it, and that it goes on.
    /// A doubled escape character is one that is meant.
    private func cutContinuation(_ line: String) -> (String, Bool) {
        var scalars = Array(line.unicodeScalars)
        while let last = scalars.last, last == " " || last == "\t" { scalars.removeLast() }
        guard scalars.last == escape else { return (line, false) }
        if scalars.count > 1 && scalars[scalars.count - 2] == escape { return (line, false) }
        scalars.removeLast()
        return (String(scalars), true)
    }

    private mutating func readHeredocs(of text: String, start: Int) throws(DockerfileError) -> [Heredoc] {
        guard text.contains("<<"), Heredoc.canFollow(text) else { return [] }
        var heredocs: [Heredoc] = []
        for var heredoc in Heredoc.headers(in: text, escape: escape) {
            var isTerminated = false
            while position < physical.count {
                let line = physical[position]
                position += 1
                let end = heredoc.stripsTabs ? String(line.drop { $0 == "\t" }) : line
                if end == heredoc.name {
                    isTerminated = true
                    break
                }
                heredoc.rawContent += line + "\n"
                heredoc.content += end + "\n"
            }
            guard isTerminated else { throw DockerfileError("unterminated heredoc", line: start) }
            heredocs.append(heredoc)
        }
        return heredocs
    }
}

extension String {
    init(_ scalars: some Sequence<Unicode.Scalar>) {
        var view = UnicodeScalarView()
        view.append(contentsOf: scalars)
        self.init(view)
    }

    /// Only white space.
    var isBlank: Bool { unicodeScalars.allSatisfy(\.properties.isWhitespace) }

    var trimmedStart: String { String(unicodeScalars.drop(while: \.properties.isWhitespace)) }

    var trimmed: String {
        var scalars = Array(unicodeScalars.drop(while: \.properties.isWhitespace))
        while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
        return String(scalars)
    }

    /// The words between white space.
    var words: [String] { unicodeScalars.split(whereSeparator: \.properties.isWhitespace).map { String($0) } }

    /// The first word and the rest, both trimmed.
    var firstWordAndRest: (String, String) {
        let text = trimmed.unicodeScalars
        let end = text.firstIndex(where: \.properties.isWhitespace) ?? text.endIndex
        return (String(text[..<end]), String(text[end...]).trimmed)
    }
}
