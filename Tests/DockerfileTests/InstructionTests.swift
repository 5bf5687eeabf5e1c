import Testing

@testable import Dockerfile

@Suite("Dockerfile: instructions")
struct InstructionTests {
    @Test(arguments: [
        ("CMD echo hi", CommandLine.shell("echo hi")),
        ("CMD [\"echo\", \"hi\"]", .exec(["echo", "hi"])),
        ("CMD", .shell("")),
        ("CMD []", .exec([])),
        // What isn't JSON is for the shell.
        ("CMD [\"a\"", .shell("[\"a\"")),
        ("CMD ['a']", .shell("['a']")),
        ("CMD [\"a\", b]", .shell("[\"a\", b]")),
        ("CMD [ -f /x ] && y", .shell("[ -f /x ] && y")),
        ("CMD [\"a\"] b", .shell("[\"a\"] b")),
        ("CMD [\"a\",]", .shell("[\"a\",]")),
        ("CMD [\"\\u0041\\ud83d\\ude00\\n\\\"\"]", .exec(["A😀\n\""])),
        ("CMD [\"a\\qb\"]", .shell("[\"a\\qb\"]")),
        ("CMD [\"a\", \\\n  \"b\"]", .exec(["a", "b"])),
    ])
    func commandForms(text: String, expected: Dockerfile.CommandLine) throws {
        #expect(try kind(text) == .cmd(expected))
    }

    @Test(arguments: [
        ("ENV a=b", [KeyValue(key: "a", value: "b")]),
        ("ENV a b=c d", [KeyValue(key: "a", value: "b=c d")]),
        (
            "ENV a=\"b c\" d=e\\ f g='h i'",
            [KeyValue(key: "a", value: "\"b c\""), KeyValue(key: "d", value: "e\\ f"), KeyValue(key: "g", value: "'h i'")]
        ),
        ("ENV a=", [KeyValue(key: "a", value: "")]),
        ("ENV a=b=c", [KeyValue(key: "a", value: "b=c")]),
        ("ENV a=b \\\n    c=d", [KeyValue(key: "a", value: "b"), KeyValue(key: "c", value: "d")]),
    ])
    func environment(text: String, expected: [KeyValue]) throws {
        #expect(try kind(text) == .env(expected))
    }

    @Test func labels() throws {
        #expect(
            try kind("LABEL \"com.example a\"=b x=\"multi\\\nline\"")
                == .label([KeyValue(key: "\"com.example a\"", value: "b"), KeyValue(key: "x", value: "\"multiline\"")]))
    }

    @Test func argumentsOfSeveralNames() throws {
        #expect(
            try kind("ARG a=b c d=\"e f\"")
                == .arg([
                    .init(name: "a", defaultValue: "b"), .init(name: "c", defaultValue: nil), .init(name: "d", defaultValue: "\"e f\""),
                ]))
    }

    @Test func wordsAndLists() throws {
        #expect(try kind("EXPOSE 80 443/tcp 8000-8002/udp $P") == .expose(["$P", "443/tcp", "80", "8000-8002/udp"]))
        #expect(try kind("VOLUME /a /b") == .volume(["/a", "/b"]))
        #expect(try kind("VOLUME [\"/c d\"]") == .volume(["/c d"]))
        #expect(try kind("WORKDIR a b") == .workdir("a b"))
        #expect(try kind("USER me:us") == .user("me:us"))
        #expect(try kind("STOPSIGNAL SIGINT") == .stopsignal("SIGINT"))
        #expect(try kind("MAINTAINER me <x>") == .maintainer("me <x>"))
        #expect(try kind("SHELL [\"/bin/sh\", \"-ec\"]") == .shell(["/bin/sh", "-ec"]))
        #expect(try kind("ONBUILD   RUN echo hi") == .onbuild("RUN echo hi"))
    }

    @Test func copyWithAllItsFlags() throws {
        guard
            case .copy(let copy) = try kind(
                "COPY --from=build --chown=1:2 --chmod=755 --link --parents=true --exclude=*.o --exclude=\"a b\" a b /c/")
        else { throw Unexpected() }
        #expect(copy.from == "build")
        #expect(copy.keepsParents)
        let transfer = copy.transfer
        #expect(transfer.sources == ["a", "b"])
        #expect(transfer.destination == "/c/")
        #expect(transfer.chown == "1:2")
        #expect(transfer.chmod == "755")
        #expect(transfer.isLink)
        #expect(transfer.excludes == ["*.o", "a b"])
    }

    @Test func copyInJSONForm() throws {
        guard case .copy(let copy) = try kind("COPY [\"a b\", \"/c d\"]") else { throw Unexpected() }
        #expect(copy.transfer.sources == ["a b"])
        #expect(copy.transfer.destination == "/c d")
    }

    @Test func addWithItsFlags() throws {
        guard case .add(let add) = try kind("ADD --checksum=sha256:00 --keep-git-dir --unpack=false http://x/y /") else {
            throw Unexpected()
        }
        #expect(add.checksum == "sha256:00")
        #expect(add.keepsGitDirectory)
        #expect(add.unpacks == false)
    }

    @Test func runFlagsEndAtTheCommand() throws {
        guard
            case .run(let run) = try kind("RUN --mount=type=cache,target=/x,sharing=locked,uid=7 --network=none ls --mount=y")
        else { throw Unexpected() }
        #expect(run.command == .shell("ls --mount=y"))
        #expect(run.network == "none")
        let mount = try #require(run.mounts.first)
        #expect(mount.kind == .cache)
        #expect(mount.id == "/x")
        #expect(mount.sharing == .locked)
        #expect(mount.uid == 7)
        #expect(!mount.isReadOnly)
    }

    @Test(arguments: [
        ("type=bind,target=/t", MountFlag.Kind.bind, true), ("target=/t,rw", .bind, false), ("type=cache,target=/t,ro", .cache, true),
        ("type=cache,dst=/t,readonly=false", .cache, false), ("type=tmpfs,target=/t,size=1m", .tmpfs, false),
        ("type=secret,id=s", .secret, false), ("type=ssh", .ssh, false),
    ])
    func mountDefaults(text: String, kind: MountFlag.Kind, isReadOnly: Bool) throws {
        let flag = try MountFlag(text, line: 1)
        #expect(flag.kind == kind)
        #expect(flag.isReadOnly == isReadOnly)
        if kind == .tmpfs { #expect(flag.size == 1 << 20) }
    }

    @Test func healthchecks() throws {
        #expect(try kind("HEALTHCHECK none") == .healthcheck(.none))
        guard
            case .healthcheck(.command(let command, let timing)) = try kind(
                "HEALTHCHECK --interval=5s --timeout=1m30s --start-period=1.5s --start-interval=100ms --retries=3 CMD curl -f x")
        else { throw Unexpected() }
        #expect(command == .shell("curl -f x"))
        #expect(timing.interval == 5_000_000_000)
        #expect(timing.timeout == 90_000_000_000)
        #expect(timing.startPeriod == 1_500_000_000)
        #expect(timing.startInterval == 100_000_000)
        #expect(timing.retries == 3)
    }

    @Test(arguments: [
        ("1h2m3s", 3_723_000_000_000), ("1.5h", 5_400_000_000_000), ("10ns", 10), ("1us", 1000), ("1µs", 1000), ("0", 0),
        ("-1s", -1_000_000_000),
        (".5s", 500_000_000), ("1.s", 1_000_000_000),
    ])
    func durations(text: String, nanoseconds: Int64) throws {
        #expect(try GoDuration.parse(text) == nanoseconds)
    }

    @Test(arguments: ["", "1", "s", "1x", ".s", "1..5s", "99999999999999999999h"])
    func badDurations(text: String) {
        #expect(throws: GoDurationError.self) { try GoDuration.parse(text) }
    }

    struct Unexpected: Error {}
}

@Suite("Dockerfile: heredocs")
struct HeredocTests {
    @Test func runWithABody() throws {
        guard case .run(let run) = try kind("RUN <<EOF\necho a\n  # not a comment\n\nEOF\n") else { throw InstructionTests.Unexpected() }
        #expect(run.command == .shell("<<EOF"))
        #expect(run.heredocs.count == 1)
        #expect(run.heredocs[0].content == "echo a\n  # not a comment\n\n")
        #expect(run.heredocs[0].expands)
    }

    @Test func severalInOneInstruction() throws {
        guard case .copy(let copy) = try kind("COPY --chmod=600 <<a.txt <<-'b.txt' c /d/\nA\na.txt\n\tB $x\n\tb.txt\n") else {
            throw InstructionTests.Unexpected()
        }
        #expect(copy.transfer.sources == ["c"])
        #expect(copy.transfer.heredocs.map(\.name) == ["a.txt", "b.txt"])
        #expect(copy.transfer.heredocs.map(\.content) == ["A\n", "B $x\n"])
        #expect(copy.transfer.heredocs[1].rawContent == "\tB $x\n")
        #expect(copy.transfer.heredocs.map(\.expands) == [true, false])
        #expect(copy.transfer.heredocs.map(\.stripsTabs) == [false, true])
    }

    @Test(arguments: [
        ("RUN cat <<EOF > /x\nhi\nEOF", 1), ("RUN cat 3<<EOF\nhi\nEOF", 1), ("RUN cat <<< \"x\"", 0), ("RUN echo \"<<EOF\"", 0),
        ("RUN echo $((1<<2))", 0),
        ("RUN [\"cat\", \"<<EOF\"]", 0), ("RUN cat <<A <<B\na\nA\nb\nB", 2), ("RUN --network=none <<\"E F\"\nE F", 1), ("CMD cat <<EOF", 0),
        ("RUN echo 'a << b", 0),
    ])
    func whatIsOne(text: String, count: Int) throws {
        let heredocs: [Heredoc] =
            switch try kind(text) {
            case .run(let run): run.heredocs
            default: []
            }
        #expect(heredocs.count == count)
    }

    @Test func aContinuedLineMayAnnounceOne() throws {
        guard case .run(let run) = try kind("RUN cat \\\n <<EOF\nx\nEOF") else { throw InstructionTests.Unexpected() }
        #expect(run.heredocs.map(\.content) == ["x\n"])
    }
}
