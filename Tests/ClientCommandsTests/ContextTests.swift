import Glibc
import JSON
import Linux
import Testing

@testable import ClientCommands

@Suite struct Contexts {
    /// FIPS 180-4's examples, and the directory that Docker's client makes for a context named "remote".
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        ("remote", "b71199ebd070b36beab7317920c2c2f1d777df8d05e5527d8458fda57cb17a7a"),
    ])
    func namesOfDirectories(_ text: String, _ digest: String) { #expect(NameDigest.hexadecimal(text) == digest) }

    @Test(arguments: ["x", "default", "bad name", "-x", "", "a/b"])
    func refusedNames(_ name: String) { #expect(throws: Failure.self) { try ContextStore.check(name) } }

    @Test func writtenReadRemoved() throws {
        let directory = "/tmp/clp-contexts-\(getpid())"
        defer { try? Files.removeTree(directory) }
        let store = ContextStore(directory: directory)
        var made = StoredContext(name: "one", description: "", host: "unix:///a")
        made.setDescription("words")
        try store.write(made)
        try store.write(made.named("two"))
        #expect(store.all().map(\.name) == ["one", "two"])
        #expect(try store.read("two").description == "words")
        #expect(try store.read("two").host == "unix:///a")
        try store.remove("one")
        #expect(!store.exists("one"))
        #expect(throws: Failure.self) { try store.read("one") }
    }

    /// A context is there as a whole or not at all, and a change that fails leaves it as it was.
    @Test func whatFailsIsNotHalfDone() throws {
        let directory = "/tmp/clp-context-tls-\(getpid())"
        defer { try? Files.removeTree(directory) }
        let store = ContextStore(directory: directory)
        func tls(_ name: String, _ byte: UInt8) -> ContextTLS { ContextTLS(endpoints: ["docker": ["ca.pem": [byte], name: [byte]]]) }
        func context(_ name: String, _ host: String) -> StoredContext { StoredContext(name: name, description: "", host: host) }
        // Files that cannot be written: the second one's name is too long.
        let long = String(repeating: "x", count: 300)
        #expect(throws: SystemError.self) { try store.write(context("new", "unix:///a"), tls(long, 1)) }
        #expect(!store.exists("new"))
        try store.write(context("one", "unix:///a"), tls("key.pem", 1))
        #expect(throws: SystemError.self) { try store.write(context("one", "unix:///b"), tls(long, 2)) }
        #expect(try store.read("one").host == "unix:///a" && store.tls("one") == tls("key.pem", 1))
        // Metadata that cannot be written: directories are in the way.
        for name in ["one", "new"] {
            try Files.removeTree("\(store.metadataPath(name))/meta.json")
            try Files.makeDirectories("\(store.metadataPath(name))/meta.json")
            #expect(throws: SystemError.self) { try store.write(context(name, "unix:///b"), tls("cert.pem", 2)) }
            try Files.removeTree("\(store.metadataPath(name))/meta.json")
        }
        #expect(try store.tls("one") == tls("key.pem", 1) && store.tls("new") == ContextTLS())
        try store.write(context("one", "unix:///b"), tls("cert.pem", 2))
        #expect(try store.read("one").host == "unix:///b" && store.tls("one") == tls("cert.pem", 2))
        #expect(try Files.list("\(directory)/contexts/tls") == [NameDigest.hexadecimal("one")])
        try store.write(context("one", "unix:///b"), ContextTLS())
        #expect(try Files.list("\(directory)/contexts/tls").isEmpty)
    }

    /// What this client does not know of a context outlives its changes.
    @Test func unknownMembersStay() throws {
        var context = try StoredContext(JSONValue(parsing: #"{"Name":"n","Metadata":{"Other":1},"Endpoints":{"k":{"H":2}}}"#), path: "p")
        context.setEndpoint("unix:///b", skipsVerification: true)
        context.setDescription("d")
        #expect(context.document["Metadata"]?["Other"]?.intValue == 1)
        #expect(context.document["Endpoints"]?["k"]?["H"]?.intValue == 2)
        #expect(context.host == "unix:///b" && context.skipsVerification)
    }

    @Test func currentContextOfEachProgram() throws {
        let directory = "/tmp/clp-context-use-\(getpid())"
        defer { try? Files.removeTree(directory) }
        try Files.makeDirectories(directory)
        try Files.replace("\(directory)/config.json", with: Array(#"{"auths":{"r":{}},"currentContext":"dockers"}"#.utf8))
        let clipper = ClientConfiguration(directory: directory, program: "clipper")
        #expect(clipper.currentContext == nil)
        try clipper.setCurrentContext("ours")
        #expect(clipper.currentContext == "ours")
        let docker = ClientConfiguration(directory: directory, program: "docker")
        #expect(docker.currentContext == "dockers")
        try docker.setCurrentContext(nil)
        #expect(docker.currentContext == nil)
        #expect(try JSONValue(parsing: Files.read("\(directory)/config.json"))["auths"]?["r"] != nil)
    }
}

@Suite struct CopyPaths {
    @Test(arguments: [
        ("/a/b", "/a", "b"), ("/a/b/", "/a", "b"), ("/a/b/.", "/a/b", "."), ("a", ".", "a"), ("/", "/", "/"), ("/a", "/", "a"),
        (".", ".", "."),
    ])
    func split(_ path: String, _ directory: String, _ name: String) {
        let parts = CopyPath.split(path)
        #expect(parts.directory == directory)
        #expect(parts.name == name)
    }

    @Test func places() throws {
        func place(_ isDirectory: Bool, _ target: String, _ exists: Bool, _ targetIsDirectory: Bool) throws -> String {
            let found = try CopyPath.place(isDirectory: isDirectory, at: target, exists: exists, targetIsDirectory: targetIsDirectory)
            return "\(found.into) \(found.name ?? "-")"
        }
        #expect(try place(false, "/d", true, true) == "/d -")
        #expect(try place(true, "/d", true, true) == "/d -")
        #expect(try place(false, "/d/f", true, false) == "/d f")
        #expect(try place(false, "/d/new", false, false) == "/d new")
        #expect(try place(true, "/d/new/", false, false) == "/d new")
        #expect(throws: Failure.self) { try place(true, "/d/f", true, false) }
        #expect(throws: Failure.self) { try place(false, "/d/new/", false, false) }
    }

    @Test func links() {
        #expect(CopyPath.target("/x", of: "/a/b") == "/x")
        #expect(CopyPath.target("../x", of: "/a/b") == "/x")
        #expect(CopyPath.target("x", of: "/a/b") == "/a/x")
    }
}
