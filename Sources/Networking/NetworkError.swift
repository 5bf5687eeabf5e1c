/// Why a network operation was refused or failed. `kind` decides the API's status, `message` is what the user reads.
public struct NetworkError: Error, Sendable, CustomStringConvertible {
    /// What callers tell apart; never told apart by text.
    public enum Kind: Sendable, Equatable {
        /// No such network or endpoint (404).
        case notFound
        /// A name or address in use, a network with endpoints (403 or 409 as Docker's table says: see Engine).
        case conflict
        /// A parameter that cannot be (400).
        case invalid
        /// Not allowed on this object: predefined networks (403).
        case forbidden
        /// A driver or option that Clipper does not have (501).
        case notImplemented
        /// A host port that is taken (500 in Docker, with its message).
        case portTaken
        /// The kernel or the store failed (500).
        case system
    }

    public let kind: Kind
    public let message: String
    /// What lay beneath, when something did.
    public let cause: (any Error)?

    public init(_ kind: Kind, _ message: String, cause: (any Error)? = nil) {
        self.kind = kind
        self.message = message
        self.cause = cause
    }

    public var description: String { message }
}
