import Testing

@testable import Linux

@Suite struct TextTests {
    @Test(arguments: [
        ("a file not found", "not found", true), ("not found", "not found", true), ("not foun", "not found", false), ("", "", true),
        ("abc", "", true), ("", "a", false), ("aab", "ab", true), ("größe", "öß", true), ("größe", "os", false),
    ])
    func includes(text: String, part: String, expected: Bool) { #expect(text.includes(part) == expected) }

    @Test(arguments: ResourceLimitKind.allCases) func limitsAreNamedAsTheirCases(_ kind: ResourceLimitKind) {
        #expect(kind.name == "RLIMIT_\(kind)".uppercased())
        #expect(ResourceLimitKind(name: kind.name) == kind)
    }
}
