internal import EngineTypes

/// The labels and environment variables that the options `labels`, `labels-regex`, `env` and `env-regex` choose.
enum LogAttributes {
    /// The patterns can be read.
    static func check(_ options: [String: String]) throws(EngineError) {
        for name in ["labels-regex", "env-regex"] { _ = try pattern(options[name], name) }
    }

    private static func pattern(_ text: String?, _ name: String) throws(EngineError) -> Regex<AnyRegexOutput>? {
        guard let text, !text.isEmpty else { return nil }
        do { return try Regex(text) } catch { throw .invalid("\(name): cannot read the pattern \(text)", cause: error) }
    }

    static func chosen(_ options: [String: String], labels: [String: String], environment: [String]) throws(EngineError) -> [String: String]
    {
        var variables: [String: String] = [:]
        for entry in environment {
            let pair = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if pair.count == 2 { variables[String(pair[0])] = String(pair[1]) }
        }
        var result: [String: String] = [:]
        for (all, option) in [(labels, "labels"), (variables, "env")] {
            for name in (options[option] ?? "").split(separator: ",") { result[String(name)] = all[String(name)] }
            guard let pattern = try pattern(options["\(option)-regex"], "\(option)-regex") else { continue }
            for (name, value) in all where name.contains(pattern) { result[name] = value }
        }
        return result
    }

    /// Escaped as in a query (Go's url.QueryEscape), which is how `details` shows names and values.
    static func escaped(_ text: String) -> String {
        var result: [UInt8] = []
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: result.append(byte)
            case 0x20: result.append(0x2B)
            default: result += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// A tag's template: text with `{{.ID}}`, `{{.FullID}}`, `{{.Name}}`, `{{.ImageID}}`, `{{.ImageFullID}}`, `{{.ImageName}}`,
/// `{{.DaemonName}}`, `{{.Command}}`. What else Go's templates know is refused.
struct LogTag {
    private enum Part {
        case text(String)
        case field(String)
    }

    private static let fields: Set<String> = [
        "ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName", "Command",
    ]
    private var parts: [Part] = []

    init(_ template: String) throws(EngineError) {
        var rest = template[...]
        while let begin = rest.firstRange(of: "{{") {
            parts.append(.text(String(rest[..<begin.lowerBound])))
            rest = rest[begin.upperBound...]
            guard let end = rest.firstRange(of: "}}") else { throw .invalid("template: log-tag: unclosed action") }
            let name = String(rest[..<end.lowerBound].filter { $0 != " " })
            guard name.hasPrefix("."), Self.fields.contains(String(name.dropFirst())) else {
                throw .notImplemented("log option tag with {{\(rest[..<end.lowerBound])}}")
            }
            parts.append(.field(String(name.dropFirst())))
            rest = rest[end.upperBound...]
        }
        parts.append(.text(String(rest)))
    }

    func text(_ record: ContainerRecord) -> String {
        parts.map { part in
            switch part {
            case .text(let text): text
            case .field(let name): Self.value(name, record)
            }
        }.joined()
    }

    private static func value(_ name: String, _ record: ContainerRecord) -> String {
        switch name {
        case "ID": String(record.id.prefix(12))
        case "FullID": record.id
        case "Name": record.name
        case "ImageID": String(record.imageID.split(separator: ":").last?.prefix(12) ?? "")
        case "ImageFullID": record.imageID
        case "ImageName": record.imageName
        case "DaemonName": "docker"
        default: ([record.path] + record.arguments).joined(separator: " ")
        }
    }
}
