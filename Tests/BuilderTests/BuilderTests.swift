import Glibc
import Images
import JSON
import Linux
import OCIImageSpec
import Testing

@testable import Builder

@Suite("Builder: whole builds")
struct WholeBuildTests {
    private let fixture: BuildFixture

    init() throws { fixture = try BuildFixture() }

    @Test func streamsWhatDockerStreams() throws {
        let outcome = try fixture.build("FROM base\nRUN echo hi\nCMD [\"x\"]\n") { $0.tags = ["foo:bar", "foo2"] }
        let base = try fixture.images.image("base")
        let run = try #require(try fixture.images.image(outcome.image.parent?.description ?? ""))
        #expect(
            outcome.text.replacingContainerNames == """
                Step 1/3 : FROM base
                 ---> \(base.id.short)
                Step 2/3 : RUN echo hi
                 ---> Running in CONTAINER
                hi
                Removing intermediate container CONTAINER
                 ---> \(run.id.short)
                Step 3/3 : CMD ["x"]
                 ---> \(outcome.image.id.short)
                Successfully built \(outcome.image.id.short)
                Successfully tagged foo:bar
                Successfully tagged foo2:latest

                """)
        #expect(outcome.progress.contains(.image(outcome.image.id.description)))
        #expect(outcome.image.references.map(\.familiar) == ["foo2:latest", "foo:bar"].sorted())
        #expect(outcome.image.config.config?.cmd == ["x"])
        #expect(run.parent == base.id)
    }

    @Test func makesDockersConfigurationAndHistory() throws {
        let outcome = try fixture.build(
            """
            FROM base
            EXPOSE 80 443/tcp 53/udp 8000-8002
            VOLUME /a /b
            VOLUME ["/c d"]
            LABEL a=b c="d e" f=g\\ h
            LABEL k v w
            ENV A=b C="d e"
            ENV K v w
            MAINTAINER me <x>
            STOPSIGNAL 9
            USER bob
            WORKDIR x/y
            WORKDIR z
            SHELL ["/bin/sh","-ec"]
            CMD echo hi
            ENTRYPOINT foo
            HEALTHCHECK --interval=5s --timeout=1m30s --start-period=1s --retries=3 CMD true
            HEALTHCHECK NONE
            ONBUILD RUN echo onb
            ARG Q=1
            RUN echo $Q
            """)
        let config = try #require(outcome.image.config.config)
        #expect(config.user == "bob")
        #expect(config.exposedPorts?.sorted == ["443/tcp", "53/udp", "80/tcp", "8000/tcp", "8001/tcp", "8002/tcp"])
        #expect(
            config.env == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "A=b", "C=d e", "K=v w"])
        // Docker 20.10 resets CMD when ENTRYPOINT comes and CMD came from the base; here CMD is the stage's own.
        #expect(config.cmd == ["/bin/sh", "-ec", "echo hi"])
        #expect(config.entrypoint == ["/bin/sh", "-ec", "foo"])
        #expect(config.healthcheck == Healthcheck(test: ["NONE"]))
        #expect(config.volumes?.sorted == ["/a", "/b", "/c d"])
        #expect(config.workingDir == "/x/y/z")
        #expect(config.onBuild == ["RUN echo onb"])
        #expect(config.labels == ["a": "b", "c": "d e", "f": "g h", "k": "v w"])
        #expect(config.stopSignal == "9")
        #expect(config.shell == ["/bin/sh", "-ec"])
        #expect(outcome.image.config.author == "me <x>")
        #expect(outcome.text.contains("Note: overriding previous HEALTHCHECK: [CMD-SHELL true]\n"))
        let lines = (outcome.image.config.history ?? []).reversed().map { $0.createdBy ?? "" }
        #expect(
            Array(lines.prefix(20)) == [
                "|1 Q=1 /bin/sh -ec echo $Q", "/bin/sh -ec #(nop)  ARG Q=1", "/bin/sh -ec #(nop)  ONBUILD RUN echo onb",
                "/bin/sh -ec #(nop)  HEALTHCHECK &{[\"NONE\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\x00'}",
                "/bin/sh -ec #(nop)  HEALTHCHECK &{[\"CMD-SHELL\" \"true\"] \"5s\" \"1m30s\" \"1s\" \"0s\" '\\x03'}",
                "/bin/sh -ec #(nop)  ENTRYPOINT [\"/bin/sh\" \"-ec\" \"foo\"]", "/bin/sh -ec #(nop)  CMD [\"/bin/sh\" \"-ec\" \"echo hi\"]",
                "/bin/sh -ec #(nop)  SHELL [/bin/sh -ec]", "/bin/sh -c #(nop) WORKDIR /x/y/z", "/bin/sh -c #(nop) WORKDIR /x/y",
                "/bin/sh -c #(nop)  USER bob", "/bin/sh -c #(nop)  STOPSIGNAL 9", "/bin/sh -c #(nop)  MAINTAINER me <x>",
                "/bin/sh -c #(nop)  ENV K=v w", "/bin/sh -c #(nop)  ENV A=b C=d e", "/bin/sh -c #(nop)  LABEL k=v w",
                "/bin/sh -c #(nop)  LABEL a=b c=d e f=g h", "/bin/sh -c #(nop)  VOLUME [/c d]", "/bin/sh -c #(nop)  VOLUME [/a /b]",
                "/bin/sh -c #(nop)  EXPOSE 443/tcp 53/udp 80 8000-8002",
            ])
        // Two directories were made; the RUN changed nothing.
        #expect(outcome.image.layers.count == 3)
        #expect((outcome.image.config.history ?? []).count { $0.emptyLayer != true } == 3)
    }

    @Test func aCommandSeesEnvironmentAndArguments() throws {
        let outcome = try fixture.build(
            """
            ARG V=1
            FROM base
            ARG V
            ARG Z=${V}z
            ARG HIDDEN=arg
            ENV HIDDEN=env
            ENV E=$Z$W
            WORKDIR /w
            RUN echo "$V $Z $E $HIDDEN $http_proxy $NOPE." > out; pwd >> out
            """
        ) { $0.buildArguments = ["V": "7", "http_proxy": "pp", "NOPE": "x"] }
        #expect(try fixture.read("/w/out", in: outcome.image) == "7 7z 7z env pp .\n/w\n")
        #expect(outcome.text.contains("[Warning] One or more build-args [NOPE] were not consumed\n"))
        #expect(outcome.image.config.history?.last?.createdBy?.hasPrefix("|2 V=7 Z=7z /bin/sh -c echo") == true)
        let step = try #require(fixture.executor.steps.last)
        #expect(step.workingDirectory == "/w")
        #expect(step.environment.contains("HIDDEN=env"))
        #expect(!step.environment.contains("HIDDEN=arg"))
    }

    @Test func stagesByNameNumberAndTarget() throws {
        let dockerfile = """
            FROM base AS Build
            RUN echo one > /one
            FROM scratch AS unused
            COPY nothing-here /
            FROM scratch AS middle
            COPY --from=build /one /
            FROM base AS last
            COPY --from=0 /one /a
            COPY --from=middle /one /b
            """
        let outcome = try fixture.build(dockerfile)
        #expect(try fixture.read("/a", in: outcome.image) == "one\n")
        #expect(try fixture.read("/b", in: outcome.image) == "one\n")
        #expect(!outcome.text.contains("unused"))
        #expect(outcome.text.contains("Step 7/7 : COPY --from=middle /one /b"))
        let middle = try fixture.build(dockerfile) { $0.target = "MIDDLE" }
        #expect(middle.image.layers.count == 1)
        #expect(middle.cachedSteps == 2)
        #expect(fixture.failure(dockerfile) { $0.target = "nope" }?.message == "failed to reach build target nope in Dockerfile")
    }

    @Test func triggersRunInTheImagesBuiltOnIt() throws {
        _ = try fixture.build("FROM base\nONBUILD RUN echo hi > /made\nONBUILD ENV T=1\n") { $0.tags = ["trigger"] }
        let outcome = try fixture.build("FROM trigger\nENV U=2\n")
        #expect(outcome.text.contains("Step 1/2 : FROM trigger\n# Executing 2 build triggers\n"))
        #expect(try fixture.read("/made", in: outcome.image) == "hi\n")
        #expect(outcome.image.config.config?.env?.suffix(2) == ["T=1", "U=2"])
        #expect(outcome.image.config.config?.onBuild == nil)
    }

    @Test func heredocsForCommandsAndFiles() throws {
        let outcome = try fixture.build(
            """
            FROM base
            ENV X=value
            RUN <<EOF
            echo one > /h
            echo two >> /h
            EOF
            RUN cat <<-EOF > /i && echo $X >> /i
            \tin $X
            \tEOF
            COPY <<a.txt <<'b.txt' /d/
            it's $X
            a.txt
            it's $X
            b.txt
            """)
        #expect(try fixture.read("/h", in: outcome.image) == "one\ntwo\n")
        #expect(try fixture.read("/i", in: outcome.image) == "in value\nvalue\n")
        #expect(try fixture.read("/d/a.txt", in: outcome.image) == "it's value\n")
        #expect(try fixture.read("/d/b.txt", in: outcome.image) == "it's $X\n")
    }

    @Test func labelsOfTheRequestComeLast() throws {
        let outcome = try fixture.build("FROM base\nLABEL a=1 b=2\n") { $0.labels = ["b": "it's $x \"y\"", "c": ""] }
        #expect(outcome.image.config.config?.labels == ["a": "1", "b": "it's $x \"y\"", "c": ""])
        let steps = outcome.image.config.history?.compactMap(\.createdBy) ?? []
        #expect(steps.suffix(2) == ["/bin/sh -c #(nop)  LABEL b=it's $x \"y\"", "/bin/sh -c #(nop)  LABEL c="])
        #expect(outcome.text.contains("Step 3/4 : LABEL b=it's $x \"y\"\n") && outcome.text.contains("Step 4/4 : LABEL c=\n"))
    }

    @Test func entrypointDropsAnInheritedCommand() throws {
        _ = try fixture.build("FROM base\nCMD [\"a\"]\n") { $0.tags = ["cmd"] }
        #expect(try fixture.build("FROM cmd\nENTRYPOINT [\"e\"]\n").image.config.config?.cmd == nil)
        #expect(try fixture.build("FROM cmd\nCMD [\"b\"]\nENTRYPOINT [\"e\"]\n").image.config.config?.cmd == ["b"])
    }

    @Test func standardErrorIsRed() throws {
        let outcome = try fixture.build("FROM base\nRUN echo oops >&2\n")
        #expect(outcome.progress.contains(.stream("\u{1b}[91moops\n\u{1b}[0m")))
    }

    @Test func aDockerfileOfAnotherName() throws {
        var files = TestArchive()
        files.add("sub/My.Dockerfile", "FROM base\nENV other=1\n")
        let outcome = try fixture.build("broken", files) { $0.dockerfile = "sub/My.Dockerfile" }
        #expect(outcome.image.config.config?.env?.last == "other=1")
        #expect(fixture.failure("FROM base", files) { $0.dockerfile = "nope" }?.message == "Cannot locate specified Dockerfile: nope")
        #expect(fixture.failure("FROM base", files) { $0.dockerfile = "../../etc/passwd" }?.code == .invalid)
    }

    @Test func theSampleBuilds() throws {
        let sample = #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/examples/hello/"
        var files = TestArchive()
        for name in ["page.html", "index.cgi"] {
            files.add(name, try Files.read("/" + sample + name), mode: name == "index.cgi" ? 0o755 : 0o644)
        }
        let outcome = try fixture.build(try Files.readText("/" + sample + "Dockerfile"), files) {
            $0.buildArguments = ["BASE": "base", "GREETING": "Hi there"]
        }
        #expect(try fixture.read("/srv/site/index.tmpl", in: outcome.image).contains("<h1>Hi there</h1>"))
        #expect(try fixture.read("/srv/site/cgi-bin/index.cgi", in: outcome.image).hasPrefix("#!/bin/sh"))
        let config = try #require(outcome.image.config.config)
        #expect(config.volumes?.sorted == ["/data"])
        #expect(config.exposedPorts?.sorted == ["8080/tcp"])
        #expect(config.cmd?.first == "httpd")
    }

    @Test func ignoreFileTakesTheDockerfileOut() throws {
        let outcome = try fixture.build(
            "FROM base\nCOPY . /all/\n", TestArchive([".dockerignore": "# x\nDockerfile\n.dockerignore\n", "a": "a"]))
        #expect(try fixture.listing(of: outcome.image).map { String($0.split(separator: " ").last ?? "") } == ["/all", "/all/a"])
    }
}

@Suite("Builder: failures")
struct FailureTests {
    private let fixture: BuildFixture

    init() throws { fixture = try BuildFixture() }

    @Test(arguments: [
        ("FROM base\n\nFOO bar\n", "dockerfile parse error on line 3: unknown instruction: FOO"),
        ("", "the Dockerfile (Dockerfile) cannot be empty"),
        ("FROM ${x}\n", "base name (${x}) should not be blank"),
        ("FROM Base\n", "invalid reference format: repository name (library/Base) must be lowercase"),
        ("FROM nope:1\n", "No such image: nope:1"),
        ("FROM scratch\n", "No image was generated. Is your Dockerfile empty?"),
        ("FROM base\nRUN false\n", "The command '/bin/sh -c false' returned a non-zero code: 1"),
        ("FROM base\nRUN exit 200\n", "The command '/bin/sh -c exit 200' returned a non-zero code: 200"),
        ("FROM base\nRUN [\"/bin/sh\", \"-c\", \"exit 3\"]\n", "The command '/bin/sh -c exit 3' returned a non-zero code: 3"),
        ("FROM base\nRUN []\n", "No command specified"),
        ("FROM base\nENV a=${b:?msg}\n", "failed to process \"${b:?msg}\": b: msg"),
        ("FROM base\nWORKDIR \"\"\n", "cannot normalize nothing"),
        ("FROM base\nWORKDIR /etc/passwd\n", "Cannot mkdir: /etc/passwd is not a directory"),
        ("FROM base\nEXPOSE abc\n", "Invalid containerPort: abc"),
        ("FROM base\nEXPOSE 90-80\n", "Invalid containerPort: 90-80"),
        ("FROM base\nEXPOSE 70000\n", "Invalid containerPort: 70000"),
        ("FROM base\nEXPOSE 80/foo\n", "Invalid proto: foo"),
        ("FROM base\nSTOPSIGNAL SIGFOO\n", "Invalid signal: SIGFOO"),
        (
            "FROM base\nCOPY nope /\n",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist"
        ),
        ("FROM base\nCOPY n*pe /\n", "COPY failed: no source files were specified"),
        ("FROM base\nCOPY ../x /\n", "COPY failed: forbidden path outside the build context: ../x ()"),
        (
            "FROM base\nCOPY Dockerfile Dockerfile /x\n",
            "When using COPY with more than one source file, the destination must be a directory and end with a /"
        ),
        ("FROM base\nCOPY --from=3 a b\n", "invalid from flag value 3: index out of bounds"),
        ("FROM base\nCOPY --from=0 a b\n", "invalid from flag value 0: refers to current build stage"),
        (
            "FROM base\nCOPY --from=nope a b\n",
            "invalid from flag value nope: No such image: nope"
        ),
        ("FROM base\nCOPY --from=base /nope /x\n", "COPY failed: stat nope: file does not exist"),
        (
            "FROM base\nCOPY --chown=nouser Dockerfile /\n",
            "unable to convert uid/gid chown string to host mapping: can't find uid for user nouser: no such user: nouser"
        ),
        (
            "FROM base\nCOPY --chown=bob:nog Dockerfile /\n",
            "unable to convert uid/gid chown string to host mapping: can't find gid for group nog: no such group: nog"
        ),
        (
            "FROM base\nCOPY --chown=a:b:c Dockerfile /\n",
            "unable to convert uid/gid chown string to host mapping: invalid chown string format: a:b:c"
        ),
        ("FROM base\nCOPY --chmod=9 Dockerfile /\n", "invalid chmod parameter: '9'. it should be octal string and between 0 and 07777"),
        ("FROM base\nADD http://localhost:1/x /\n", "not implemented: ADD of a URL"),
        ("FROM base\nADD --checksum=sha256:0 Dockerfile /\n", "not implemented: ADD --checksum"),
        ("FROM base\nRUN --mount=type=ssh ls\n", "not implemented: RUN --mount=type=ssh"),
        ("FROM base\nRUN --security=insecure ls\n", "not implemented: RUN --security=insecure"),
        ("FROM --platform=linux/s390x base\nRUN x\n", "image base is for \(Platform.host), not for linux/s390x"),
    ])
    func saysWhatIsWrong(dockerfile: String, message: String) throws {
        #expect(fixture.failure(dockerfile)?.message == message)
        try expectNothingLeft()
    }

    @Test func theExitCodeTravelsWithTheError() throws {
        let error = try #require(fixture.failure("FROM base\nRUN exit 7\n"))
        #expect(error.exitCode == 7)
        #expect(error.code == .failed)
        let json = String(decoding: BuildProgress(error: error).json.serialized(), as: UTF8.self)
        let message = "The command '/bin/sh -c exit 7' returned a non-zero code: 7"
        #expect(json == "{\"errorDetail\":{\"code\":7,\"message\":\"\(message)\"},\"error\":\"\(message)\"}")
    }

    @Test func badRequestsFailBeforeAnythingIsStreamed() throws {
        #expect(fixture.failure("FROM base") { $0.squash = true }?.message == "not implemented: squash")
        #expect(fixture.failure("FROM base") { $0.tags = ["UPPER"] }?.code == .invalid)
        #expect(fixture.failure("FROM base") { $0.platform = "a/b/c/d" }?.code == .invalid)
        try expectNothingLeft()
    }

    @Test func badContexts() throws {
        for bytes in [Array("this is no archive, whatever it says".utf8), Array(try TestArchive(["a": "b"]).bytes().prefix(700))] {
            let file = try TestArchive.file(bytes)
            let error = #expect(throws: BuildError.self) { try fixture.builder.build(BuildRequest(), context: file.raw) { _ in } }
            #expect(error?.code == .invalid)
        }
        var hostile = TestArchive()
        hostile.addLink("up", to: "/tmp")
        hostile.add("up/../../../../tmp/clp-builder-escape", "x")
        _ = fixture.failure("FROM base\nCOPY nope /", hostile)
        #expect(!Files.exists("/tmp/clp-builder-escape"))
        try expectNothingLeft()
    }

    @Test func aCancelledBuildStops() throws {
        let cancellation = BuildCancellation()
        let file = try TestArchive(["Dockerfile": "FROM base\nRUN echo 1 > /1\nRUN echo 2 > /2\n"]).file()
        let error = #expect(throws: BuildError.self) {
            try fixture.builder.build(BuildRequest(), context: file.raw, cancellation: cancellation) {
                if case .stream(let text) = $0, text.hasPrefix("Step 3") { cancellation.cancel() }
            }
        }
        #expect(error == .cancelled)
        #expect(fixture.executor.steps.count <= 2)
        try expectNothingLeft()
    }

    private func expectNothingLeft() throws {
        #expect(try Files.list(fixture.directory + "/builder") == [])
        #expect(try Files.list(fixture.directory + "/images/tmp") == [])
    }
}

extension String {
    /// Twelve digits after `Running in` and `container` differ each time.
    var replacingContainerNames: String {
        split(separator: "\n", omittingEmptySubsequences: false).map { line in
            for prefix in [" ---> Running in ", "Removing intermediate container "] where line.hasPrefix(prefix) {
                return prefix + "CONTAINER"
            }
            return String(line)
        }.joined(separator: "\n")
    }
}
