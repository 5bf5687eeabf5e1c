/// Docker's help pages.
public enum HelpPage {
    /// The rows of an options section: names, types, and help wrapped to the terminal's width.
    public static func options(_ flags: [Flag], width: Int = 80) -> String {
        let shown = flags.filter { !$0.isHidden }.sorted { $0.name < $1.name }
        let lefts = shown.map { flag in
            (flag.short.map { "  -\($0), " } ?? "      ") + "--\(flag.name)" + (flag.typeName.isEmpty ? "" : " \(flag.typeName)")
        }
        let column = (lefts.map(\.count).max() ?? 0) + 3
        var text = ""
        for (flag, left) in zip(shown, lefts) {
            let lines = wrap(flag.help + standardText(flag), max(width - column, 24))
            text += left + String(repeating: " ", count: column - left.count)
            text += lines.joined(separator: "\n" + String(repeating: " ", count: column)) + "\n"
        }
        return text
    }

    private static func standardText(_ flag: Flag) -> String {
        guard let standard = flag.standard, standard != "false", !standard.isEmpty else { return "" }
        return flag.kind == .string ? " (default \(quoted(standard)))" : " (default \(standard))"
    }

    /// Two columns: command and what it does.
    public static func commands(_ rows: [(name: String, summary: String)]) -> String {
        let column = max(rows.map { $0.name.count }.max() ?? 0, 11)
        return rows.map { "  \($0.name)\(String(repeating: " ", count: column - $0.name.count)) \($0.summary)\n" }.joined()
    }

    static func wrap(_ text: String, _ width: Int) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { paragraph -> [String] in
            var lines: [String] = []
            var line = ""
            for word in paragraph.split(separator: " ", omittingEmptySubsequences: false) {
                if !line.isEmpty && line.count + 1 + word.count > width {
                    lines.append(line)
                    line = String(word)
                } else {
                    line += line.isEmpty ? String(word) : " \(word)"
                }
            }
            return lines + [line]
        }
    }
}
