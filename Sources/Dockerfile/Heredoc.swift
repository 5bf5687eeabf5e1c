extension Heredoc {
    /// Whether an instruction takes heredocs: RUN in shell form, COPY and ADD, and ONBUILD with one of them.
    static func canFollow(_ text: String) -> Bool {
        let (word, rest) = text.firstWordAndRest
        switch word.uppercased() {
        case "ONBUILD": return canFollow(rest)
        case "RUN", "COPY", "ADD":
            let (_, arguments) = FlagScanner.cut(rest, escape: "\\")
            if case .array = StringArray(arguments) { return false }
            return true
        default: return false
        }
    }

    /// The heredocs that a line announces, without their bodies, in order.
    static func headers(in text: String, escape: Unicode.Scalar) -> [Heredoc] {
        var options = WordExpander.Options()
        options.keepsQuotes = true
        options.keepsEscapes = true
        options.keepsVariables = true
        let expander = WordExpander(escape: escape, options: options) { _ in nil }
        // A line whose quotes don't match has no heredocs; the shell will say what it thinks of it.
        guard let words = try? expander.words(text) else { return [] }
        return words.compactMap { Heredoc(word: $0, escape: escape) }
    }

    /// `[n]<<[-]NAME` as one word; nil for everything else (`<<<word` is the shell's).
    init?(word: String, escape: Unicode.Scalar) {
        var rest = word.unicodeScalars[...]
        let digits = rest.prefix { ("0"..."9").contains($0) }
        rest = rest.dropFirst(digits.count)
        guard rest.starts(with: "<<".unicodeScalars) else { return nil }
        rest = rest.dropFirst(2)
        let stripsTabs = rest.first == "-"
        if stripsTabs { rest = rest.dropFirst() }
        guard !rest.isEmpty, !rest.contains("<") else { return nil }
        var options = WordExpander.Options()
        options.keepsVariables = true
        guard let name = try? WordExpander(escape: escape, options: options, lookup: { _ in nil }).word(String(rest)),
            !name.isEmpty, let descriptor = digits.isEmpty ? 0 : Int(String(digits))
        else { return nil }
        self.init(
            name: name, content: "", rawContent: "", expands: !rest.contains("'") && !rest.contains("\"") && !rest.contains(escape),
            stripsTabs: stripsTabs, descriptor: descriptor)
    }
}
