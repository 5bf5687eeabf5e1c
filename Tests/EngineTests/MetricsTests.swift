import EngineTypes
import Linux
import Testing

@testable import Engine

@Suite struct MetricsTests {
    @Test func textIsAsPrometheusReadsIt() {
        var text = MetricsText()
        text.single("a_total", .counter, "How many a", 3)
        text.family("b", .gauge, "What b is")
        text.sample("b", labels: [("x", "a\"b\\c\nd"), ("y", "")], 0.25)
        #expect(
            text.text == """
                # HELP a_total How many a
                # TYPE a_total counter
                a_total 3
                # HELP b What b is
                # TYPE b gauge
                b{x="a\\"b\\\\c\\nd",y=""} 0.25

                """)
    }

    @Test func histogramsAddUp() {
        var histogram = Histogram()
        for value in [0.001, 0.005, 0.3, 99] { histogram.add(value) }
        var text = MetricsText()
        text.histogram("h", [("k", "v")], histogram)
        let lines = text.text.split(separator: "\n").map(String.init)
        #expect(lines.first == #"h_bucket{k="v",le="0.005"} 2"#)
        #expect(lines.contains(#"h_bucket{k="v",le="0.5"} 3"#) && lines.contains(#"h_bucket{k="v",le="10"} 3"#))
        #expect(lines.suffix(3) == [#"h_bucket{k="v",le="+Inf"} 4"#, #"h_sum{k="v"} 99.306"#, #"h_count{k="v"} 4"#])
    }

    @Test func onlyWhatSucceedsIsTimed() async throws {
        let metrics = EngineMetrics()
        struct Broken: Error {}
        await metrics.time(.start) {}
        await #expect(throws: Broken.self) { try await metrics.time(.start) { throw Broken() } }
        #expect(metrics.current.actions[.start]?.count == 1)
        metrics.healthChecked(failed: true)
        metrics.healthChecked(failed: false)
        #expect(metrics.current.healthChecks == 2 && metrics.current.failedHealthChecks == 1)
    }

    @Test(arguments: [("a b", "a+b"), ("x/y=z,1", "x%2Fy%3Dz%2C1"), ("ü-._~", "%C3%BC-._~")])
    func detailsAreEscapedAsInAQuery(_ text: String, _ escaped: String) { #expect(LogAttributes.escaped(text) == escaped) }

    /// The period counts from the container's start, however often the daemon began anew.
    @Test func startPeriod() throws {
        var config = ContainerConfig()
        var health = HealthConfig()
        (health.Test, health.StartPeriod) = (["CMD", "x"], 10_000_000_000)
        config.Healthcheck = health
        let check = try #require(HealthMonitor.Check(config))
        let begin = Timestamp(seconds: 100, nanoseconds: 0)
        #expect(check.isInStartPeriod(Timestamp(seconds: 109, nanoseconds: 0), since: begin))
        #expect(!check.isInStartPeriod(Timestamp(seconds: 110, nanoseconds: 0), since: begin))
    }
}
