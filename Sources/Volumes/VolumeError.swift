/// Why the store refused, in Docker's words.
public struct VolumeError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private enum Value: Sendable { case notFound, invalid, conflict, notImplemented, failed }
        private let value: Value

        /// No such volume (404).
        public static let notFound = Code(value: .notFound)
        /// A name, driver or option is wrong (400).
        public static let invalid = Code(value: .invalid)
        /// In use, or there with other settings (409).
        public static let conflict = Code(value: .conflict)
        /// Asked for something that isn't built yet; the message names it (501).
        public static let notImplemented = Code(value: .notImplemented)
        /// The machine failed (500).
        public static let failed = Code(value: .failed)
    }

    public let code: Code
    public let message: String

    public init(code: Code, message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
