import Testing

@testable import Dockerfile

@Suite("Dockerfile: expansion")
struct WordExpanderTests {
    private static let variables = [
        "x": "value", "empty": "", "path": "a/b/c.tar.gz", "ports": "80 443", "_y1": "why", "star": "*", "q": "a'b\"c",
    ]
    private let expander = WordExpander(escape: "\\") { WordExpanderTests.variables[$0] }

    @Test(arguments: [
        ("plain", "plain"), ("$x", "value"), ("${x}", "value"), ("$x.y", "value.y"), ("a$x-$_y1", "avalue-why"), ("$unset", ""),
        ("${unset}", ""),
        ("\\$x", "$x"), ("\\${x}", "${x}"), ("'$x'", "$x"), ("\"$x\"", "value"), ("\"\\$x\"", "$x"), ("\"a\\\"b\"", "a\"b"),
        ("\"a\\nb\"", "a\\nb"),
        ("'a\\'", "a\\"), ("a\\ b", "a b"), ("a\\", "a"), ("$", "$"), ("a$", "a$"), ("$.", "$."), ("$1x", "x"), ("a b  c", "a b  c"),
        ("${unset:-d}", "d"), ("${empty:-d}", "d"), ("${x:-d}", "value"), ("${unset-d}", "d"), ("${empty-d}", ""), ("${x-d}", "value"),
        ("${unset:+d}", ""), ("${empty:+d}", ""), ("${x:+d}", "d"), ("${unset+d}", ""), ("${empty+d}", "d"), ("${x+d}", "d"),
        ("${unset:-$x}", "value"), ("${unset:-${empty:-deep}}", "deep"), ("${unset:-\"a b\"}", "a b"), ("${unset:-a\\}b}", "a}b"),
        ("${unset:-'}'}", "}"),
        ("${x:?no}", "value"), ("${empty?no}", ""),
        ("${path#*/}", "b/c.tar.gz"), ("${path##*/}", "c.tar.gz"), ("${path%.*}", "a/b/c.tar"), ("${path%%.*}", "a/b/c"),
        ("${path#x}", "a/b/c.tar.gz"),
        ("${path%/*}", "a/b"), ("${path#?}", "/b/c.tar.gz"), ("${star#\\*}", ""), ("${x#\\*}", "value"),
        ("${path/\\//-}", "a-b/c.tar.gz"), ("${path//\\//-}", "a-b-c.tar.gz"), ("${x/a*e/X}", "vX"), ("${x//?/z}", "zzzzz"),
        ("${x/l/}", "vaue"), ("${x//q/z}", "value"),
        ("$q", "a'b\"c"), ("ü${x}é", "üvalueé"),
    ])
    func words(text: String, expected: String) throws {
        #expect(try expander.word(text) == expected)
    }

    @Test(arguments: [
        ("$ports 8080", ["80", "443", "8080"]), ("\"$ports\"", ["80 443"]), ("a$ports", ["a80", "443"]), ("$empty \"\" x", ["x"]),
        ("'a b' c\\ d", ["a b", "c d"]),
    ])
    func splitting(text: String, expected: [String]) throws {
        #expect(try expander.words(text) == expected)
    }

    @Test(arguments: [
        ("${b", "failed to process \"${b\": syntax error: missing '}'"),
        ("${", "failed to process \"${\": syntax error: missing '}'"),
        ("${b:", "failed to process \"${b:\": syntax error: missing '}'"),
        ("${b:-x", "failed to process \"${b:-x\": syntax error: missing '}'"),
        ("${b:*c}", "failed to process \"${b:*c}\": unsupported modifier (:*) in substitution"),
        ("${b:#c}", "failed to process \"${b:#c}\": unsupported modifier (:#) in substitution"),
        ("${b.c}", "failed to process \"${b.c}\": unsupported modifier (.) in substitution"),
        ("${}", "failed to process \"${}\": syntax error: bad substitution"),
        ("${b:?msg}", "failed to process \"${b:?msg}\": b: msg"),
        ("${b?}", "failed to process \"${b?}\": b: is not allowed to be unset"),
        ("${empty:?}", "failed to process \"${empty:?}\": empty: is not allowed to be empty"),
        ("\"b", "failed to process \"\\\"b\": unexpected end of statement while looking for matching double-quote"),
        ("'b", "failed to process \"'b\": unexpected end of statement while looking for matching single-quote"),
    ])
    func failures(text: String, message: String) throws {
        let error = #expect(throws: ExpansionError.self) { try expander.word(text) }
        #expect(error?.description == message)
    }

    @Test func heredocBodiesKeepTheirQuotes() throws {
        var options = WordExpander.Options()
        options.ignoresQuotes = true
        let expander = WordExpander(escape: "\\", options: options) { Self.variables[$0] }
        #expect(try expander.word("it's \"$x\" \\$x\n") == "it's \"value\" $x\n")
    }

    @Test func patternsDoNotExplode() throws {
        let long = String(repeating: "a", count: 20_000)
        let expander = WordExpander(escape: "\\") { _ in long }
        #expect(try expander.word("${x#*a*a*a*a*a*a*b}") == long)
    }
}
