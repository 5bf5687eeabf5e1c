// YAML: documents as libyaml reads them, for configuration files and for what vendors write in place of JSON.
internal import CYAML
internal import Glibc
public import JSON

/// A YAML document: values with the lines they stand on, for messages (YAML 1.1, read by libyaml).
public indirect enum YAML: Sendable {
    case scalar(String, isPlain: Bool, line: Int)
    case sequence([YAML], line: Int)
    case mapping([(key: String, line: Int, value: YAML)], line: Int)

    /// Where it begins, from 1.
    public var line: Int {
        switch self {
        case .scalar(_, _, let line), .sequence(_, let line), .mapping(_, let line): line
        }
    }

    /// The first document; nil when there is none. Throws `YAMLError`, which begins with `path` and the line.
    public static func parse(_ bytes: [UInt8], path: String) throws -> YAML? {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { throw YAMLError("\(path): out of memory") }
        defer { yaml_parser_delete(&parser) }
        return try bytes.withUnsafeBufferPointer { buffer in
            yaml_parser_set_input_string(&parser, buffer.baseAddress, buffer.count)
            var document = yaml_document_t()
            guard yaml_parser_load(&parser, &document) == 1 else {
                let problem = parser.problem.map { String(cString: $0) } ?? "no YAML"
                throw YAMLError("\(path):\(parser.problem_mark.line + 1): \(problem)")
            }
            defer { yaml_document_delete(&document) }
            guard let root = yaml_document_get_root_node(&document) else { return nil }
            var reader = Reader(path: path)
            return try reader.read(root, in: &document, depth: 0)
        }
    }

    /// Bounded: an alias may stand inside what it names.
    private struct Reader {
        let path: String
        var nodes = 0

        mutating func read(_ node: UnsafeMutablePointer<yaml_node_t>, in document: inout yaml_document_t, depth: Int) throws -> YAML {
            let line = Int(node.pointee.start_mark.line) + 1
            nodes += 1
            guard depth < 32, nodes < 20_000 else { throw YAMLError("\(path):\(line): nested too deeply or too large") }
            func text(_ node: UnsafeMutablePointer<yaml_node_t>) -> String {
                let scalar = node.pointee.data.scalar
                return String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            }
            switch node.pointee.type {
            case YAML_SCALAR_NODE:
                return .scalar(text(node), isPlain: node.pointee.data.scalar.style == YAML_PLAIN_SCALAR_STYLE, line: line)
            case YAML_SEQUENCE_NODE:
                var items: [YAML] = []
                var item = node.pointee.data.sequence.items.start
                while let current = item, current != node.pointee.data.sequence.items.top {
                    if let child = yaml_document_get_node(&document, current.pointee) {
                        items.append(try read(child, in: &document, depth: depth + 1))
                    }
                    item = current + 1
                }
                return .sequence(items, line: line)
            case YAML_MAPPING_NODE:
                var members: [(String, Int, YAML)] = []
                var pair = node.pointee.data.mapping.pairs.start
                while let current = pair, current != node.pointee.data.mapping.pairs.top {
                    if let key = yaml_document_get_node(&document, current.pointee.key),
                        let value = yaml_document_get_node(&document, current.pointee.value)
                    {
                        let keyLine = Int(key.pointee.start_mark.line) + 1
                        guard key.pointee.type == YAML_SCALAR_NODE else { throw YAMLError("\(path):\(keyLine): key is no text") }
                        members.append((text(key), keyLine, try read(value, in: &document, depth: depth + 1)))
                    }
                    pair = current + 1
                }
                return .mapping(members, line: line)
            default: throw YAMLError("\(path):\(line): no value")
            }
        }
    }
}

extension YAML {
    /// The document as JSON has it: plain scalars are null, true and false, whole numbers or numbers where YAML's core schema (1.2,
    /// chapter 10.3) says so, and strings otherwise.
    public var json: JSONValue {
        switch self {
        case .scalar(let text, let isPlain, _): isPlain ? Self.plain(text) : .string(text)
        case .sequence(let items, _): .array(items.map(\.json))
        case .mapping(let members, _):
            .object(
                members.reduce(into: JSONObject()) { object, member in object.append(member.key, member.value.json) })
        }
    }

    private static func plain(_ text: String) -> JSONValue {
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        let (digits, radix): (Substring, Int) =
            text.hasPrefix("0x") ? (text.dropFirst(2), 16) : text.hasPrefix("0o") ? (text.dropFirst(2), 8) : (text[...], 10)
        if let number = Int64(digits, radix: radix) { return .integer(number) }
        let isNumber = text.utf8.allSatisfy { (48...57).contains($0) || "+-.eE".utf8.contains($0) }
        if isNumber, let number = Double(text), number.isFinite { return .double(number) }
        return .string(text)
    }
}

/// What is wrong with a document: one line with the file and the line in it.
public struct YAMLError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
