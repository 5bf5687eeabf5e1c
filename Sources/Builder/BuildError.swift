/// A build that failed: one sentence for the user, and what the caller must know to answer with the right status.
public struct BuildError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What kind of failure; maps to an HTTP status while nothing has been streamed yet.
    public struct Code: Sendable, Hashable {
        private enum Value: Hashable, Sendable { case invalid, notFound, notImplemented, failed, cancelled }
        private let value: Value

        /// The Dockerfile, the context or the request is wrong (400).
        public static let invalid = Code(value: .invalid)
        /// A base image, a stage or a source isn't there (404).
        public static let notFound = Code(value: .notFound)
        /// Asked for something that isn't built yet; the message names it (501).
        public static let notImplemented = Code(value: .notImplemented)
        /// A step failed (500).
        public static let failed = Code(value: .failed)
        /// The caller gave up (499).
        public static let cancelled = Code(value: .cancelled)
    }

    public let code: Code
    public let message: String
    /// The exit code of the command that failed, when a RUN did.
    public let exitCode: Int32?

    public init(_ code: Code, _ message: String, exitCode: Int32? = nil) {
        self.code = code
        self.message = message
        self.exitCode = exitCode
    }

    public var description: String { message }

    /// The caller fired its `BuildCancellation`.
    public static let cancelled = BuildError(.cancelled, "context canceled")
}
