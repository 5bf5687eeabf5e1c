import JSON
import OCIImageSpec
import Testing

private let hex = String(repeating: "0123456789abcdef", count: 4)

private let goodNames: [(String, String, String, String)] = [
    ("busybox", "docker.io/library/busybox", "busybox", "busybox"),
    ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36", "busybox"),
    ("user/app", "docker.io/user/app", "user/app", "user/app"),
    ("docker.io/library/x:y", "docker.io/library/x:y", "x:y", "x"),
    ("index.docker.io/x", "docker.io/library/x", "x", "x"),
    ("localhost/x", "localhost/x", "localhost/x", "localhost/x"),
    ("localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b:c", "localhost:5000/a/b"),
    ("[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x:1", "[::1]:5000/x"),
    ("Host/x", "Host/x", "Host/x", "Host/x"),
    ("ghcr.io/a-b/c__d.e/f", "ghcr.io/a-b/c__d.e/f", "ghcr.io/a-b/c__d.e/f", "ghcr.io/a-b/c__d.e/f"),
    ("x@sha256:\(hex)", "docker.io/library/x@sha256:\(hex)", "x@sha256:\(hex)", "x"),
    ("x:t@sha256:\(hex)", "docker.io/library/x:t@sha256:\(hex)", "x:t@sha256:\(hex)", "x"),
    ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b", "library/a/b"),
]

private let longTag = String(repeating: "t", count: 129)
private let longName = String(repeating: "a", count: 256)

private let badNames: [(String, String)] = [
    ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
    ("reg.io/Foo:Tag", "invalid reference format: repository name (Foo) must be lowercase"),
    ("", "invalid reference format"), ("-x", "invalid reference format"), ("x:", "invalid reference format"),
    ("x:.t", "invalid reference format"), ("a//b", "invalid reference format"), ("a/", "invalid reference format"),
    ("a___b", "invalid reference format"), ("a..b", "invalid reference format"), ("x y", "invalid reference format"),
    ("x@sha256:abc", "invalid reference format"), ("host:port/x", "invalid reference format"), ("é", "invalid reference format"),
    ("x:\(longTag)", "invalid reference format"),
    (hex, "invalid repository name (\(hex)), cannot specify 64-byte hexadecimal strings"),
    ("x@sha256:\(hex.dropLast(2))", "invalid checksum digest length"), ("x@md5:\(hex)", "unsupported digest algorithm"),
    ("\(longName)/b", "repository name must not be more than 255 characters"),
]

@Suite struct References {
    @Test(arguments: goodNames) func normalised(text: String, full: String, familiar: String, name: String) throws {
        let reference = try ImageReference(text)
        #expect(reference.description == full)
        #expect(reference.familiar == familiar)
        #expect(reference.familiarName == name)
        #expect(try ImageReference(reference.description) == reference)
        #expect(try ImageReference(reference.familiar) == reference)
    }

    @Test func defaultTag() throws {
        #expect(try ImageReference("x").withDefaultTag.familiar == "x:latest")
        #expect(try ImageReference("x:1").withDefaultTag.familiar == "x:1")
        #expect(try ImageReference("x@sha256:\(hex)").withDefaultTag.tag == nil)
    }

    @Test(arguments: badNames) func refusedInDockersWords(text: String, message: String) {
        let error = #expect(throws: ReferenceError.self) { try ImageReference(text) }
        #expect(error?.description == message)
    }
}

@Suite struct Documents {
    @Test func digests() throws {
        #expect(try Digest("sha256:" + hex).short == "0123456789ab")
        #expect(throws: ReferenceError.self) { try Digest("sha256:" + hex.uppercased()) }
        #expect(throws: ReferenceError.self) { try Digest("sha256") }
        #expect(Digest(bytes: [0, 255] + Array(repeating: 1, count: 30)).hex.hasPrefix("00ff01"))
    }

    @Test func dockersConfigIsUnderstood() throws {
        let text = """
            {"architecture":"amd64","config":{"Hostname":"","User":"1","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Env":["A=b"],"Cmd":["sh"],
            "Healthcheck":{"Test":["CMD","x"],"Interval":30000000000,"Retries":3},"Volumes":{"/data":{}},"Entrypoint":null,
            "OnBuild":["RUN x"],"Labels":{"b":"2","a":"1"},"Shell":["/bin/sh","-c"],"StopSignal":"SIGINT","StopTimeout":5},
            "container":"abc","container_config":{"Cmd":["x"]},"created":"2024-01-02T03:04:05Z","docker_version":"20.10",
            "history":[{"created_by":"a","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:\(hex)"]},"os.version":"1"}
            """
        let config = try JSON.decode(ImageConfig.self, from: Array(text.utf8))
        #expect(config.config?.exposedPorts?.sorted == ["53/udp", "80/tcp"])
        #expect(config.config?.healthcheck?.interval == 30_000_000_000)
        #expect(config.config?.entrypoint == nil && config.config?.stopTimeout == 5 && config.containerConfig?.cmd == ["x"])
        #expect(config.rootfs.diffIDs.first?.hex == hex && config.osVersion == "1")
        let again = try JSON.encode(config)
        #expect(try JSON.decode(ImageConfig.self, from: again) == config)
        #expect(String(decoding: again, as: UTF8.self).contains(#""ExposedPorts":{"53/udp":{},"80/tcp":{}}"#))
    }

    @Test func emptyRootfs() throws {
        let config = try JSON.decode(
            ImageConfig.self,
            from: Array(#"{"architecture":"a","os":"linux","config":null,"rootfs":{"type":"layers","diff_ids":null}}"#.utf8))
        #expect(config.rootfs.diffIDs.isEmpty && config.config == nil)
        #expect(throws: (any Error).self) {
            try JSON.decode(ImageConfig.self, from: Array(#"{"architecture":"a","os":"linux","rootfs":{"diff_ids":["sha256:xyz"]}}"#.utf8))
        }
    }

    @Test func platforms() {
        #expect(Platform(parsing: "linux/arm/v7")?.description == "linux/arm/v7")
        #expect(Platform(parsing: "aarch64")?.description == "linux/arm64")
        #expect(Platform(parsing: "linux/x86_64")?.architecture == "amd64")
        #expect(Platform(parsing: "a/b/c/d") == nil && Platform(parsing: "linux/") == nil)
        #expect(Platform(os: "linux", architecture: "arm64").satisfies(Platform(os: "linux", architecture: "arm64", variant: "v8")))
    }
}

@Suite struct PlatformChoices {
    /// What an index has, what is asked for, and which entry it is.
    @Test(
        arguments: [
            ("linux/amd64 linux/arm64", "linux/amd64", "linux/amd64"), ("linux/arm64/v8", "linux/arm64", "linux/arm64/v8"),
            ("linux/arm64", "linux/arm64/v8", "linux/arm64"), ("linux/arm/v5 linux/arm/v7 linux/arm/v6", "linux/arm", "linux/arm/v7"),
            ("linux/arm/v5 linux/arm/v6", "linux/arm/v7", "linux/arm/v6"), ("linux/arm/v7", "linux/arm/v6", nil),
            ("linux/amd64/v3 linux/amd64", "linux/amd64", "linux/amd64"),
            ("linux/amd64/v3 linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v3"),
            ("linux/amd64 linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v2"), ("linux/386", "linux/amd64", "linux/386"),
            ("windows/amd64", "linux/amd64", nil), ("unknown/unknown linux/s390x", "linux/s390x", "linux/s390x"),
            ("linux/arm/v7", "linux/arm64", "linux/arm/v7"), ("", "linux/amd64", nil),
        ] as [(String, String, String?)])
    func choice(_ entries: String, _ wanted: String, _ expected: String?) throws {
        let digest = try Digest("sha256:" + String(repeating: "a", count: 64))
        let manifests = entries.split(separator: " ").map {
            Descriptor(mediaType: MediaType.ociManifest, digest: digest, size: 1, platform: Platform(parsing: String($0)))
        }
        #expect(try #require(Platform(parsing: wanted)).choose(from: manifests)?.platform?.description == expected)
    }
}
