internal import CLinux
internal import Glibc

/// Moments in the client's own zone.
public enum LocalTime {
    /// `2026-11-23 22:00:00 +0000 UTC`, Go's default form.
    public static func text(seconds: Int64) -> String {
        let parts = broken(seconds)
        let zone = withUnsafePointer(to: parts.tm_zone) { $0.pointee.map { String(cString: $0) } } ?? "UTC"
        return "\(date(parts)) \(clock(parts)) \(offset(parts, colon: false)) \(zone)"
    }

    /// `2026-11-23T22:00:00+01:00`
    public static func short(seconds: Int64) -> String {
        let parts = broken(seconds)
        return "\(date(parts))T\(clock(parts))\(offset(parts, colon: true))"
    }

    /// `2026-11-23T22:00:00.123456789Z`, nine digits always.
    public static func precise(nanoseconds: Int64) -> String {
        let parts = broken(nanoseconds / 1_000_000_000)
        return "\(date(parts))T\(clock(parts)).\(padded(nanoseconds % 1_000_000_000, 9))\(offset(parts, colon: true))"
    }

    private static func broken(_ seconds: Int64) -> tm {
        var time = time_t(seconds)
        var parts = tm()
        localtime_r(&time, &parts)
        return parts
    }

    private static func padded(_ number: some BinaryInteger, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }

    private static func date(_ parts: tm) -> String {
        "\(padded(Int(parts.tm_year) + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
    }

    private static func clock(_ parts: tm) -> String { "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))" }

    private static func offset(_ parts: tm, colon: Bool) -> String {
        let minutes = abs(parts.tm_gmtoff) / 60
        if colon && minutes == 0 { return "Z" }
        return "\(parts.tm_gmtoff < 0 ? "-" : "+")\(padded(minutes / 60, 2))\(colon ? ":" : "")\(padded(minutes % 60, 2))"
    }
}
