import Linux
import Testing

@Suite struct GoDurationTests {
    @Test(arguments: [
        ("1h30m", 5_400_000_000_000), ("500ms", 500_000_000), ("1.5s", 1_500_000_000), ("0", 0), ("-2s", -2_000_000_000), ("3us", 3000),
    ])
    func durations(_ text: String, _ nanoseconds: Int64) { #expect(GoDuration.nanoseconds(text) == nanoseconds) }

    @Test(arguments: ["", "5", "s", "1x", "1.s.", "-", "1h 2m"])
    func noDurations(_ text: String) { #expect(GoDuration.nanoseconds(text) == nil) }
}
