import JSON
import Testing
import YAML

private func json(_ text: String) throws -> String { try #require(try YAML.parse(Array(text.utf8), path: "f.yaml")).json.text() }

@Suite struct YAMLTests {
    @Test(arguments: [
        ("a: 1", #"{"a":1}"#), ("a: [1, x, 'x', \"1\"]", #"{"a":[1,"x","x","1"]}"#), ("- ~\n- null\n-", "[null,null,null]"),
        ("a: true\nb: False\nc: yes", #"{"a":true,"b":false,"c":"yes"}"#),
        ("a: 0o17\nb: 0x1F\nc: 017\nd: -5", #"{"a":15,"b":31,"c":17,"d":-5}"#),
        ("a: 1.5\nb: 1.25e1\nc: 1.2.3\nd: '1.5'", #"{"a":1.5,"b":12.5,"c":"1.2.3","d":"1.5"}"#),
        ("a: |\n  two\n  lines\n", #"{"a":"two\nlines\n"}"#), ("x: &y {k: v}\nz: *y", #"{"x":{"k":"v"},"z":{"k":"v"}}"#),
    ])
    func documents(_ text: String, _ expected: String) throws { #expect(try json(text) == expected) }

    @Test func nothing() throws { #expect(try YAML.parse([], path: "f") == nil) }

    @Test(arguments: [("a: [1", "f.yaml:"), ("a: &x [*x]", "nested too deeply")])
    func refused(_ text: String, _ words: String) {
        do {
            _ = try YAML.parse(Array(text.utf8), path: "f.yaml")
            Issue.record("accepted")
        } catch { #expect("\(error)".contains(words)) }
    }
}
