import JSON
import Testing

@testable import EngineTypes

@Suite struct FiltersTests {
    @Test(
        arguments: [
            ("", [:]), ("{}", [:]), (#"{"a":["x","y"]}"#, ["a": ["x", "y"]]), (#"{"a":{"x":true}}"#, ["a": ["x"]]),
            (#"{"a":{"x":true,"y":false}}"#, ["a": ["x"]]), (#"{"a":null}"#, [:]), (#"{"a":[],"b":["c"]}"#, ["a": [], "b": ["c"]]),
        ] as [(String, [String: [String]])])
    func bothForms(_ text: String, _ expected: [String: [String]]) throws { #expect(try Filters(parsing: text).values == expected) }

    @Test(arguments: ["nonsense", "[]", "\"a\"", "1", #"{"a":"x"}"#, #"{"a":1}"#, #"{"label":[1]}"#, #"{"label":[["x"]]}"#, #"{"a":["#])
    func refused(_ text: String) {
        #expect { try Filters(parsing: text) } throws: { ($0 as? EngineError)?.code == .invalidParameter }
    }

    @Test func lookingUp() throws {
        let filters = Filters(["a": [], "b": ["c"]])
        #expect(filters["a"] == nil && filters["b"] == ["c"] && filters["z"] == nil && !filters.isEmpty)
        try filters.requireOnly(["a", "b", "c"])
        #expect { try filters.requireOnly(["a"]) } throws: { "\($0)" == "invalid filter 'b'" }
    }

    @Test(arguments: [
        ([], true), (["k"], true), (["k=v"], true), (["k=w"], false), (["x"], false), (["k", "e="], true), (["e"], true),
        (["k", "x"], false),
        (["q=a=b"], true), ([""], false),
    ])
    func labels(_ wanted: [String], _ expected: Bool) {
        #expect(Filters.labels(["k": "v", "e": "", "q": "a=b"], satisfy: wanted) == expected)
    }
}

@Suite struct CreateRequestTests {
    private func decode(_ text: String) throws -> ContainerCreateRequest {
        try JSON.decode(ContainerCreateRequest.self, from: Array(text.utf8))
    }

    @Test(
        arguments: [
            (#"{"Cmd":["ls","-l"]}"#, ["ls", "-l"]), (#"{"Cmd":"ls -l"}"#, ["ls -l"]), (#"{"Cmd":[]}"#, []), (#"{"Cmd":null}"#, nil),
            ("{}", nil),
        ] as [(String, [String]?)])
    func commandsAreWordsOrOneString(_ text: String, _ words: [String]?) throws { #expect(try decode(text).config.Cmd?.words == words) }

    @Test(arguments: [#"{"Cmd":7}"#, #"{"Cmd":[1]}"#, #"{"Cmd":{}}"#, #"{"HostConfig":{"Memory":"x"}}"#, #"{"Env":"A=b"}"#, "[]"])
    func refused(_ text: String) { #expect(throws: (any Error).self) { try decode(text) } }

    @Test func theMembersBesideTheConfiguration() throws {
        let request = try decode(
            #"{"Image":"i","Unknown":1,"HostConfig":{"Memory":5,"PortBindings":{"80/tcp":null}},"NetworkingConfig":{"EndpointsConfig":{"n":null}}}"#
        )
        #expect(request.config.Image == "i" && request.hostConfig?.Memory == 5)
        #expect(request.hostConfig?.PortBindings?.keys.contains("80/tcp") == true)
        #expect(request.networkingConfig?.EndpointsConfig?.keys.contains("n") == true)
    }

    @Test func encodingKeepsTheOrderAndLeavesOutWhatIsNotGiven() throws {
        var config = ContainerConfig()
        (config.Image, config.Hostname, config.Cmd) = ("i", "h", ["ls"])
        var host = HostConfig()
        (host.AutoRemove, host.Memory) = (true, 5)
        let text = String(decoding: try JSON.encode(ContainerCreateRequest(config: config, hostConfig: host)), as: UTF8.self)
        #expect(text == #"{"Hostname":"h","Cmd":["ls"],"Image":"i","HostConfig":{"Memory":5,"AutoRemove":true}}"#)
    }

    @Test func errorsHaveACodeAndOneLine() {
        #expect("\(EngineError.notImplemented("x"))" == "not implemented: x" && EngineError.notImplemented("x").code == .notImplemented)
        #expect(EngineError.notFound("x").code == .notFound && EngineError.conflict("x").code == .conflict)
    }
}
