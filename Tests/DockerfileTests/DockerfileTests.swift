import Testing

@testable import Dockerfile

/// Parses `FROM base` and the lines after it; gives the instructions of the stage.
func body(_ text: String) throws -> [Instruction] {
    try #require(try ParsedDockerfile(parsing: "FROM base\n" + text).stages.first).instructions
}

/// The kind of the one instruction in `text`.
func kind(_ text: String) throws -> Instruction.Kind {
    let instructions = try body(text)
    #expect(instructions.count == 1)
    return try #require(instructions.first).kind
}

@Suite("Dockerfile: whole files")
struct WholeFileTests {
    @Test func readsStagesNamesAndGlobalArguments() throws {
        let file = try ParsedDockerfile(
            parsing: """
                # syntax=docker/dockerfile:1
                # escape=`
                # a comment
                ARG V=1 W
                FROM --platform=linux/amd64 base:${V} AS Build
                RUN make
                from scratch
                COPY --from=build /a /b
                """)
        #expect(file.directives.syntax == "docker/dockerfile:1")
        #expect(file.directives.escape == "`")
        #expect(file.globalArguments.count == 1)
        #expect(file.stages.map(\.name) == ["build", nil])
        #expect(file.stages[0].from == FromInstruction(image: "base:${V}", name: "build", platform: "linux/amd64"))
        #expect(file.stages[1].from.image == "scratch")
        #expect(file.stage("BUILD")?.index == 0)
        #expect(file.stage("1")?.index == 1)
        #expect(file.stage("2") == nil)
        #expect(file.stage("build", before: 0) == nil)
    }

    @Test func keepsTheLinesOfEachInstruction() throws {
        let file = try ParsedDockerfile(parsing: "\n# c\nFROM base\n\nRUN a \\\n  # inside\n  b \\\n\n  c\nRUN <<EOF\nx\ny\nEOF\nCMD z")
        let stage = file.stages[0]
        #expect(stage.fromInstruction.lines == 3...3)
        #expect(stage.instructions.map(\.lines) == [5...9, 10...13, 14...14])
        #expect(stage.instructions[0].original == "RUN a   b   c")
        #expect(file.warnings == [.init(line: 5, message: "Empty continuation line found in: RUN a   b   c")])
    }

    @Test func acceptsByteOrderMarkAndCarriageReturns() throws {
        let file = try ParsedDockerfile(parsing: [0xEF, 0xBB, 0xBF] + Array("FROM base\r\nRUN echo \\\r\n hi\r\n".utf8))
        #expect(file.stages[0].instructions.first?.original == "RUN echo  hi")
    }

    @Test func directivesEndAtTheFirstOtherLine() throws {
        #expect(try ParsedDockerfile(parsing: "# x\n# escape=`\nFROM base\nRUN a \\\nb").directives.escape == "\\")
        #expect(try ParsedDockerfile(parsing: "# check=skip=all\nFROM base").directives.check == "skip=all")
    }

    @Test func backquoteEscapesWhenAsked() throws {
        let file = try ParsedDockerfile(parsing: "# escape=`\nFROM base\nRUN dir c:\\\nRUN a `\nb")
        #expect(file.stages[0].instructions.map(\.original) == ["RUN dir c:\\", "RUN a b"])
    }

    @Test func aDoubledEscapeAtTheEndIsNoContinuation() throws {
        #expect(try body("RUN echo a\\\\\nRUN b").map(\.original) == ["RUN echo a\\\\", "RUN b"])
    }

    @Test(arguments: [
        ("FROM base\n\nFOO bar\n", "dockerfile parse error on line 3: unknown instruction: FOO"),
        ("", "failed to parse Dockerfile: file with no instructions"),
        ("# only\n", "failed to parse Dockerfile: file with no instructions"),
        ("FROM\n", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("FROM base x\n", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("FROM base AS\n", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        ("FROM base OF x\n", "dockerfile parse error on line 1: FROM requires either one or three arguments"),
        (
            "FROM base AS 1x\n",
            "dockerfile parse error on line 1: invalid name for build stage: \"1x\", name can't start with a number or contain symbols"
        ),
        ("RUN x\nFROM base\n", "dockerfile parse error on line 1: no build stage in current context"),
        ("ARG x\n", "failed to parse Dockerfile: no build stage in current context"),
        ("# escape=x\nFROM base\n", "dockerfile parse error on line 1: invalid escape token 'x' does not match ` or \\"),
        ("# escape=`\n# escape=`\nFROM base\n", "dockerfile parse error on line 2: only one escape parser directive can be used"),
        ("FROM base\nRUN <<EOF\nls\n", "dockerfile parse error on line 2: unterminated heredoc"),
    ])
    func refusesWithTheLine(text: String, message: String) throws {
        let error = #expect(throws: DockerfileError.self) { try ParsedDockerfile(parsing: text) }
        #expect(error?.description == message)
    }

    /// Each stands on line 2.
    @Test(arguments: [
        ("COPY", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"),
        ("COPY a", "COPY requires at least two arguments, but only one was provided. Destination could not be determined"),
        ("ADD [\"a\"]", "ADD requires at least two arguments, but only one was provided. Destination could not be determined"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV a", "ENV must have two arguments"),
        ("ENV a=b c", "Syntax error - can't find = in \"c\". Must be of the form: name=value"),
        ("ENV =b", "ENV names can not be blank"),
        ("LABEL a", "LABEL must have two arguments"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK FOO x", "Unknown type \"FOO\" in HEALTHCHECK (try CMD)"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK --interval=1 CMD x", "time: missing unit in duration \"1\""),
        ("HEALTHCHECK --interval=1us CMD x", "Interval \"interval\" cannot be less than 1ms"),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries must be at least 1 (not -1)"),
        ("HEALTHCHECK --retries=x CMD x", "--retries must be a number (not x)"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("ONBUILD FOO x", "unknown instruction: FOO"),
        ("SHELL sh", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ("VOLUME []", "VOLUME requires at least one argument"),
        ("VOLUME [\"\"]", "VOLUME specified can not be an empty string"),
        ("ARG", "ARG requires at least one argument"),
        ("ARG =x", "ARG names can not be blank"),
        ("RUN [1]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("CMD [\"a\", null]", "when using JSON array syntax, arrays must be comprised of strings only"),
        ("RUN --foo=bar x", "unknown flag: --foo"),
        ("CMD --foo=bar x", "unknown flag: --foo"),
        ("COPY --foo=bar a b", "unknown flag: --foo"),
        ("COPY --chown a b", "missing a value on flag: chown"),
        ("COPY --chown=a --chown=b a b", "duplicate flag specified: chown"),
        ("COPY --link=x a b", "expecting boolean value for flag link, not: x"),
        ("ADD --from=x a b", "unknown flag: --from"),
        ("RUN --mount=type=foo,target=/x y", "unsupported mount type \"foo\""),
        ("RUN --mount=type=cache y", "mount of type cache has no target"),
        ("RUN --mount=type=tmpfs,target=/x,sharing=shared y", "unexpected key 'sharing' for mount type 'tmpfs'"),
        ("RUN --network=foo y", "security: unknown network mode \"foo\""),
        ("COPY a <<EOF\nEOF", "COPY cannot accept a heredoc as a destination"),
    ])
    func refusesBadInstructions(text: String, message: String) throws {
        let error = #expect(throws: DockerfileError.self) { try body(text + "\n") }
        #expect(error?.description == "dockerfile parse error on line 2: \(message)")
    }
}
