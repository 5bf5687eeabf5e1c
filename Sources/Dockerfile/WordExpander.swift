/// Substitutes variables and takes quotes and escapes away, as Docker's builders do it for Dockerfile arguments:
/// `$x ${x} ${x:-default} ${x:+other} ${x:?message}` and without the colon, `${x#pattern} ${x##pattern} ${x%pattern} ${x%%pattern}
/// ${x/pattern/replacement} ${x//pattern/replacement}`. Nothing expands in single quotes.
public struct WordExpander {
    public struct Options: Sendable {
        /// Quotes still protect, and stay in the result.
        public var keepsQuotes = false
        /// Quotes are ordinary characters: for the body of a heredoc.
        public var ignoresQuotes = false
        /// Escape characters still protect, and stay in the result.
        public var keepsEscapes = false
        /// A variable that isn't set stays as it is written.
        public var keepsVariables = false

        public init() {}
    }

    let escape: Unicode.Scalar
    let options: Options
    /// A variable's value; nil when it isn't set.
    let lookup: (String) -> String?

    public init(escape: Unicode.Scalar, options: Options = Options(), lookup: @escaping (String) -> String?) {
        self.escape = escape
        self.options = options
        self.lookup = lookup
    }

    /// One word: white space stays.
    public func word(_ text: String) throws(ExpansionError) -> String {
        var scanner = Scanner(text, self)
        do { return try scanner.run(until: nil, keepingEscapes: options.keepsEscapes) } catch { throw error.about(text) }
    }

    /// The words between unprotected white space, that of substituted values included. Empty words vanish.
    public func words(_ text: String) throws(ExpansionError) -> [String] {
        var scanner = Scanner(text, self)
        do { _ = try scanner.run(until: nil, keepingEscapes: options.keepsEscapes) } catch { throw error.about(text) }
        return scanner.words
    }
}

/// A substitution that can't be made.
public struct ExpansionError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    /// The text that was to be expanded.
    public private(set) var text = ""

    init(_ message: String) { self.message = message }

    func about(_ text: String) -> ExpansionError {
        var error = self
        error.text = text
        return error
    }

    public var description: String {
        let quoted = text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
        return "failed to process \"\(quoted)\": \(message)"
    }
}

extension String {
    fileprivate func replacingOccurrences(of part: Character, with replacement: String) -> String {
        String(flatMap { $0 == part ? Array(replacement) : [$0] })
    }
}

/// One walk over a text. Keeps the result as a whole and cut into words.
private struct Scanner {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private let rules: WordExpander
    private(set) var words: [String] = []

    init(_ text: String, _ rules: WordExpander) {
        scalars = Array(text.unicodeScalars)
        self.rules = rules
    }

    private func peek() -> Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func next() -> Unicode.Scalar? {
        guard position < scalars.count else { return nil }
        defer { position += 1 }
        return scalars[position]
    }

    /// Reads to the end, or over `stop` when there is one. What is read as a whole is returned; the outermost call leaves `words`.
    mutating func run(until stop: Unicode.Scalar?, keepingEscapes: Bool) throws(ExpansionError) -> String {
        var result = ""
        var cutter = WordCutter()
        while let scalar = peek() {
            if scalar == stop {
                position += 1
                return result
            }
            if scalar == "'" && !rules.options.ignoresQuotes {
                let text = try singleQuoted()
                result += text
                cutter.add(protected: text)
            } else if scalar == "\"" && !rules.options.ignoresQuotes {
                let text = try doubleQuoted()
                result += text
                cutter.add(protected: text)
            } else if scalar == "$" {
                let text = try dollar()
                result += text
                cutter.add(text)
            } else {
                position += 1
                guard scalar == rules.escape else {
                    result.unicodeScalars.append(scalar)
                    cutter.add(scalar)
                    continue
                }
                var text = ""
                if keepingEscapes { text.unicodeScalars.append(scalar) }
                if let escaped = next() { text.unicodeScalars.append(escaped) }
                result += text
                cutter.add(protected: text)
            }
        }
        if let stop { throw ExpansionError(stop == "}" ? "syntax error: missing '}'" : "syntax error: missing '\(stop)' in substitution") }
        words = cutter.finish()
        return result
    }

    private mutating func singleQuoted() throws(ExpansionError) -> String {
        var result = rules.options.keepsQuotes ? "'" : ""
        position += 1
        while let scalar = next() {
            if scalar == "'" { return rules.options.keepsQuotes ? result + "'" : result }
            result.unicodeScalars.append(scalar)
        }
        throw ExpansionError("unexpected end of statement while looking for matching single-quote")
    }

    private mutating func doubleQuoted() throws(ExpansionError) -> String {
        var result = rules.options.keepsQuotes ? "\"" : ""
        position += 1
        while let scalar = peek() {
            if scalar == "$" {
                result += try dollar()
                continue
            }
            position += 1
            if scalar == "\"" { return rules.options.keepsQuotes ? result + "\"" : result }
            if scalar == rules.escape {
                guard let escaped = next() else { break }
                // Inside double quotes an escape character means something before these three only.
                let isSpecial = escaped == "\"" || escaped == "$" || escaped == rules.escape
                if !isSpecial || rules.options.keepsEscapes { result.unicodeScalars.append(scalar) }
                result.unicodeScalars.append(escaped)
                continue
            }
            result.unicodeScalars.append(scalar)
        }
        throw ExpansionError("unexpected end of statement while looking for matching double-quote")
    }

    private mutating func dollar() throws(ExpansionError) -> String {
        position += 1
        guard peek() == "{" else {
            let name = variableName()
            if name.isEmpty { return "$" }
            return value(name) ?? (rules.options.keepsVariables ? "$\(name)" : "")
        }
        position += 1
        switch peek() {
        case nil: throw ExpansionError("syntax error: missing '}'")
        case "{", "}", ":": throw ExpansionError("syntax error: bad substitution")
        default: break
        }
        let start = position
        let name = variableName()
        guard let operation = next() else { throw ExpansionError("syntax error: missing '}'") }
        if operation == "}" { return value(name) ?? (rules.options.keepsVariables ? "${\(name)}" : "") }
        let result = try modified(name, operation)
        if rules.options.keepsVariables && value(name) == nil { return "${" + String(scalars[start..<position]) }
        return result
    }

    private mutating func modified(_ name: String, _ first: Unicode.Scalar) throws(ExpansionError) -> String {
        var operation = first
        var emptyCountsAsUnset = false
        if first == ":" {
            guard let second = next() else { throw ExpansionError("syntax error: missing '}'") }
            operation = second
            emptyCountsAsUnset = true
        }
        let written = emptyCountsAsUnset ? ":\(operation)" : "\(operation)"
        let current = value(name)
        let isMissing = current == nil || (emptyCountsAsUnset && current == "")
        switch operation {
        case "-":
            let word = try run(until: "}", keepingEscapes: false)
            return isMissing ? word : current ?? ""
        case "+":
            let word = try run(until: "}", keepingEscapes: false)
            return isMissing ? "" : word
        case "?":
            let word = try run(until: "}", keepingEscapes: false)
            guard isMissing, !rules.options.keepsVariables else { return current ?? "" }
            let reason = current == nil ? "is not allowed to be unset" : "is not allowed to be empty"
            throw ExpansionError("\(name): \(word.isEmpty ? reason : word)")
        case "#" where !emptyCountsAsUnset, "%" where !emptyCountsAsUnset:
            let isLongest = peek() == operation
            if isLongest { position += 1 }
            let pattern = ShellPattern(try run(until: "}", keepingEscapes: true), escape: rules.escape)
            let value = current ?? ""
            return operation == "#" ? pattern.cutPrefix(of: value, longest: isLongest) : pattern.cutSuffix(of: value, longest: isLongest)
        case "/" where !emptyCountsAsUnset:
            let isEverywhere = peek() == "/"
            if isEverywhere { position += 1 }
            let pattern = ShellPattern(try run(until: "/", keepingEscapes: true), escape: rules.escape)
            let replacement = try run(until: "}", keepingEscapes: false)
            return pattern.replace(in: current ?? "", with: replacement, everywhere: isEverywhere)
        default: throw ExpansionError("unsupported modifier (\(written)) in substitution")
        }
    }

    private func value(_ name: String) -> String? { rules.lookup(name) }

    /// Letters, digits and `_`; or digits alone; or one of the shell's special characters.
    private mutating func variableName() -> String {
        guard let first = peek() else { return "" }
        if "@*#?-$!".unicodeScalars.contains(first) {
            position += 1
            return String(first)
        }
        let start = position
        if first.isDigit {
            while let scalar = peek(), scalar.isDigit { position += 1 }
        } else {
            while let scalar = peek(), scalar == "_" || scalar.isDigit || scalar.properties.isAlphabetic { position += 1 }
        }
        return String(scalars[start..<position])
    }
}

extension Unicode.Scalar {
    fileprivate var isDigit: Bool { ("0"..."9").contains(self) }
}

/// Cuts at white space that nothing protects.
private struct WordCutter {
    private var words: [String] = []
    private var word = ""

    mutating func add(_ scalar: Unicode.Scalar) {
        guard scalar.properties.isWhitespace else {
            word.unicodeScalars.append(scalar)
            return
        }
        if !word.isEmpty { words.append(word) }
        word = ""
    }

    mutating func add(_ text: String) { for scalar in text.unicodeScalars { add(scalar) } }

    mutating func add(protected text: String) { word += text }

    consuming func finish() -> [String] { word.isEmpty ? words : words + [word] }
}
