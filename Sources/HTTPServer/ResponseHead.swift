internal import Glibc
internal import NIOConcurrencyHelpers
internal import NIOCore
internal import NIOHTTP1

/// Writes heads of answers.
enum ResponseHead {
    static func serialize(version: HTTPVersion, status: HTTPResponseStatus, headers: HTTPHeaders) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(512)
        buffer.writeStaticString(version.minor == 0 ? "HTTP/1.0 " : "HTTP/1.1 ")
        buffer.writeString(String(status.code))
        buffer.writeInteger(UInt8(ascii: " "))
        buffer.writeString(status.reasonPhrase)
        buffer.writeStaticString("\r\n")
        write(headers, to: &buffer)
        buffer.writeStaticString("Date: ")
        buffer.writeString(Self.date())
        buffer.writeStaticString("\r\n\r\n")
        return buffer
    }

    /// Header lines. A line break inside a value would start a header of its own: it becomes a space.
    static func write(_ headers: HTTPHeaders, to buffer: inout ByteBuffer) {
        for (name, value) in headers {
            buffer.writeString(name)
            buffer.writeStaticString(": ")
            if value.utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) {
                buffer.writeBytes(value.utf8.map { $0 == 10 || $0 == 13 || $0 == 0 ? 32 : $0 })
            } else {
                buffer.writeString(value)
            }
            buffer.writeStaticString("\r\n")
        }
    }

    private static let cachedDate = NIOLockedValueBox<(second: time_t, text: String)>((-1, ""))

    /// The Date header's value (RFC 9110 5.6.7), made once a second.
    static func date() -> String {
        let now = time(nil)
        return cachedDate.withLockedValue { cached in
            if cached.second != now { cached = (now, format(now)) }
            return cached.text
        }
    }

    /// `Mon, 23 Nov 2026 22:00:00 GMT`.
    static func format(_ moment: time_t) -> String {
        var moment = moment
        var parts = tm()
        gmtime_r(&moment, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(days[Int(parts.tm_wday)]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900) "
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
    }
}
