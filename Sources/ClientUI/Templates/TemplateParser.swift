internal import JSON

/// Builds the tree of a template from the lexer's pieces.
struct TemplateParser {
    private typealias Token = TemplateLexer.Token
    private var pieces: ArraySlice<TemplateLexer.Piece>

    static func parse(_ source: String) throws(TemplateError) -> [TemplateNode] {
        var parser = TemplateParser(pieces: try TemplateLexer.pieces(of: source)[...])
        let (nodes, end) = try parser.list(isNested: false)
        if let end { throw parser.error("unexpected {{\(end.keyword)}}") }
        return nodes
    }

    /// What ended a list: `end`, or `else` with the words behind it.
    private struct End {
        var keyword: String
        var rest: [TemplateLexer.Token]
    }

    private func error(_ message: String) -> TemplateError { TemplateError(message: "template: :1: \(message)") }

    private mutating func list(isNested: Bool) throws(TemplateError) -> ([TemplateNode], End?) {
        var nodes: [TemplateNode] = []
        while let piece = pieces.popFirst() {
            switch piece {
            case .text(let text): nodes.append(.text(text))
            case .action(let tokens):
                guard let first = tokens.first else { throw error("missing value for command") }
                if case .word(let keyword) = first.kind, ["end", "else"].contains(keyword) {
                    return (nodes, End(keyword: keyword, rest: Array(tokens.dropFirst())))
                }
                nodes.append(try action(tokens))
            }
        }
        if isNested { throw error("unexpected EOF") }
        return (nodes, nil)
    }

    private mutating func action(_ tokens: [TemplateLexer.Token]) throws(TemplateError) -> TemplateNode {
        if case .word(let keyword)? = tokens.first?.kind {
            let rest = Array(tokens.dropFirst())
            switch keyword {
            case "if": return try condition(rest)
            case "range": return try range(rest)
            case "with": return try with(rest)
            case "define", "template", "block", "break", "continue": throw error("not implemented: {{\(keyword)}}")
            default: break
            }
        }
        let (names, isNew, rest) = try declaration(tokens)
        guard let name = names.first else { return .output(try pipeline(rest)) }
        guard names.count == 1 else { throw error("too many declarations in command") }
        return .assign(name: name, isNew: isNew, try pipeline(rest))
    }

    private mutating func condition(_ tokens: [TemplateLexer.Token]) throws(TemplateError) -> TemplateNode {
        var branches: [(condition: Pipeline, body: [TemplateNode])] = []
        var condition = try pipeline(tokens)
        while true {
            let (body, end) = try list(isNested: true)
            branches.append((condition: condition, body: body))
            guard let end, end.keyword == "else" else { return .condition(branches: branches, otherwise: []) }
            if case .word("if")? = end.rest.first?.kind {
                condition = try pipeline(Array(end.rest.dropFirst()))
                continue
            }
            return .condition(branches: branches, otherwise: try closing(end))
        }
    }

    /// The list behind a bare `else`, up to its `end`.
    private mutating func closing(_ end: End?) throws(TemplateError) -> [TemplateNode] {
        guard let end, end.keyword == "else" else { return [] }
        guard end.rest.isEmpty else { throw error("unexpected words behind {{else}}") }
        let (otherwise, last) = try list(isNested: true)
        guard last?.keyword == "end" else { throw error("expected end; found {{else}}") }
        return otherwise
    }

    private mutating func range(_ tokens: [TemplateLexer.Token]) throws(TemplateError) -> TemplateNode {
        let (names, _, rest) = try declaration(tokens)
        let source = try pipeline(rest)
        let (body, end) = try list(isNested: true)
        let otherwise = try closing(end)
        return .range(key: names.count == 2 ? names[0] : nil, value: names.last, source, body: body, otherwise: otherwise)
    }

    private mutating func with(_ tokens: [TemplateLexer.Token]) throws(TemplateError) -> TemplateNode {
        let (names, _, rest) = try declaration(tokens)
        let source = try pipeline(rest)
        let (body, end) = try list(isNested: true)
        return .with(variable: names.first, source, body: body, otherwise: try closing(end))
    }

    /// `$a :=`, `$a, $b :=`, `$a =` in front of a pipeline.
    private func declaration(_ tokens: [TemplateLexer.Token]) throws(TemplateError) -> (
        names: [String], isNew: Bool, rest: [TemplateLexer.Token]
    ) {
        guard let sign = tokens.firstIndex(where: { $0.kind == .declare || $0.kind == .assign }) else { return ([], false, tokens) }
        var names: [String] = []
        for token in tokens[..<sign] {
            switch token.kind {
            case .variable(let name): names.append(name)
            case .comma: continue
            default: throw error("unexpected word before \(tokens[sign].kind == .declare ? ":=" : "=")")
            }
        }
        guard (1...2).contains(names.count) else { throw error("too many declarations") }
        return (names, tokens[sign].kind == .declare, Array(tokens[(sign + 1)...]))
    }

    private func pipeline(_ tokens: [TemplateLexer.Token]) throws(TemplateError) -> Pipeline {
        var rest = tokens[...]
        let result = try pipeline(&rest, isNested: false)
        guard rest.isEmpty else { throw error("unexpected right paren") }
        return result
    }

    private func pipeline(_ rest: inout ArraySlice<TemplateLexer.Token>, isNested: Bool) throws(TemplateError) -> Pipeline {
        var commands: [[Operand]] = []
        var command: [Operand] = []
        loop: while let token = rest.first {
            switch token.kind {
            case .close:
                guard isNested else { throw error("unexpected right paren") }
                break loop
            case .pipe:
                guard !command.isEmpty else { throw error("missing value for command") }
                commands.append(command)
                command = []
                rest.removeFirst()
            default: command.append(try operand(&rest))
            }
        }
        guard !command.isEmpty else { throw error("missing value for command") }
        return Pipeline(commands: commands + [command])
    }

    private func operand(_ rest: inout ArraySlice<TemplateLexer.Token>) throws(TemplateError) -> Operand {
        let token = rest.removeFirst()
        var operand: Operand
        switch token.kind {
        case .field(let name, _): operand = Operand(kind: .dot, fields: name.isEmpty ? [] : [name], offset: token.offset)
        case .variable(let name): operand = Operand(kind: .variable(name), offset: token.offset)
        case .literal(let value): operand = Operand(kind: .literal(value), offset: token.offset)
        case .word("nil"): operand = Operand(kind: .null, offset: token.offset)
        case .word(let name):
            guard TemplateFunctions.names.contains(name) else { throw error("function \(quoted(name)) not defined") }
            operand = Operand(kind: .function(name), offset: token.offset)
        case .open:
            let inner = try pipeline(&rest, isNested: true)
            guard rest.popFirst()?.kind == .close else { throw error("unclosed left paren") }
            operand = Operand(kind: .nested(inner), offset: token.offset)
        default: throw error("unexpected operator in operand")
        }
        while case .field(let name, true)? = rest.first?.kind {
            guard !name.isEmpty else { throw error("unexpected . after term") }
            operand.fields.append(name)
            rest.removeFirst()
        }
        return operand
    }
}
