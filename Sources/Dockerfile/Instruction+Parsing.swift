extension Instruction {
    /// Reads one instruction that stands by itself: an ONBUILD trigger, or `docker commit --change`. Heredocs can't follow it.
    public init(parsing text: String, escape: Unicode.Scalar = "\\") throws(DockerfileError) {
        try self.init(LineLexer.Line(text: text.trimmed, lines: 1...1, heredocs: []), escape: escape)
    }

    init(_ line: LineLexer.Line, escape: Unicode.Scalar) throws(DockerfileError) {
        var parser = InstructionParser(line: line, escape: escape)
        kind = try parser.parse()
        original = line.text
        lines = line.lines
    }
}

/// Reads the arguments of one instruction.
private struct InstructionParser {
    private let line: LineLexer.Line
    private let escape: Unicode.Scalar
    private let keyword: String
    private let arguments: String
    private var flags: Flags

    init(line: LineLexer.Line, escape: Unicode.Scalar) {
        self.line = line
        self.escape = escape
        let (word, rest) = line.text.firstWordAndRest
        keyword = word.uppercased()
        let (flags, arguments) = FlagScanner.cut(rest, escape: escape)
        self.flags = Flags(flags, line: line.lines.lowerBound)
        self.arguments = arguments
    }

    private func failure(_ message: String) -> DockerfileError { DockerfileError(message, line: line.lines.lowerBound) }

    mutating func parse() throws(DockerfileError) -> Instruction.Kind {
        let kind = try parseKind()
        try flags.finish()
        return kind
    }

    private mutating func parseKind() throws(DockerfileError) -> Instruction.Kind {
        switch keyword {
        case "FROM": return .from(try from())
        case "ARG": return .arg(try declarations())
        case "ENV": return .env(try pairs())
        case "LABEL": return .label(try pairs())
        case "RUN": return .run(try run())
        case "CMD": return .cmd(try commandLine(arguments))
        case "ENTRYPOINT": return .entrypoint(try commandLine(arguments))
        case "EXPOSE": return .expose(try atLeastOne(arguments.words).sorted())
        case "VOLUME": return .volume(try volumes())
        case "USER": return .user(try exactlyOne())
        case "WORKDIR": return .workdir(try exactlyOne())
        case "STOPSIGNAL": return .stopsignal(try exactlyOne())
        case "MAINTAINER": return .maintainer(try exactlyOne())
        case "COPY": return .copy(try copy())
        case "ADD": return .add(try add())
        case "HEALTHCHECK": return .healthcheck(try healthcheck())
        case "ONBUILD": return .onbuild(try onbuild())
        case "SHELL": return .shell(try shell())
        default: throw failure("unknown instruction: \(keyword)")
        }
    }

    // MARK: Shapes of arguments

    private func atLeastOne(_ words: [String]) throws(DockerfileError) -> [String] {
        if words.isEmpty { throw failure("\(keyword) requires at least one argument") }
        return words
    }

    private func exactlyOne() throws(DockerfileError) -> String {
        if arguments.isEmpty { throw failure("\(keyword) requires exactly one argument") }
        return arguments
    }

    /// A JSON array of strings; nil when the text is something else.
    private func stringArray(_ text: String) throws(DockerfileError) -> [String]? {
        switch StringArray(text) {
        case .array(let strings): return strings
        case .otherElements: throw failure("when using JSON array syntax, arrays must be comprised of strings only")
        case .notAnArray: return nil
        }
    }

    private func commandLine(_ text: String) throws(DockerfileError) -> CommandLine {
        if let array = try stringArray(text) { return .exec(array) }
        return .shell(text)
    }

    /// `NAME=value …`, or `NAME value` with the rest of the line as the value.
    private func pairs() throws(DockerfileError) -> [KeyValue] {
        let words = try atLeastOne(QuotedWords.split(arguments, escape: escape))
        if let first = words.first, !first.contains("=") {
            let (key, value) = arguments.firstWordAndRest
            if value.isEmpty { throw failure("\(keyword) must have two arguments") }
            return [KeyValue(key: key, value: value)]
        }
        var pairs: [KeyValue] = []
        for word in words {
            guard let equals = word.firstIndex(of: "=") else {
                throw failure("Syntax error - can't find = in \"\(word)\". Must be of the form: name=value")
            }
            if equals == word.startIndex { throw failure("\(keyword) names can not be blank") }
            pairs.append(KeyValue(key: String(word[..<equals]), value: String(word[word.index(after: equals)...])))
        }
        return pairs
    }

    private func declarations() throws(DockerfileError) -> [ArgumentDeclaration] {
        var declarations: [ArgumentDeclaration] = []
        for word in try atLeastOne(QuotedWords.split(arguments, escape: escape)) {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0].isEmpty { throw failure("ARG names can not be blank") }
            declarations.append(ArgumentDeclaration(name: String(parts[0]), defaultValue: parts.count == 2 ? String(parts[1]) : nil))
        }
        return declarations
    }

    private func volumes() throws(DockerfileError) -> [String] {
        let paths = try atLeastOne(try stringArray(arguments) ?? arguments.words).map(\.trimmed)
        if paths.contains("") { throw failure("VOLUME specified can not be an empty string") }
        return paths
    }

    private func shell() throws(DockerfileError) -> [String] {
        guard let words = try stringArray(arguments) else { throw failure("SHELL requires the arguments to be in JSON form") }
        return try atLeastOne(words)
    }

    private func onbuild() throws(DockerfileError) -> String {
        let trigger = try atLeastOne(arguments.words)[0].uppercased()
        switch trigger {
        case "ONBUILD": throw failure("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        case "MAINTAINER", "FROM": throw failure("\(trigger) isn't allowed as an ONBUILD trigger")
        default: break
        }
        // A heredoc would have to travel in the image's configuration; no builder does that.
        if !line.heredocs.isEmpty { throw failure("a heredoc isn't allowed in an ONBUILD trigger") }
        let inner = LineLexer.Line(text: arguments, lines: line.lines, heredocs: [])
        _ = try Instruction(inner, escape: escape)
        return arguments
    }

    // MARK: Instructions with flags

    private mutating func from() throws(DockerfileError) -> FromInstruction {
        let platform = try flags.string("platform")
        let words = arguments.words
        if words.count == 1 { return FromInstruction(image: words[0], name: nil, platform: platform) }
        guard words.count == 3, words[1].lowercased() == "as" else { throw failure("FROM requires either one or three arguments") }
        let name = words[2].lowercased()
        let isSound = name.unicodeScalars.enumerated().allSatisfy { index, scalar in
            ("a"..."z").contains(scalar) || (index > 0 && (("0"..."9").contains(scalar) || "-_.".unicodeScalars.contains(scalar)))
        }
        guard isSound else {
            throw failure("invalid name for build stage: \"\(words[2])\", name can't start with a number or contain symbols")
        }
        return FromInstruction(image: words[0], name: name, platform: platform)
    }

    private mutating func run() throws(DockerfileError) -> RunInstruction {
        var mounts: [MountFlag] = []
        for text in try flags.strings("mount") { mounts.append(try MountFlag(text, line: line.lines.lowerBound)) }
        let network = try flags.string("network")
        if let network, !["default", "none", "host"].contains(network) { throw failure("security: unknown network mode \"\(network)\"") }
        let security = try flags.string("security")
        if let security, !["sandbox", "insecure"].contains(security) { throw failure("security \"\(security)\" is not valid") }
        return RunInstruction(
            command: try commandLine(arguments), mounts: mounts, network: network, security: security, devices: try flags.strings("device"),
            heredocs: line.heredocs)
    }

    private mutating func transfer() throws(DockerfileError) -> TransferInstruction {
        var words = try stringArray(arguments) ?? arguments.words
        guard words.count >= 2 else {
            throw failure("\(keyword) requires at least two arguments, but only one was provided. Destination could not be determined")
        }
        let destination = words.removeLast()
        if Heredoc(word: destination, escape: escape) != nil && !line.heredocs.isEmpty {
            throw failure("\(keyword) cannot accept a heredoc as a destination")
        }
        let sources = line.heredocs.isEmpty ? words : words.filter { Heredoc(word: $0, escape: escape) == nil }
        return TransferInstruction(
            sources: sources, destination: destination, heredocs: line.heredocs, chown: try flags.string("chown"),
            chmod: try flags.string("chmod"), isLink: try flags.bool("link") ?? false, excludes: try flags.strings("exclude"))
    }

    private mutating func copy() throws(DockerfileError) -> CopyInstruction {
        let from = try flags.string("from")
        let keepsParents = try flags.bool("parents") ?? false
        return CopyInstruction(transfer: try transfer(), from: from, keepsParents: keepsParents)
    }

    private mutating func add() throws(DockerfileError) -> AddInstruction {
        let keepsGitDirectory = try flags.bool("keep-git-dir") ?? false
        let checksum = try flags.string("checksum")
        let unpacks = try flags.bool("unpack")
        return AddInstruction(transfer: try transfer(), keepsGitDirectory: keepsGitDirectory, checksum: checksum, unpacks: unpacks)
    }

    private mutating func healthcheck() throws(DockerfileError) -> HealthcheckInstruction {
        let (word, rest) = arguments.firstWordAndRest
        switch word.uppercased() {
        case "": throw failure("HEALTHCHECK requires at least one argument")
        case "NONE":
            if !rest.isEmpty { throw failure("HEALTHCHECK NONE takes no arguments") }
            return .none
        case "CMD":
            if rest.isEmpty { throw failure("Missing command after HEALTHCHECK CMD") }
            let command = try commandLine(rest)
            if command == .exec([]) { throw failure("Missing command after HEALTHCHECK CMD") }
            return .command(command, try timing())
        case let other: throw failure("Unknown type \"\(other)\" in HEALTHCHECK (try CMD)")
        }
    }

    private mutating func timing() throws(DockerfileError) -> HealthcheckTiming {
        var timing = HealthcheckTiming()
        timing.interval = try duration("interval")
        timing.timeout = try duration("timeout")
        timing.startPeriod = try duration("start-period")
        timing.startInterval = try duration("start-interval")
        if let text = try flags.string("retries") {
            guard let retries = Int(text) else { throw failure("--retries must be a number (not \(text))") }
            if retries < 0 { throw failure("--retries must be at least 1 (not \(retries))") }
            timing.retries = retries
        }
        return timing
    }

    private mutating func duration(_ name: String) throws(DockerfileError) -> Int64 {
        guard let text = try flags.string(name) else { return 0 }
        let nanoseconds: Int64
        do { nanoseconds = try GoDuration.parse(text) } catch { throw failure(error.message) }
        if nanoseconds < 0 { throw failure("Interval \"\(name)\" cannot be less than 0") }
        if nanoseconds > 0 && nanoseconds < 1_000_000 { throw failure("Interval \"\(name)\" cannot be less than 1ms") }
        return nanoseconds
    }
}

/// Words between white space, quotes and escapes kept, as ENV, LABEL and ARG are written.
enum QuotedWords {
    static func split(_ text: String, escape: Unicode.Scalar) -> [String] {
        var words: [String] = []
        var word = String.UnicodeScalarView()
        var quote: Unicode.Scalar?
        var isInWord = false
        var scalars = text.unicodeScalars.makeIterator()
        while let scalar = scalars.next() {
            if quote == nil && scalar.properties.isWhitespace {
                if isInWord { words.append(String(word)) }
                word = String.UnicodeScalarView()
                isInWord = false
                continue
            }
            isInWord = true
            word.append(scalar)
            if scalar == escape && quote != "'" {
                if let escaped = scalars.next() { word.append(escaped) }
            } else if scalar == quote {
                quote = nil
            } else if quote == nil && (scalar == "'" || scalar == "\"") {
                quote = scalar
            }
        }
        if isInWord { words.append(String(word)) }
        return words
    }
}
