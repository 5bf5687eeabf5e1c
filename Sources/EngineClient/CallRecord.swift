internal import CLinux
internal import Glibc

/// One call as the client saw it. Times in nanoseconds of the monotonic clock.
public struct CallRecord: Sendable {
    public let method: String
    /// Path with version and query.
    public let path: String
    public let status: Int
    public let started: UInt64
    /// When the head of the answer was there.
    public let answered: UInt64

    /// clock_gettime(CLOCK_MONOTONIC).
    public static func clock() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
