/// An option of a command: its names, and whether a value follows.
struct OptionRule {
    let names: [String]
    let takesValue: Bool

    static func value(_ names: String...) -> OptionRule { OptionRule(names: names, takesValue: true) }
    static func flag(_ names: String...) -> OptionRule { OptionRule(names: names, takesValue: false) }
}

/// A command's arguments, read as runc reads its own: `--name value`, `--name=value`, `-n value`; `--` ends the options.
struct CommandArguments {
    private var values: [String: [String]] = [:]
    private(set) var positionals: [String] = []

    /// With `stopsAtPositional` everything from the first positional on is positional (`exec ID sh -c …`).
    init(_ arguments: some Collection<String>, _ rules: [OptionRule], stopsAtPositional: Bool = false) throws(RuntimeError) {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                positionals += rest
                return
            }
            if !argument.hasPrefix("-") || argument == "-" {
                positionals.append(argument)
                if stopsAtPositional {
                    positionals += rest
                    return
                }
                continue
            }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0].drop { $0 == "-" })
            guard let rule = rules.first(where: { $0.names.contains(name) }) else {
                throw RuntimeError(kind: .usage, message: "unknown option \(parts[0])")
            }
            let key = rule.names[0]
            if !rule.takesValue {
                let isOn = parts.count == 1 || ["true", "1"].contains(parts[1])
                values[key] = isOn ? ["true"] : nil
            } else if parts.count == 2 {
                values[key, default: []].append(String(parts[1]))
            } else if let value = rest.popFirst() {
                values[key, default: []].append(value)
            } else {
                throw RuntimeError(kind: .usage, message: "option \(argument) needs a value")
            }
        }
    }

    func has(_ name: String) -> Bool { values[name] != nil }
    func value(_ name: String) -> String? { values[name]?.last }
    func all(_ name: String) -> [String] { values[name] ?? [] }

    /// A value that is a whole number.
    func number<T: FixedWidthInteger>(_ name: String) throws(RuntimeError) -> T? {
        guard let text = value(name) else { return nil }
        guard let number = T(text) else {
            throw RuntimeError(kind: .usage, message: "option --\(name): \"\(text)\" is no number it can be")
        }
        return number
    }

    /// The container id, which must be the only positional unless more are allowed.
    func containerID(atMost: Int = 1) throws(RuntimeError) -> String {
        guard let id = positionals.first else { throw RuntimeError(kind: .usage, message: "container id cannot be empty") }
        if positionals.count > atMost {
            throw RuntimeError(kind: .usage, message: "unexpected argument \"\(positionals[atMost])\"")
        }
        try ContainerID.validate(id)
        return id
    }
}
