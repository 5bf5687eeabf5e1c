import EngineTypes
import Linux
import Testing

@testable import Engine

@Suite struct PruneFilterTests {
    private let old = Timestamp("2026-01-01T00:00:00Z")

    @Test(arguments: [
        ("label", "a", true), ("label", "a=b", true), ("label", "a=c", false), ("label!", "a", false), ("label!", "a=c", true),
        ("until", "24h", true), ("until", "2025-12-31", false), ("until", "2026-01-01T00:00:00Z", true), ("until", "1700000000", false),
    ])
    func matches(_ name: String, _ value: String, _ expected: Bool) throws {
        let filter = try PruneFilter(Filters([name: [value]]))
        #expect(filter.matches(labels: ["a": "b"], created: old) == expected)
    }

    /// As in BuildKit, and there alone.
    @Test func anAgeWithoutAValueIsNoneForTheBuildersCache() throws {
        _ = try BuildCacheFilter(Filters(["until": []]))
    }

    @Test func whatHasNoAgeIsNeverOldEnough() throws {
        let filter = try PruneFilter(Filters(["until": ["1s"]]))
        #expect(!filter.matches(labels: [:], created: nil) && !filter.matches(labels: [:], created: .never))
    }

    @Test(arguments: [
        ("colour", ["red"], "invalid filter 'colour'"), ("until", ["1h", "2h"], "more than one until filter specified"),
        ("until", [], "invalid filter 'until'"), ("until", [""], "failed to parse value as time or duration: \"\""),
        ("until", ["soon"], "failed to parse value as time or duration: \"soon\""),
    ])
    func refused(_ name: String, _ values: [String], _ text: String) {
        #expect(message { _ = try PruneFilter(Filters([name: values])) } == text)
    }

    @Test(
        arguments: [
            (["true"], true), (["1"], true), (["false"], false), (["0"], false), (nil, nil),
        ] as [([String]?, Bool?)])
    func booleans(_ values: [String]?, _ expected: Bool?) throws {
        #expect(try Filters(values.map { ["dangling": $0] } ?? [:]).flag("dangling") == expected)
    }

    @Test(arguments: [
        (["yes"], "invalid filter 'dangling=[yes]'"), (["true", "false"], "invalid filter 'dangling=[false true]'"),
        ([], "invalid filter 'dangling'"),
    ])
    func noBooleans(_ values: [String], _ text: String) {
        #expect(message { _ = try Filters(["dangling": values]).flag("dangling") } == text)
    }

    @Test func namePatterns() {
        let patterns = NamePatterns(["^web", "a+b", "["])
        #expect(patterns?.matches("web-1") == true && patterns?.matches("xaab") == true && patterns?.matches("[") == true)
        #expect(patterns?.matches("my-web") == false && NamePatterns(nil) == nil)
    }
}
