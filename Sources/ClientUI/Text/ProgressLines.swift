/// Lines with an ID that are redrawn in place on a terminal, and printed one after another elsewhere.
public final class ProgressLines {
    private let output: Output
    private let isTerminal: Bool
    /// IDs of the lines drawn since the last text, topmost first.
    private var ids: [String] = []

    public init(_ output: Output, isTerminal: Bool) {
        self.output = output
        self.isTerminal = isTerminal
    }

    /// Running text; lines above it stay as they are.
    public func text(_ text: String) {
        ids = []
        output.write(text)
    }

    /// `id: text`; without an ID a line of its own.
    public func status(id: String?, _ text: String) {
        guard let id, !id.isEmpty else {
            ids = []
            output.line(text)
            return
        }
        guard isTerminal else {
            output.line("\(id): \(text)")
            return
        }
        if let index = ids.firstIndex(of: id) {
            let up = ids.count - index
            output.write("\u{1B}[\(up)A\u{1B}[2K\r\(id): \(text)\r\u{1B}[\(up)B")
        } else {
            ids.append(id)
            output.write("\u{1B}[2K\r\(id): \(text)\n")
        }
        output.flush()
    }
}
