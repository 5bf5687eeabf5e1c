import Testing

@testable import Linux

@Suite struct TimestampTests {
    private static let texts: [(Timestamp, String)] = [
        (Timestamp(seconds: 0), "1970-01-01T00:00:00Z"), (Timestamp(seconds: -1), "1969-12-31T23:59:59Z"),
        (Timestamp(seconds: 951_782_400), "2000-02-29T00:00:00Z"), (Timestamp(seconds: 4_107_542_400), "2100-03-01T00:00:00Z"),
        (Timestamp(seconds: 1_700_000_000, nanoseconds: 120_000_000), "2023-11-14T22:13:20.12Z"),
        (Timestamp(seconds: 1_700_000_000, nanoseconds: 1), "2023-11-14T22:13:20.000000001Z"), (.never, "0001-01-01T00:00:00Z"),
    ]

    @Test(arguments: texts) func printsAndReads(moment: Timestamp, text: String) {
        #expect(moment.description == text)
        #expect(Timestamp(text) == moment)
    }

    @Test func fixedWidthSortsAsText() {
        #expect(Timestamp(seconds: 0, nanoseconds: 5_000_000).fixedWidth == "1970-01-01T00:00:00.005000000Z")
        #expect(Timestamp(Timestamp(seconds: 77, nanoseconds: 1).fixedWidth) == Timestamp(seconds: 77, nanoseconds: 1))
    }

    private static let forms: [(String, Int64, Int32)] = [
        ("2023-11-14T22:13:20Z", 1_700_000_000, 0), ("2023-11-15T00:13:20+02:00", 1_700_000_000, 0),
        ("2023-11-14T16:43:20-05:30", 1_700_000_000, 0), ("2023-11-14t22:13:20z", 1_700_000_000, 0),
        ("2023-11-14 22:13:20", 1_700_000_000, 0),
        ("2023-11-14T22:13", 1_699_999_980, 0), ("2023-11-14", 1_699_920_000, 0), ("1700000000", 1_700_000_000, 0),
        ("1700000000.25", 1_700_000_000, 250_000_000), ("1700000000.1234567899", 1_700_000_000, 123_456_789), ("0", 0, 0), ("-5", -5, 0),
        ("-1.25", -2, 750_000_000), ("-0.5", -1, 500_000_000), ("2023-11-14T22:13:20.5+00:00", 1_700_000_000, 500_000_000),
    ]

    @Test(arguments: forms) func readsDockersForms(text: String, seconds: Int64, nanoseconds: Int32) {
        #expect(Timestamp(text) == Timestamp(seconds: seconds, nanoseconds: nanoseconds))
    }

    @Test(arguments: [
        "", "now", "2023-", "2023-13-01", "2023-00-01", "2023-02-29", "2023-02-30", "2023-04-31", "2023-11-00", "2023-11-14T",
        "2023-11-14T24:00",
        "2023-11-14T22:60", "2023-11-14T22:13:60Z", "2023-11-14T22:13:20.Z", "2023-11-14T22:13:20+2:00", "2023-11-14T22:13:20+25:00",
        "2023-11-14T22:13:20Zx", "1700000000.", "1700000000.x", "99999999999999999999", "1.2.3", " 5", "2023-1-1", "²023-11-14",
    ])
    func refuses(text: String) { #expect(Timestamp(text) == nil) }

    @Test func everyDayOfFourCenturiesGoesThereAndBack() {
        for day in stride(from: -150_000 as Int64, to: 150_000, by: 1) {
            let date = Timestamp.civil(fromDays: day)
            if Timestamp.days(fromYear: date.year, month: date.month, day: date.day) != day { Issue.record("\(day)") }
        }
    }

    @Test func arithmetic() {
        let moment = Timestamp(seconds: 10, nanoseconds: 900_000_000)
        #expect(moment.adding(nanoseconds: 200_000_000) == Timestamp(seconds: 11, nanoseconds: 100_000_000))
        #expect(moment.adding(nanoseconds: -10_900_000_001) == Timestamp(seconds: -1, nanoseconds: 999_999_999))
        #expect(moment.adding(nanoseconds: 5).nanoseconds(since: moment) == 5)
        #expect(moment.nanoseconds(since: moment.adding(nanoseconds: 1_500_000_000)) == -1_500_000_000)
        #expect(moment < moment.adding(nanoseconds: 1) && Timestamp(seconds: -1) < Timestamp(seconds: 0))
    }

    @Test func farApartIsTheLargestNumberAndNoCrash() {
        #expect(Timestamp(seconds: 1_700_000_000).nanoseconds(since: .never) == .max)
        #expect(Timestamp.never.nanoseconds(since: Timestamp(seconds: 1_700_000_000)) == .min)
        #expect(Timestamp(seconds: .max).nanoseconds(since: Timestamp(seconds: .min)) == .max)
        #expect(Timestamp(seconds: .max).adding(nanoseconds: .max).seconds == .max)
        #expect(Timestamp(seconds: .min).adding(nanoseconds: .min).seconds == .min)
        #expect(Timestamp("9223372036854775807")?.seconds == .max)
    }

    @Test func nowIsNow() {
        let now = Timestamp.now()
        #expect(now.seconds > 1_700_000_000 && (0..<1_000_000_000).contains(now.nanoseconds))
    }
}
