internal import ClientUI
internal import JSON

/// What a list prints a line of. Of hundreds of rows only the texts that are shown are worked out.
protocol ListRow {
    /// The fields it has, sorted.
    var fields: [String] { get }

    /// Empty for a field it doesn't have.
    func text(of field: String) -> String
}

extension [String: String]: ListRow {
    var fields: [String] { keys.sorted() }

    func text(of field: String) -> String { self[field] ?? "" }
}

/// How every list command prints: Docker's table, a Go template (`table` in front for a header), JSON, or IDs alone.
struct ListFormat {
    /// Fields of the standard table in their order.
    let columns: [String]
    /// Heading of each field a template may name.
    let headers: [String: String]
    /// What `-q` prints.
    let quietField: String
    /// Methods of a row (`{{.Label "x"}}`): the row's index, name, arguments.
    var methods: ((Int, String, [JSONValue]) -> JSONValue?)?
    /// Fields that are true or false in JSON.
    var truthValues: Set<String> = []

    /// What Go prints of a field that points to nothing; null in JSON.
    static let nothing = "<nil>"

    /// Whether this format shows the standard columns and nothing else.
    static func isStandard(_ format: String) -> Bool { format.isEmpty || format == "table" }

    func print(_ rows: [some ListRow], format: String, quiet: Bool, to out: Output) throws {
        if quiet && Self.isStandard(format) {
            for row in rows { out.line(row.text(of: quietField)) }
        } else if Self.isStandard(format) {
            let header = columns.map { headers[$0] ?? $0.uppercased() }
            write([header] + rows.map { columns.map($0.text) }, to: out)
        } else {
            try printTemplate(rows, format, to: out)
        }
    }

    private func printTemplate(_ rows: [some ListRow], _ format: String, to out: Output) throws {
        if format == "json" || format == "{{json .}}" {
            for row in rows { out.line(GoJSON.htmlSafe(json(row).text())) }
            return
        }
        var source = Self.unescaped(format)
        let isTable = source.hasPrefix("table")
        if isTable { source = String(source.dropFirst(5).drop { $0 == " " }) }
        let template = try Template(source)
        var lines: [String] = []
        if isTable { lines.append(try template.render(Self.document(headers), methods: Self.labelHeader)) }
        for (index, row) in rows.enumerated() {
            lines.append(try template.render(Self.document(row)) { name, arguments in methods?(index, name, arguments) })
        }
        guard isTable else {
            for line in lines { out.line(line) }
            return
        }
        write(lines.map { [$0] }, to: out)
    }

    /// As Docker's table, a tab in a cell divides it.
    private func write(_ rows: [[String]], to out: Output) {
        var table = Table()
        for row in rows {
            guard row.contains(where: { $0.utf8.contains(UInt8(ascii: "\t")) }) else { table.add(row); continue }
            table.add(row.flatMap { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) })
        }
        out.write(table.text())
    }

    /// The heading of `{{.Label "com.example.some-name"}}` is `some name`.
    private static func labelHeader(_ name: String, _ arguments: [JSONValue]) -> JSONValue? {
        guard name == "Label", let key = arguments.first?.stringValue else { return nil }
        let last = key.split(separator: ".").last.map(String.init) ?? key
        return .string(String(last.map { $0 == "-" || $0 == "_" ? " " : $0 }))
    }

    private func json(_ row: some ListRow) -> JSONValue {
        var object = Self.document(row).objectValue ?? JSONObject()
        for member in object.members where member.value == .string(Self.nothing) { object[member.name] = .some(.null) }
        for name in truthValues { object[name] = .some(.bool(row.text(of: name) == "true")) }
        return .object(object)
    }

    static func document(_ row: some ListRow) -> JSONValue {
        .object(JSONObject(row.fields.map { JSONObject.Member(name: $0, value: .string(row.text(of: $0))) }))
    }

    /// `\t` and `\n` of a shell word as tab and newline.
    static func unescaped(_ text: String) -> String {
        var result = ""
        var rest = Substring(text)
        while let character = rest.popFirst() {
            if character == "\\", let next = rest.first, next == "t" || next == "n" {
                result += next == "t" ? "\t" : "\n"
                rest.removeFirst()
            } else {
                result.append(character)
            }
        }
        return result
    }
}

/// The flags that list commands share.
enum ListFlags {
    static let format = Flag(
        "format", .string,
        "Format output using a custom template:\n'table': table with column headers (default)\n'table TEMPLATE': table using the given Go template\n'json': JSON\n'TEMPLATE': the given Go template"
    )

    static let noTrunc = Flag("no-trunc", .bool, "Don't truncate output")

    static func filter(_ help: String = "Filter output based on conditions provided") -> Flag {
        Flag("filter", "f", .list, help, valueName: "filter")
    }

    static func quiet(_ help: String) -> Flag { Flag("quiet", "q", .bool, help) }
}

/// Cells that several lists share.
enum Cell {
    /// The twelve first digits of an ID; `--no-trunc` keeps all.
    static func id(_ id: String, truncated: Bool = true) -> String {
        guard truncated else { return id }
        let digits = id.hasPrefix("sha256:") ? id.utf8.dropFirst(7) : id.utf8[...]
        return String(decoding: digits.prefix(12), as: UTF8.self)
    }
}
