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
    ("Host/x", "Host/x", "Host/x", "Host/x"), ("a_b.c/x", "a_b.c/x", "a_b.c/x", "a_b.c/x"),
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
    ("x@sha256:abc", "invalid reference format"), ("host:port/x", "invalid reference format"),
    ("a-.c/x", "invalid reference format"), ("a_b:5000/x", "invalid reference format"), ("é", "invalid reference format"),
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
}

@Suite struct Platforms {
    /// As containerd's Parse reads them.
    @Test(
        arguments: [
            ("linux/arm/v7", "linux/arm/v7"), ("linux/arm", "linux/arm"), ("armhf", "linux/arm"), ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"), ("aarch64", "linux/arm64"), ("linux/arm64/8", "linux/arm64/v8"),
            ("linux/arm64", "linux/arm64"), ("LINUX/X86_64/v1", "linux/amd64"), ("macOS/i386/x", "darwin/386"), ("s390x", "linux/s390x"),
            ("other/thing/v2", "other/thing/v2"), ("freebsd", "freebsd/\(Platform.host.architecture)"),
        ])
    func parsed(_ text: String, _ expected: String) throws { #expect(try Platform(parsing: text).description == expected) }

    @Test(
        arguments: [
            ("a/b/c/d", "\"a/b/c/d\": cannot parse platform specifier"),
            ("nonsense", "\"nonsense\": unknown operating system or architecture"),
            ("linux/*", "\"linux/*\": wildcards not yet supported"),
            ("linux/", "\"\" is an invalid component of \"linux/\": platform specifier component must match \"^[A-Za-z0-9_.-]+$\""),
            (
                ".",
                "\".\" is an invalid OS component of \".\": OSAndVersion specifier component must match "
                    + #""^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)\\))?$""#
            ),
        ])
    func refused(_ text: String, _ words: String) {
        #expect { try Platform(parsing: text) } throws: { "\($0)" == "\(words): invalid argument" }
    }

    /// What an image is for, what is asked for, and whether that runs: as containerd's Only, with Docker's fallback.
    @Test(
        arguments: [
            ("linux/arm64", "linux/arm64/v8", true), ("linux/arm64/v8", "linux/arm64", true), ("linux/386", "linux/amd64", true),
            ("linux/amd64", "linux/386", false), ("linux/amd64", "linux/amd64/v3", true), ("linux/amd64/v2", "linux/amd64/v3", true),
            ("linux/amd64/v3", "linux/amd64", false), ("linux/arm/v6", "linux/arm", true), ("linux/arm/v8", "linux/arm", false),
            ("linux/arm", "linux/arm/v6", true), ("linux/arm/v7", "linux/arm64", true), ("linux/arm64/v8.2", "linux/arm64/v8.3", true),
            ("linux/arm64/v8.3", "linux/arm64/v8.2", false), ("linux/arm64/v8.5", "linux/arm64/v9", true),
            ("linux/arm64/v8.6", "linux/arm64/v9", false), ("windows/amd64", "linux/amd64", false), ("linux/x/v1", "linux/x/v1", true),
            ("linux/x/v1", "linux/x", false), ("linux/arm64/odd", "linux/arm64/odd", true), ("linux/arm64", "linux/arm64/odd", true),
        ])
    func fitting(_ own: String, _ wanted: String, _ expected: Bool) throws {
        #expect(try Platform(parsing: own).satisfies(Platform(parsing: wanted)) == expected)
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
            Descriptor(mediaType: MediaType.ociManifest, digest: digest, size: 1, platform: try? Platform(parsing: String($0)))
        }
        #expect(try Platform(parsing: wanted).choose(from: manifests)?.platform?.description == expected)
    }
}
