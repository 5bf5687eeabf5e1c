/// What went wrong, for a user: a class that becomes an HTTP status, one line, and the cause for the log.
public struct EngineError: Error, Sendable, CustomStringConvertible {
    /// The classes of failure the API tells apart.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        case notModified, invalidParameter, unauthorized, forbidden, notFound, conflict, notImplemented, unavailable, system
    }

    public let code: Code
    public let message: String
    /// What lies below; never shown to the client, kept for the log.
    public let cause: (any Error)?

    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    public var description: String { message }

    public static func notImplemented(_ what: String) -> EngineError { EngineError(.notImplemented, "not implemented: \(what)") }
    public static func notFound(_ message: String) -> EngineError { EngineError(.notFound, message) }
    public static func invalid(_ message: String, cause: (any Error)? = nil) -> EngineError {
        EngineError(.invalidParameter, message, cause: cause)
    }
    public static func conflict(_ message: String) -> EngineError { EngineError(.conflict, message) }
}
