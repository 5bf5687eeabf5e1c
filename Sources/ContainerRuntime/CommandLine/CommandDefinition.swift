/// An option of a command: its names, whether a value follows, and what `--help` says of it.
struct OptionRule: Sendable {
    let names: [String]
    let takesValue: Bool
    let help: String
    /// Why the option is refused; nil for one that works.
    var refusal: String?

    static func value(_ names: String..., help: String = "") -> OptionRule { OptionRule(names: names, takesValue: true, help: help) }
    static func flag(_ names: String..., help: String = "") -> OptionRule { OptionRule(names: names, takesValue: false, help: help) }

    /// An option of runc's that Clipper does not have: naming it is an error that says why.
    func refused(_ reason: String) -> OptionRule {
        var copy = self
        copy.refusal = reason
        return copy
    }

    /// As a user writes it: `--bundle value, -b value`.
    var synopsis: String {
        names.map { ($0.utf8.count == 1 ? "-" : "--") + $0 + (takesValue ? " value" : "") }.joined(separator: ", ")
    }
}

/// A command: what `--help` tells of it, the options it takes, and what it does. The help is made from the same rules
/// that the arguments are read with.
struct CommandDefinition: Sendable {
    typealias Body = @Sendable (GlobalOptions, CommandArguments) throws -> Int32

    let name: String
    /// What follows the name: `<container-id> [signal]`.
    let operands: String
    let summary: String
    let options: [OptionRule]
    /// Everything from the first operand on is operands, whatever it looks like (`exec ID ls --help`).
    var stopsAtPositional = false
    let run: Body

    static let helpRule = OptionRule.flag("help", "h", help: "show help")

    /// Reads the command's arguments and runs it; with `--help` tells how it is used.
    func callAsFunction(_ globals: GlobalOptions, _ arguments: some Collection<String>) throws -> Int32 {
        let parsed = try CommandArguments(arguments, options + [Self.helpRule], stopsAtPositional: stopsAtPositional)
        if parsed.has("help") {
            print(help)
            return 0
        }
        for rule in options where parsed.has(rule.names[0]) {
            if let refusal = rule.refusal { throw RuntimeError.notImplemented("\(name) --\(rule.names[0]): \(refusal)") }
        }
        return try run(globals, parsed)
    }

    var help: String {
        """
        NAME:
           clipper-runtime \(name) - \(summary)

        USAGE:
           clipper-runtime \(name)\(options.isEmpty ? "" : " [command options]") \(operands)
        \(options.isEmpty ? "" : "\nOPTIONS:\n\(Self.list(options))\n")
        """
    }

    /// One line for each option, the explanations in a column.
    static func list(_ options: [OptionRule]) -> String {
        let width = options.map(\.synopsis.utf8.count).max() ?? 0
        return options.map { option in
            let synopsis = option.synopsis
            let gap = String(repeating: " ", count: width - synopsis.utf8.count + 2)
            return "   \(synopsis)\(gap)\(option.help)\(option.refusal.map { " (refused: \($0))" } ?? "")"
        }.joined(separator: "\n")
    }
}
