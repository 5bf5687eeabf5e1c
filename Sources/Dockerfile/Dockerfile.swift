// Dockerfile: the language of image builds, from text to typed instructions. Imports nothing but the standard library.
//
// `ParsedDockerfile(parsing:)` reads a whole file: parser directives, comments, continued lines, heredocs, flags, exec and
// shell forms. The result is global ARGs and stages of `Instruction`s, each with the lines it came from.
// `WordExpander` substitutes variables (`${x:-d}` and its kin) when an instruction is executed, because values depend on
// the instructions before it; `Instruction.Kind` says which instructions expand. Used by Builder, which executes stages.
//
// The reference is docs.docker.com/reference/dockerfile; where that is silent, what Docker's builders do. Everything wrong with a
// file is a `DockerfileError` with its line.

/// A Dockerfile that has been read whole: syntax is sound, nothing has been expanded or executed.
public struct ParsedDockerfile: Sendable, Equatable {
    public var directives: ParserDirectives
    /// ARG instructions before the first FROM: visible to FROM, and to stages that declare them again.
    public var globalArguments: [Instruction]
    /// Never empty.
    public var stages: [Stage]
    /// Things that work today and should be changed.
    public var warnings: [Warning]

    /// From one FROM to the next.
    public struct Stage: Sendable, Equatable {
        /// From 0, in the order of the file.
        public var index: Int
        /// Lower case, as stage names compare; nil without AS.
        public var name: String?
        /// The FROM itself.
        public var from: FromInstruction
        public var fromInstruction: Instruction
        /// What follows FROM.
        public var instructions: [Instruction]
    }

    public struct Warning: Sendable, Equatable {
        public var line: Int
        public var message: String
    }

    /// Reads a file. Bytes that are not UTF-8 become U+FFFD. Throws at the first error.
    public init(parsing bytes: [UInt8]) throws(DockerfileError) {
        var lexer = try LineLexer(bytes)
        directives = lexer.directives
        globalArguments = []
        stages = []
        while let line = try lexer.next() {
            let instruction = try Instruction(line, escape: directives.escape)
            if case .from(let from) = instruction.kind {
                stages.append(
                    Stage(index: stages.count, name: from.name, from: from, fromInstruction: instruction, instructions: []))
            } else if !stages.isEmpty {
                stages[stages.count - 1].instructions.append(instruction)
            } else if case .arg = instruction.kind {
                globalArguments.append(instruction)
            } else {
                throw DockerfileError("no build stage in current context", line: instruction.lines.lowerBound)
            }
        }
        warnings = lexer.warnings
        if stages.isEmpty && globalArguments.isEmpty { throw DockerfileError("file with no instructions", line: nil) }
        if stages.isEmpty { throw DockerfileError("no build stage in current context", line: nil) }
    }

    public init(parsing text: String) throws(DockerfileError) { try self.init(parsing: Array(text.utf8)) }

    /// The stage that `--target` or `COPY --from` means: a name (any case), or a number. A name wins over a number.
    public func stage(_ reference: String, before limit: Int? = nil) -> Stage? {
        let visible = stages.prefix(limit ?? stages.count)
        let name = reference.lowercased()
        // The last of a name counts, as later stages may reuse it.
        if let named = visible.last(where: { $0.name == name }) { return named }
        if let number = Int(reference), visible.indices.contains(number) { return visible[number] }
        return nil
    }
}

/// A Dockerfile that can't be used: what is wrong, and the line (from 1) unless it is the file as a whole.
public struct DockerfileError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    public let line: Int?

    public init(_ message: String, line: Int?) {
        self.message = message
        self.line = line
    }

    public var description: String {
        if let line { "dockerfile parse error on line \(line): \(message)" } else { "failed to parse Dockerfile: \(message)" }
    }
}
