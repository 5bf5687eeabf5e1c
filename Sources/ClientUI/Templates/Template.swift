public import JSON

/// The part of Go's text/template that users of `--format` write, over JSON documents.
///
/// Fields, variables, `index`, pipelines, `if`/`else if`/`with`/`range`, comments, trim markers, Go's functions and Docker's
/// (`json`, `join`, `lower`, `upper`, `title`, `split`, `pad`, `truncate`). Templates that call each other are refused.
public struct Template: Sendable {
    private let nodes: [TemplateNode]

    /// Methods of the topmost value, for `{{.Label "x"}}`: name and arguments to value; nil when there is no such method.
    public typealias Methods = (String, [JSONValue]) -> JSONValue?

    /// Throws `TemplateError`.
    public init(_ source: String) throws(TemplateError) { nodes = try TemplateParser.parse(source) }

    /// Carries it out. A field that isn't there is false to `if` and `with`, and an error to whoever prints it, or, with
    /// `showsMissing`, `<no value>`, as Go prints what a map doesn't have. `names` are fields that Go's structures call otherwise
    /// than JSON does: the template's name to the document's.
    public func render(
        _ value: JSONValue, methods: Methods? = nil, names: [String: String] = [:], showsMissing: Bool = false
    ) throws(TemplateError) -> String {
        var evaluator = TemplateEvaluator(root: value, methods: methods, names: names, showsMissing: showsMissing)
        try evaluator.run(nodes, dot: value)
        return evaluator.output
    }
}

/// A value, or the reason why there is none.
enum TemplateResult {
    case value(JSONValue)
    case missing(TemplateError)

    func get() throws(TemplateError) -> JSONValue {
        switch self {
        case .value(let value): return value
        case .missing(let error): throw error
        }
    }

    var isTrue: Bool { if case .value(let value) = self { TemplateFunctions.isTrue(value) } else { false } }
}

struct TemplateEvaluator {
    let root: JSONValue
    let methods: Template.Methods?
    let names: [String: String]
    let showsMissing: Bool
    var output = ""
    private var variables: [(name: String, value: JSONValue)]

    init(root: JSONValue, methods: Template.Methods?, names: [String: String] = [:], showsMissing: Bool = false) {
        self.root = root
        self.methods = methods
        self.names = names
        self.showsMissing = showsMissing
        variables = [("$", root)]
    }

    mutating func run(_ nodes: [TemplateNode], dot: JSONValue) throws(TemplateError) {
        let depth = variables.count
        for node in nodes { try run(node, dot) }
        variables.removeLast(variables.count - depth)
    }

    private mutating func run(_ node: TemplateNode, _ dot: JSONValue) throws(TemplateError) {
        switch node {
        case .text(let text): output += text
        case .output(let pipeline): output += TemplateFunctions.text(try evaluate(pipeline, dot).get())
        case .assign(let name, let isNew, let pipeline): try assign(name, isNew, try evaluate(pipeline, dot).get())
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.condition, dot).isTrue { return try run(branch.body, dot: dot) }
            try run(otherwise, dot: dot)
        case .with(let variable, let pipeline, let body, let otherwise):
            guard case .value(let value) = try evaluate(pipeline, dot), TemplateFunctions.isTrue(value) else {
                return try run(otherwise, dot: dot)
            }
            if let variable { variables.append((variable, value)) }
            try run(body, dot: value)
            if variable != nil { variables.removeLast() }
        case .range(let key, let name, let pipeline, let body, let otherwise):
            let items = try self.items(of: try evaluate(pipeline, dot).get())
            if items.isEmpty { return try run(otherwise, dot: dot) }
            for item in items {
                let depth = variables.count
                if let key { variables.append((key, item.key)) }
                if let name { variables.append((name, item.value)) }
                try run(body, dot: item.value)
                variables.removeLast(variables.count - depth)
            }
        }
    }

    private func items(of value: JSONValue) throws(TemplateError) -> [(key: JSONValue, value: JSONValue)] {
        switch value {
        case .array(let elements): elements.enumerated().map { (key: .integer(Int64($0.offset)), value: $0.element) }
        case .object(let object): object.members.sorted { $0.name < $1.name }.map { (key: .string($0.name), value: $0.value) }
        case .null: []
        default: throw TemplateError(message: "range can't iterate over \(TemplateFunctions.text(value))")
        }
    }

    private mutating func assign(_ name: String, _ isNew: Bool, _ value: JSONValue) throws(TemplateError) {
        if isNew { return variables.append((name, value)) }
        guard let index = variables.lastIndex(where: { $0.name == name }) else {
            throw TemplateError(message: "undefined variable: \(name)")
        }
        variables[index].value = value
    }

    func evaluate(_ pipeline: Pipeline, _ dot: JSONValue) throws(TemplateError) -> TemplateResult {
        var result: TemplateResult?
        for command in pipeline.commands { result = try evaluate(command, dot, piped: result) }
        return result ?? .value(.null)
    }

    private func evaluate(_ command: [Operand], _ dot: JSONValue, piped: TemplateResult?) throws(TemplateError) -> TemplateResult {
        guard let first = command.first else { return .value(.null) }
        let words = command.dropFirst()
        if case .function(let name) = first.kind {
            if name == "and" || name == "or" { return try shortCircuit(name, words, dot, piped) }
            if name == "not", words.isEmpty ? piped != nil : words.count == 1 {
                return .value(
                    .bool(
                        !(try words.first.map { (word) throws(TemplateError) in try operand(word, dot) } ?? piped ?? .value(.null)).isTrue))
            }
            return .value(try TemplateFunctions.call(name, try arguments(words, dot, piped)))
        }
        if words.isEmpty && piped == nil { return try operand(first, dot) }
        guard case .dot = first.kind, let name = first.fields.last, first.fields.count == 1, let methods,
            let value = methods(name, try arguments(words, dot, piped))
        else { throw failure(first, "can't give argument to non-function \(first.text)") }
        return .value(value)
    }

    private func arguments(_ words: ArraySlice<Operand>, _ dot: JSONValue, _ piped: TemplateResult?) throws(TemplateError) -> [JSONValue] {
        var values: [JSONValue] = []
        for word in words { values.append(try operand(word, dot).get()) }
        if let piped { values.append(try piped.get()) }
        return values
    }

    private func shortCircuit(_ name: String, _ words: ArraySlice<Operand>, _ dot: JSONValue, _ piped: TemplateResult?)
        throws(TemplateError) -> TemplateResult
    {
        var last: TemplateResult = .value(.null)
        for word in words {
            last = try operand(word, dot)
            if last.isTrue == (name == "or") { return last }
        }
        return piped ?? last
    }

    private func operand(_ operand: Operand, _ dot: JSONValue) throws(TemplateError) -> TemplateResult {
        var value: JSONValue
        switch operand.kind {
        case .dot: value = dot
        case .null: throw failure(operand, "nil is not a command")
        case .literal(let literal): value = literal
        case .function(let name): value = try TemplateFunctions.call(name, [])
        case .variable(let name):
            guard let found = variables.last(where: { $0.name == name }) else {
                throw TemplateError(message: "undefined variable: \(name)")
            }
            value = found.value
        case .nested(let pipeline):
            switch try evaluate(pipeline, dot) {
            case .value(let inner): value = inner
            case let missing: return missing
            }
        }
        for name in operand.fields {
            switch value {
            case .object(let object):
                if let member = object[name] ?? names[name].flatMap({ object[$0] }) {
                    value = member
                } else if let method = methods?(name, []) {
                    value = method
                } else if showsMissing {
                    value = .null
                } else {
                    return .missing(failure(operand, "map has no entry for key \(quoted(name))"))
                }
            case .null: return .missing(failure(operand, "nil data; no entry for key \(quoted(name))"))
            default: return .missing(failure(operand, "can't evaluate field \(name) in type \(TemplateFormat.kind(value))"))
            }
        }
        return .value(value)
    }

    private func failure(_ operand: Operand, _ what: String) -> TemplateError {
        // As Go: of a chain the second field's place.
        var offset = operand.offset
        if case .dot = operand.kind, operand.fields.count > 1 { offset += operand.fields[0].utf8.count + 1 }
        return TemplateError(message: "template: :1:\(offset): executing \"\" at <\(operand.text)>: \(what)")
    }
}
