/// An archive that can't be read, or must not be unpacked: what is wrong, and of which entry.
public struct ArchiveError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Code: Sendable {
        /// The stream is not tar, or breaks its rules.
        case malformed
        /// The stream ends in the middle.
        case truncated
        /// An entry would leave the root, or is more than the limits allow.
        case refused
        /// A form of archive that is not built in.
        case unsupported
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
