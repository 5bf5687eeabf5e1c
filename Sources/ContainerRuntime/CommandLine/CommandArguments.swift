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
                let isOn = parts.count == 1 ? true : try Self.isTrue(parts[1], name)
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

    /// The words that Go's strconv.ParseBool takes, which runc reads its flags with.
    private static func isTrue(_ word: Substring, _ name: String) throws(RuntimeError) -> Bool {
        switch word {
        case "1", "t", "T", "true", "TRUE", "True": true
        case "0", "f", "F", "false", "FALSE", "False": false
        default: throw RuntimeError(kind: .usage, message: "option --\(name): \"\(word)\" is neither true nor false")
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

    /// For a command that takes nothing but options.
    func expectNothing() throws(RuntimeError) {
        if let extra = positionals.first { throw RuntimeError(kind: .usage, message: "unexpected argument \"\(extra)\"") }
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
