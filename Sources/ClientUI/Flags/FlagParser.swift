/// A command line that the flag table refuses: pflag's text.
public struct FlagError: Error, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }
}

/// Reads a command line against a table, as pflag does.
///
/// `--name=value`, `--name value`, `-n value`, `-nvalue`, `-n=value`, clusters of switches (`-it`, `-dp80:80`), `--switch=false`;
/// `--` ends the flags. Without `interspersed` the first word that is no flag ends them too.
public struct FlagParser {
    private let flags: [Flag]
    private let interspersed: Bool
    private var result = FlagValues()
    private var rest: ArraySlice<String>

    /// What a command line said. `wantsHelp` is set by `--help` (and `-h` where the table has no -h).
    public struct Result {
        public var values: FlagValues
        public var arguments: [String]
        public var wantsHelp: Bool
    }

    public static func parse(_ words: some Sequence<String>, flags: [Flag], interspersed: Bool = true) throws(FlagError) -> Result {
        var parser = FlagParser(flags, interspersed, Array(words)[...])
        return try parser.run()
    }

    private init(_ flags: [Flag], _ interspersed: Bool, _ words: ArraySlice<String>) {
        self.flags = flags
        self.interspersed = interspersed
        rest = words
        for flag in flags { if let standard = flag.standard { result.standards[flag.name] = standard } }
    }

    private mutating func run() throws(FlagError) -> Result {
        var arguments: [String] = []
        while let word = rest.popFirst() {
            if word == "--" {
                arguments += rest
                break
            } else if word.hasPrefix("--") {
                if try long(word.dropFirst(2)) { return Result(values: result, arguments: arguments, wantsHelp: true) }
            } else if word.hasPrefix("-") && word != "-" {
                if try cluster(word.dropFirst()) { return Result(values: result, arguments: arguments, wantsHelp: true) }
            } else {
                arguments.append(word)
                if !interspersed {
                    arguments += rest
                    break
                }
            }
        }
        return Result(values: result, arguments: arguments, wantsHelp: false)
    }

    /// True when help was asked for.
    private mutating func long(_ text: Substring) throws(FlagError) -> Bool {
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts.first ?? "")
        guard !name.isEmpty, !name.hasPrefix("-") else { throw FlagError(message: "bad flag syntax: --\(text)") }
        guard let flag = flags.first(where: { $0.name == name }) else {
            if name == "help" { return true }
            throw FlagError(message: "unknown flag: --\(name)")
        }
        if parts.count == 2 {
            try set(flag, String(parts[1]))
        } else if flag.kind == .bool {
            try set(flag, "true")
        } else if let value = rest.popFirst() {
            try set(flag, value)
        } else {
            throw FlagError(message: "flag needs an argument: --\(name)")
        }
        return false
    }

    /// One dash and letters; true when help was asked for.
    private mutating func cluster(_ text: Substring) throws(FlagError) -> Bool {
        var letters = text
        while let letter = letters.first {
            let shown = "\(letter)' in -\(letters)"
            letters = letters.dropFirst()
            guard let flag = flags.first(where: { $0.short == letter }) else {
                if letter == "h" { return true }
                throw FlagError(message: "unknown shorthand flag: '\(shown)")
            }
            if letters.first == "=" {
                try set(flag, String(letters.dropFirst()))
                return false
            }
            if flag.kind == .bool {
                try set(flag, "true")
                continue
            }
            if !letters.isEmpty {
                try set(flag, String(letters))
            } else if let value = rest.popFirst() {
                try set(flag, value)
            } else {
                throw FlagError(message: "flag needs an argument: '\(shown)")
            }
            return false
        }
        return false
    }

    private mutating func set(_ flag: Flag, _ text: String) throws(FlagError) {
        if let objection = flag.objection(to: text) {
            throw FlagError(message: "invalid argument \(quoted(text)) for \(quoted(flag.label)) flag: \(objection)")
        }
        if flag.kind == .commaList {
            let values = text.isEmpty ? [] : (try? CommaSeparated.fields(text)) ?? [text]
            result.values[flag.name, default: []] += values
        } else if flag.takesMany {
            result.values[flag.name, default: []].append(text)
        } else {
            result.values[flag.name] = [text]
        }
    }
}
