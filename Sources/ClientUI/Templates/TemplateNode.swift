internal import JSON

/// A parsed template.
indirect enum TemplateNode: Sendable {
    case text(String)
    case output(Pipeline)
    case assign(name: String, isNew: Bool, Pipeline)
    case condition(branches: [(condition: Pipeline, body: [TemplateNode])], otherwise: [TemplateNode])
    case range(key: String?, value: String?, Pipeline, body: [TemplateNode], otherwise: [TemplateNode])
    case with(variable: String?, Pipeline, body: [TemplateNode], otherwise: [TemplateNode])
}

/// Commands joined by `|`: each gets the value of the one before as its last argument.
struct Pipeline: Sendable {
    var commands: [[Operand]]
}

/// One word of a command, with the offset at which it stands (for errors).
struct Operand: Sendable {
    indirect enum Kind: Sendable {
        case dot
        case null
        case literal(JSONValue)
        case function(String)
        case variable(String)
        case nested(Pipeline)
    }

    var kind: Kind
    /// `.A.B` behind the word.
    var fields: [String] = []
    var offset: Int

    /// As it stood in the template, for errors.
    var text: String {
        let chain = fields.map { "." + $0 }.joined()
        return switch kind {
        case .dot: chain.isEmpty ? "." : chain
        case .null: "nil"
        case .literal(let value): value.text()
        case .function(let name): name
        case .variable(let name): name + chain
        case .nested: "(…)" + chain
        }
    }
}

/// A template that can't be read or carried out; the text is Go's where users know it.
public struct TemplateError: Error, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }
}
