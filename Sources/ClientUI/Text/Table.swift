/// Columns as Docker prints them: each as wide as its widest cell and three spaces, at least ten; the last one unpadded.
public struct Table {
    private var rows: [[String]] = []
    private let gap: Int
    private let minimumWidth: Int

    /// `minimumWidth` counts the gap; `top` has 20.
    public init(gap: Int = 3, minimumWidth: Int = 10) {
        self.gap = gap
        self.minimumWidth = minimumWidth
    }

    public mutating func add(_ row: [String]) { rows.append(row) }

    /// All lines. A cell is padded only when another follows it in its row, so the last one never is.
    public func text() -> String {
        var widths: [Int] = []
        var lengths: [Int] = []
        for row in rows {
            // As in a tab-terminated table, the last cell of a row makes no column.
            for (column, cell) in row.dropLast().enumerated() {
                let length = DisplayWidth.of(cell)
                lengths.append(length)
                let width = max(length + gap, minimumWidth)
                if column < widths.count { widths[column] = max(widths[column], width) } else { widths.append(width) }
            }
        }
        let spaces = String(repeating: " ", count: widths.max() ?? 0)
        var padded = lengths.makeIterator()
        var result = ""
        for row in rows {
            for (column, cell) in row.enumerated() {
                result += cell
                if column < row.count - 1, let length = padded.next() { result += Substring(spaces.utf8.prefix(widths[column] - length)) }
            }
            result += "\n"
        }
        return result
    }
}
