import Testing

@testable import ClientUI

@Suite struct People {
    @Test(arguments: [
        (0.0, "0B"), (999, "999B"), (1000, "1kB"), (1_982_144, "1.982MB"), (1_090_000, "1.09MB"), (999_999, "1000kB"),
        (44_251_000_000, "44.25GB"), (12_345, "12.35kB"),
    ])
    func decimalSizes(_ bytes: Double, _ text: String) { #expect(HumanSize.decimal(bytes) == text) }

    @Test(arguments: [(1_982_144.0, "1.98MB"), (77_800_000, "77.8MB"), (123_456_789, "123MB"), (5, "5B")])
    func sizesOfImages(_ bytes: Double, _ text: String) { #expect(HumanSize.decimal(bytes, precision: 3) == text) }

    @Test func binarySizes() {
        #expect(HumanSize.binary(25_276_000_000) == "23.54GiB")
        #expect(HumanSize.binary(0) == "0B")
    }

    @Test(arguments: [
        (Int64(0), "Less than a second"), (1, "1 second"), (46, "46 seconds"), (60, "About a minute"), (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"), (3600, "About an hour"), (7200, "2 hours"), (86400, "24 hours"), (172_800, "2 days"), (1_209_600, "2 weeks"),
        (5_184_000, "2 months"), (63_072_000, "2 years"),
    ])
    func durations(_ seconds: Int64, _ text: String) { #expect(HumanDuration.text(seconds: seconds) == text) }

    @Test func tables() {
        var table = Table()
        table.add(["CONTAINER ID", "NAME", "X"])
        table.add(["1", "a-long-name-é", "last one is never padded"])
        table.add(["2", "", ""])
        #expect(
            table.text()
                == "CONTAINER ID   NAME            X\n1              a-long-name-é   last one is never padded\n2                              \n"
        )
        var narrow = Table()
        narrow.add(["A", "B"])
        #expect(narrow.text() == "A         B\n")
        var wide = Table()
        wide.add(["NAME", "X"])
        wide.add(["日本語の長い", "1"])
        wide.add(["cafe\u{301} 🐳", "2"])
        #expect(wide.text() == "NAME           X\n日本語の長い   1\ncafe\u{301} 🐳        2\n")
    }

    @Test(arguments: [
        ("abc", 3, "abc"), ("abcd", 3, "ab…"), ("日本語", 6, "日本語"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("a日本", 4, "a日…"),
        ("", 5, ""), ("ab", 0, ""), ("e\u{301}e\u{301}", 2, "e\u{301}e\u{301}"),
    ])
    func ellipses(_ text: String, _ width: Int, _ expected: String) { #expect(DisplayWidth.ellipsis(text, width) == expected) }
}
