internal import NIOHTTP1

/// A version of the Engine API: `1.50`.
struct APIVersion: Comparable, Sendable, CustomStringConvertible {
    let parts: [Int]
    let description: String

    static let newest = APIVersion("1.50")
    /// What Debian's skopeo asks for; Docker's own oldest is 1.24.
    static let oldest = APIVersion("1.22")

    /// Parts that are no numbers count as 0, as in dockerd.
    init(_ text: some StringProtocol) {
        description = String(text)
        parts = text.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    }

    static func < (left: APIVersion, right: APIVersion) -> Bool {
        for index in 0..<max(left.parts.count, right.parts.count) {
            let (one, other) = (left.parts.count > index ? left.parts[index] : 0, right.parts.count > index ? right.parts[index] : 0)
            if one != other { return one < other }
        }
        return false
    }

    static func == (left: APIVersion, right: APIVersion) -> Bool { !(left < right) && !(right < left) }

    /// Takes `/v1.41` off a path; nil when the path has no version.
    static func split(_ path: Substring) -> (version: APIVersion, rest: Substring)? {
        guard path.hasPrefix("/v") else { return nil }
        let digits = path.dropFirst(2)
        let end = digits.firstIndex { !($0 == "." || ($0 >= "0" && $0 <= "9")) } ?? digits.endIndex
        guard end > digits.startIndex, end < digits.endIndex, digits[end] == "/" else { return nil }
        return (APIVersion(digits[..<end]), digits[end...])
    }

    /// Throws for what cannot be the oldest version that a daemon speaks.
    static func checkMinimum(_ text: String) throws(UnspokenVersion) {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || ($0 >= 48 && $0 <= 57) }) else {
            throw UnspokenVersion(description: "invalid minimum API version: \(text)")
        }
        let version = APIVersion(text)
        if version < oldest { throw UnspokenVersion(description: "minimum supported API version is \(oldest): \(text)") }
        if newest < version { throw UnspokenVersion(description: "maximum supported API version is \(newest): \(text)") }
    }

    /// Throws dockerd's error for a version that this daemon doesn't speak. `minimum`: the oldest that it is to speak.
    func checkSupported(minimum: APIVersion) throws {
        if self < minimum {
            throw APIError(
                .badRequest,
                "client version \(self) is too old. Minimum supported API version is \(minimum), please upgrade your client to a newer version"
            )
        }
        if self > Self.newest {
            throw APIError(.badRequest, "client version \(self) is too new. Maximum supported API version is \(Self.newest)")
        }
    }
}

/// A version that a daemon cannot be told to be content with.
public struct UnspokenVersion: Error, CustomStringConvertible {
    public let description: String
}
