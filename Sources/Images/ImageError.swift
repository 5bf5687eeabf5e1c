/// Why the store refused: one sentence in Docker's words, and the kind of failure for the API's status.
public struct ImageError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure.
    public struct Code: Sendable, Hashable {
        private enum Value: Sendable { case notFound, invalid, conflict, notImplemented, damaged, failed }
        private let value: Value

        /// No such image, layer or name (404).
        public static let notFound = Code(value: .notFound)
        /// The input is wrong: an archive, a name, a config (400).
        public static let invalid = Code(value: .invalid)
        /// In use, or the name means several images (409).
        public static let conflict = Code(value: .conflict)
        /// Asked for something that isn't built yet; the message names it (501).
        public static let notImplemented = Code(value: .notImplemented)
        /// The store's own content is not what it was (500).
        public static let damaged = Code(value: .damaged)
        /// The machine failed: disk full, permission (500).
        public static let failed = Code(value: .failed)
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
}
