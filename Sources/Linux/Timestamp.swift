internal import CLinux
internal import Glibc

/// A moment of the wall clock with nanoseconds, in UTC; printed as RFC 3339, which is what the API and logs carry.
public struct Timestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    public let seconds: Int64
    /// 0 ..< 1,000,000,000.
    public let nanoseconds: Int32

    public init(seconds: Int64, nanoseconds: Int32 = 0) {
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Go's zero time, which the API sends for "never".
    public static let never = Timestamp(seconds: -62_135_596_800)

    /// clock_gettime(CLOCK_REALTIME).
    public static func now() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    }

    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// Nanoseconds from `earlier` to this moment; the nearest that Int64 holds when they are more than 292 years apart,
    /// as Go's Duration does (`never` is 2,000 years ago).
    public func nanoseconds(since earlier: Timestamp) -> Int64 {
        let (apart, isFar) = seconds.subtractingReportingOverflow(earlier.seconds)
        let (whole, isFurther) = apart.multipliedReportingOverflow(by: 1_000_000_000)
        let (total, isOver) = whole.addingReportingOverflow(Int64(nanoseconds - earlier.nanoseconds))
        if isFar || isFurther || isOver { return self < earlier ? .min : .max }
        return total
    }

    public func adding(nanoseconds more: Int64) -> Timestamp {
        var rest = Int64(nanoseconds) + more % 1_000_000_000
        var carry = more / 1_000_000_000
        if rest < 0 { rest += 1_000_000_000; carry -= 1 }
        if rest >= 1_000_000_000 { rest -= 1_000_000_000; carry += 1 }
        let (whole, isOver) = seconds.addingReportingOverflow(carry)
        return Timestamp(seconds: isOver ? (carry < 0 ? .min : .max) : whole, nanoseconds: Int32(rest))
    }

    /// Go's time.RFC3339Nano: trailing zeros of the fraction are left out.
    public var description: String {
        var text = calendarText
        if nanoseconds != 0 {
            var digits = Self.padded(Int64(nanoseconds), 9)
            while digits.last == "0" { digits.removeLast() }
            text += "." + digits
        }
        return text + "Z"
    }

    /// With all nine digits of the fraction: what log lines carry, so that they sort as text.
    public var fixedWidth: String { "\(calendarText).\(Self.padded(Int64(nanoseconds), 9))Z" }

    private var calendarText: String {
        let (days, second) = seconds.quotientAndRemainder(flooringBy: 86_400)
        let date = Self.civil(fromDays: days)
        return "\(Self.padded(date.year, 4))-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))T"
            + "\(Self.padded(second / 3600, 2)):\(Self.padded(second / 60 % 60, 2)):\(Self.padded(second % 60, 2))"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
    }

    /// Days since 1970-01-01 to the proleptic Gregorian calendar (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    static func days(fromYear year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Timestamp {
    /// Reads RFC 3339 (`2026-11-23T21:00:00.5+01:00`) and the shorter forms Docker takes: without zone, without
    /// seconds or time of day (all taken as UTC), and Unix seconds with an optional fraction (`1700000000.25`).
    public init?(_ text: String) {
        if let unix = Self.unix(text) { self = unix; return }
        var reader = DigitReader(Array(text.utf8))
        guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2), reader.skip("-"),
            let day = reader.number(2), (1...12).contains(month), day >= 1,
            Self.civil(fromDays: Self.days(fromYear: year, month: month, day: day)) == (year, month, day)
        else { return nil }
        var seconds = Self.days(fromYear: year, month: month, day: day) * 86_400
        var nanoseconds: Int64 = 0
        if reader.skip("T") || reader.skip("t") || reader.skip(" ") {
            guard let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2), hour < 24, minute < 60 else { return nil }
            seconds += hour * 3600 + minute * 60
            if reader.skip(":") {
                guard let second = reader.number(2), second < 60 else { return nil }
                seconds += second
                if reader.skip(".") {
                    guard let fraction = reader.fraction() else { return nil }
                    nanoseconds = fraction
                }
            }
        }
        if reader.skip("Z") || reader.skip("z") {
        } else if let sign = reader.sign() {
            guard let hour = reader.number(2), reader.skip(":"), let minute = reader.number(2), hour < 24, minute < 60 else { return nil }
            seconds -= sign * (hour * 3600 + minute * 60)
        }
        guard reader.isAtEnd else { return nil }
        self.init(seconds: seconds, nanoseconds: Int32(nanoseconds))
    }

    private static func unix(_ text: String) -> Timestamp? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let seconds = Int64(first) else { return nil }
        guard parts.count == 2 else { return Timestamp(seconds: seconds) }
        var reader = DigitReader(Array(parts[1].utf8))
        guard let fraction = reader.fraction(), reader.isAtEnd else { return nil }
        // -1.25 is a quarter of a second before -1.
        let moment = Timestamp(seconds: seconds)
        return moment.adding(nanoseconds: first.hasPrefix("-") ? -fraction : fraction)
    }
}

/// Reads fixed-width decimal fields.
private struct DigitReader {
    let bytes: [UInt8]
    var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func number(_ width: Int) -> Int64? {
        guard position + width <= bytes.count else { return nil }
        var value: Int64 = 0
        for byte in bytes[position..<position + width] {
            guard byte >= 48 && byte <= 57 else { return nil }
            value = value * 10 + Int64(byte - 48)
        }
        position += width
        return value
    }

    /// A decimal fraction of any length, in nanoseconds.
    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var digits = 0
        while position < bytes.count, bytes[position] >= 48, bytes[position] <= 57 {
            if digits < 9 { value = value * 10 + Int64(bytes[position] - 48) }
            digits += 1
            position += 1
        }
        guard digits > 0 else { return nil }
        for _ in 0..<max(0, 9 - digits) { value *= 10 }
        return value
    }

    mutating func sign() -> Int64? { skip("+") ? 1 : skip("-") ? -1 : nil }
}

extension Int64 {
    /// Division that rounds down, so that the remainder is never negative.
    fileprivate func quotientAndRemainder(flooringBy divisor: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
