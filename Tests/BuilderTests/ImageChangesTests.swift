import OCIImageSpec
import Testing

@testable import Builder

@Suite struct ImageChangesTests {
    @Test func changes() throws {
        var config = RunConfig()
        config.env = ["A=1"]
        let changed = try ImageChanges.apply(
            [
                #"CMD ["a","b"]"#, "entrypoint run it", "ENV B=2", "ENV C three four", "USER ann", "WORKDIR /w", "STOPSIGNAL SIGINT",
                #"LABEL k="a b""#, "EXPOSE 80 53/udp", #"VOLUME ["/x"]"#,
            ], to: config)
        #expect(
            changed.cmd == ["a", "b"] && changed.entrypoint == ["/bin/sh", "-c", "run it"] && changed.env == ["A=1", "B=2", "C=three four"])
        #expect(changed.user == "ann" && changed.workingDir == "/w" && changed.stopSignal == "SIGINT" && changed.labels == ["k": "a b"])
        #expect(changed.exposedPorts?.sorted == ["53/udp", "80/tcp"] && changed.volumes?.sorted == ["/x"])
    }

    @Test(arguments: [
        ("RUN x", "run is not a valid change command"), ("", "file with no instructions"),
        ("STOPSIGNAL NOPE", "Invalid signal: NOPE"), ("EXPOSE 99999", "Invalid containerPort: 99999"),
        ("USER a\n\nFROM b", "from is not a valid change command"), ("ENV A=1 \\\n  B=2\nADD x y", "add is not a valid change command"),
    ])
    func refused(_ change: String, _ text: String) {
        do {
            _ = try ImageChanges.apply([change], to: RunConfig())
            Issue.record("accepted")
        } catch { #expect(error.message == text && error.code == .invalid) }
    }

    @Test func severalPairsChecksAndTriggers() throws {
        let changed = try ImageChanges.apply(
            ["ENV A=1 B=2", "ENV C=${A}x", "HEALTHCHECK --interval=5s CMD true", "ONBUILD RUN x", #"SHELL ["/bin/ash"]"#], to: RunConfig())
        #expect(changed.env == ["A=1", "B=2", "C=1x"] && changed.onBuild == ["RUN x"] && changed.shell == ["/bin/ash"])
        #expect(changed.healthcheck?.test == ["CMD-SHELL", "true"] && changed.healthcheck?.interval == 5_000_000_000)
    }

    @Test func severalInstructionsInOneText() throws {
        let changed = try ImageChanges.apply(["# as in a Dockerfile\nENV A=1 \\\n  B=2\n\nUSER ann", "LABEL x=y"], to: RunConfig())
        #expect(changed.env == ["A=1", "B=2"] && changed.user == "ann" && changed.labels == ["x": "y"])
    }
}
