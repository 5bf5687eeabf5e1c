import CLinux
import EngineTypes
import Glibc
import JSON
import Linux
import OCIImageSpec
import Testing

@testable import ClientCommands

/// A configuration directory, and a helper program in it that keeps what it is told in a file beside it.
private func withConfiguration(_ text: String, _ body: (RegistryAuth, String) throws -> Void) throws {
    let directory = "/tmp/clp-credentials-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try Files.makeDirectories(directory)
    defer { try? Files.removeTree(directory) }
    if !text.isEmpty { try Files.write("\(directory)/config.json", text) }
    try body(RegistryAuth(configuration: ClientConfiguration(directory: directory, program: "clipper")), directory)
}

private func decoded(_ header: String) throws -> JSONValue { try JSONValue(parsing: try #require(Base64.decode(header))) }

@Suite struct Credentials {
    @Test(arguments: [
        ("", "https://index.docker.io/v1/"), ("docker.io", "https://index.docker.io/v1/"),
        ("https://index.docker.io/v1/", "https://index.docker.io/v1/"), ("registry-1.docker.io", "https://index.docker.io/v1/"),
        ("https://reg.example:5000/v2/", "reg.example:5000"), ("ghcr.io", "ghcr.io"), ("http://a/b", "a"),
    ])
    func serverNames(_ named: String, _ expected: String) { #expect(RegistryAuth.server(named: named) == expected) }

    @Test func headersOfWhatTheFileKeeps() throws {
        let file = """
            {"auths": {"https://index.docker.io/v1/": {"auth": "aHViOnBhOnNz"}, "https://old.example/v1/": {"auth": "bzpw"},
             "acr.example": {"auth": "MDA6", "identitytoken": "refresh"}, "tok.example": {"registrytoken": "t"}, "bad.example": {"auth": "!"}}}
            """
        try withConfiguration(file) { auth, _ in
            let hub: JSONValue = ["username": "hub", "password": "pa:ss", "serveraddress": "https://index.docker.io/v1/"]
            #expect(try decoded(auth.header(for: "busybox")) == hub)
            #expect(try decoded(auth.header(for: "docker.io/a/b:c")) == hub)
            #expect(try decoded(auth.header(for: "old.example/x"))["username"] == "o")
            #expect(try decoded(auth.header(for: "acr.example/x"))["identitytoken"] == "refresh")
            #expect(try decoded(auth.header(for: "tok.example/x"))["registrytoken"] == "t")
            let nobody = try auth.header(for: "elsewhere.example/x")
            #expect(nobody == "e30=")
            #expect(throws: Failure.self) { try auth.header(for: "bad.example/x") }
        }
    }

    @Test func headersHaveTheURLsAlphabet() throws {
        let header = RegistryAuth.header(AuthConfig(username: "\u{FF}\u{FE}?>", password: "~~~???>>>"))
        #expect(header.allSatisfy { $0.isLetter || $0.isNumber || "-_=".contains($0) })
        #expect(try decoded(header)["password"] == "~~~???>>>")
    }

    @Test func loginsKeepTheRestOfTheFile() throws {
        try withConfiguration(#"{"psFormat": "x", "auths": {"a": {"auth": "YTpi"}}}"#) { auth, directory in
            let store = auth.configuration.credentialStore(for: "b")
            try store.keep(AuthConfig(username: "u", password: "p", identitytoken: "i"), for: "b")
            let document = try JSONValue(parsing: Files.read("\(directory)/config.json"))
            #expect(document["psFormat"] == "x" && document["auths"]?["a"]?["auth"] == "YTpi")
            #expect(document["auths"]?["b"] == ["auth": "dTpw", "identitytoken": "i"])
            try store.forget("a")
            #expect(try store.all().keys.sorted() == ["b"])
            let mode = try OwnedFD.open("\(directory)/config.json").status().st_mode
            #expect(mode & 0o777 == 0o600)
        }
    }

    @Test func aFileThatIsALinkStaysOne() throws {
        try withConfiguration("") { auth, directory in
            try Files.write("\(directory)/real.json", "{}")
            #expect(symlink("real.json", "\(directory)/config.json") == 0)
            try auth.configuration.credentialStore(for: "b").keep(AuthConfig(username: "u", password: "p"), for: "b")
            #expect(try Files.readText("\(directory)/real.json").contains("dTpw"))
        }
    }
}

/// Through PATH, which all tests of this process share: the helper's name is this suite's own.
@Suite(.serialized) struct CredentialHelpers {
    private static let script = """
        #!/bin/sh
        cd "$CLP_HELPER_STATE" || exit 9
        case $1 in
        store) cat >kept; echo stored >>log ;;
        get) read server; [ "$server" = fails ] && { echo "the keychain is locked"; exit 3; }
            [ "$server" = reg.example ] || { echo "credentials not found in native keychain"; exit 1; }
            echo '{"ServerURL":"reg.example","Username":"<token>","Secret":"s3cret"}' ;;
        erase) cat >>log ;;
        list) echo '{"reg.example":"<token>","gone.example":"u"}' ;;
        esac
        """

    private func withHelper(_ text: String, _ body: (RegistryAuth, String) throws -> Void) throws {
        try withConfiguration(text) { auth, directory in
            let program = "\(directory)/docker-credential-clptest"
            try Files.write(program, Self.script)
            chmod(program, 0o755)
            let path = String(cString: getenv("PATH"))
            setenv("PATH", "\(directory):\(path)", 1)
            setenv("CLP_HELPER_STATE", directory, 1)
            defer { setenv("PATH", path, 1) }
            try body(auth, directory)
        }
    }

    @Test func areAskedForTheirRegistries() throws {
        try withHelper(#"{"credHelpers": {"reg.example": "clptest", "fails": "clptest"}, "auths": {"other.example": {"auth": "dTpw"}}}"#) {
            auth, _ in
            #expect(try decoded(auth.header(for: "reg.example/x")) == ["serveraddress": "reg.example", "identitytoken": "s3cret"])
            #expect(try auth.credentials(server: "other.example")?.username == "u")
            let error = #expect(throws: Failure.self) { try auth.credentials(server: "fails") }
            #expect(error?.message == "error getting credentials - err: exit status 3, out: `the keychain is locked`")
            var warnings: [String] = []
            let all = try decoded(auth.allHeader { warnings.append($0) })
            #expect(all["reg.example"]?["identitytoken"] == "s3cret" && all["other.example"]?["password"] == "p")
            #expect(warnings.count == 1)
        }
    }

    @Test func keepAndForget() throws {
        try withHelper(#"{"credsStore": "clptest"}"#) { auth, directory in
            let store = auth.configuration.credentialStore(for: "new.example")
            #expect(try store.find("new.example") == nil)
            try store.keep(AuthConfig(username: "u", password: "p"), for: "new.example")
            #expect(
                try JSONValue(parsing: Files.read("\(directory)/kept"))
                    == ["ServerURL": "new.example", "Username": "u", "Secret": "p"])
            #expect(try JSONValue(parsing: Files.read("\(directory)/config.json"))["auths"] == ["new.example": [:]])
            try store.forget("new.example")
            #expect(try JSONValue(parsing: Files.read("\(directory)/config.json"))["auths"] == [:])
            #expect(try Files.readText("\(directory)/log") == "stored\nnew.example")
        }
    }

    @Test func thatAreMissingSaySo() throws {
        try withConfiguration(#"{"credsStore": "clp-none"}"#) { auth, _ in
            let error = #expect(throws: Failure.self) { try auth.header(for: "reg.example/x") }
            #expect(
                error?.message
                    == "error getting credentials - err: exec: \"docker-credential-clp-none\": executable file not found in $PATH, out: ``")
        }
    }
}

@Suite struct ManifestDocuments {
    @Test func haveATabForEachLevel() {
        let document = #"{"a": {"b" :"  x\"{\u0041\\"}, "c":[ ],"d":[1e2, {"e":{}}]} "#
        let expected = """
            {
            \t"a": {
            \t\t"b": "  x\\"{\\u0041\\\\"
            \t},
            \t"c": [],
            \t"d": [
            \t\t1e2,
            \t\t{
            \t\t\t"e": {}
            \t\t}
            \t]
            }
            """
        #expect(GoJSON.tabbed(Array(document.utf8)) == expected)
        #expect(GoJSON.htmlSafe("\"<&>\u{2028}\"") == #""\u003c\u0026\u003e\u2028""#)
    }

    private let entry = ManifestEntry(
        name: "reg:5000/team/app:1", mediaType: MediaType.dockerManifest, digest: "sha256:1",
        platform: Platform(os: "linux", architecture: "arm", variant: "v7", osFeatures: ["a"]), bytes: Array("{ }".utf8))

    @Test func entriesAreWhatDockersClientKeeps() throws {
        let platform = #"{"architecture":"arm","os":"linux","os.features":["a"],"variant":"v7"}"#
        let descriptor = #"{"mediaType":"\#(MediaType.dockerManifest)","digest":"sha256:1","size":3,"platform":\#(platform)}"#
        #expect(
            try entry.document == #"{"Ref":"reg:5000/team/app:1","Descriptor":\#(descriptor),"Raw":"eyB9","SchemaV2Manifest":{ }}"#)
        let again = try ManifestEntry(document: try JSONValue(parsing: try entry.document))
        #expect(again.bytes == entry.bytes && again.platform == entry.platform && again.name == entry.name)
    }

    /// docker 20.10 keeps no `Raw`: what it made anew must be what the digest says.
    @Test func entriesWithoutTheirBytes() throws {
        let bytes = Array("{\n   \"schemaVersion\": 2\n}".utf8)
        func document(_ digest: String) throws -> JSONValue {
            try JSONValue(
                parsing: #"{"Ref":"r/a:1","Descriptor":{"mediaType":"x","digest":"\#(digest)"},"SchemaV2Manifest":{"schemaVersion":2}}"#)
        }
        let digest = "sha256:" + NameDigest.hexadecimal(String(decoding: bytes, as: UTF8.self))
        #expect(try ManifestEntry(document: document(digest)).bytes == bytes)
        let error = #expect(throws: Failure.self) { try ManifestEntry(document: try document("sha256:1")) }
        #expect(error?.message == "internal digest mismatch for r/a:1: expected sha256:1, got \(digest)")
    }
}
