/// Cuts `--name=value` words off the front of an instruction's arguments. Quotes and backslashes protect white space.
enum FlagScanner {
    /// The flags as written, quotes resolved, and the arguments after them. `--` by itself ends the flags.
    static func cut(_ text: String, escape: Unicode.Scalar) -> (flags: [String], rest: String) {
        let scalars = Array(text.unicodeScalars)
        var flags: [String] = []
        var position = 0
        while true {
            while position < scalars.count, scalars[position].properties.isWhitespace { position += 1 }
            guard position + 1 < scalars.count, scalars[position] == "-", scalars[position + 1] == "-" else { break }
            var word = String.UnicodeScalarView()
            var quote: Unicode.Scalar?
            while position < scalars.count {
                let scalar = scalars[position]
                if quote == nil && scalar.properties.isWhitespace { break }
                position += 1
                if scalar == quote {
                    quote = nil
                } else if quote == nil && (scalar == "'" || scalar == "\"") {
                    quote = scalar
                } else if scalar == escape && quote != "'" {
                    if position < scalars.count { word.append(scalars[position]) }
                    position += 1
                } else {
                    word.append(scalar)
                }
            }
            if String(word) == "--" { break }
            flags.append(String(word))
        }
        return (flags, String(scalars[min(position, scalars.count)...]).trimmed)
    }
}

/// The flags of one instruction, each to be taken by name; what is left in the end is unknown.
struct Flags {
    private var values: [(name: String, value: String?)]
    private let line: Int

    init(_ words: [String], line: Int) {
        self.line = line
        values = words.map { word in
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (String(parts[0]), parts.count == 2 ? String(parts[1]) : nil)
        }
    }

    mutating func string(_ name: String) throws(DockerfileError) -> String? {
        let found = try strings(name)
        if found.count > 1 { throw DockerfileError("duplicate flag specified: \(name)", line: line) }
        return found.first
    }

    mutating func strings(_ name: String) throws(DockerfileError) -> [String] {
        var found: [String] = []
        for flag in values where flag.name == name {
            guard let value = flag.value else { throw DockerfileError("missing a value on flag: \(name)", line: line) }
            found.append(value)
        }
        values.removeAll { $0.name == name }
        return found
    }

    /// `--name`, `--name=true`, `--name=false`; nil when not given.
    mutating func bool(_ name: String) throws(DockerfileError) -> Bool? {
        let found = values.filter { $0.name == name }
        values.removeAll { $0.name == name }
        guard let flag = found.first else { return nil }
        if found.count > 1 { throw DockerfileError("duplicate flag specified: \(name)", line: line) }
        switch flag.value?.lowercased() {
        case nil, "true": return true
        case "false": return false
        case let value?: throw DockerfileError("expecting boolean value for flag \(name), not: \(value)", line: line)
        }
    }

    /// Throws for a flag that nobody asked about.
    func finish() throws(DockerfileError) {
        if let unknown = values.first { throw DockerfileError("unknown flag: --\(unknown.name)", line: line) }
    }
}
