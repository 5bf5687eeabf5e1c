import Linux
import Testing

@Suite struct GoDurationTests {
    @Test(arguments: [
        ("1h30m", 5_400_000_000_000), ("500ms", 500_000_000), ("1.5s", 1_500_000_000), ("0", 0), ("-2s", -2_000_000_000), ("3us", 3000),
    ])
    func durations(_ text: String, _ nanoseconds: Int64) { #expect(GoDuration.nanoseconds(text) == nanoseconds) }

    @Test(arguments: [
        (0, "0s"), (1, "1ns"), (1500, "1.5µs"), (500_000_000, "500ms"), (1_500_000_000, "1.5s"), (60_000_000_000, "1m0s"),
        (5_400_250_000_000, "1h30m0.25s"), (-2_000_000_000, "-2s"),
    ])
    func texts(_ nanoseconds: Int64, _ text: String) { #expect(GoDuration.text(nanoseconds) == text) }

    @Test(arguments: ["", "5", "s", "1x", "1.s.", "-", "1h 2m"])
    func noDurations(_ text: String) { #expect(GoDuration.nanoseconds(text) == nil) }
}
