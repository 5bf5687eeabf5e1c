/// Why something could not be done: a kind for programs, a message of one line for people.
public struct ShimFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// What sort of failure; the daemon derives exit codes and HTTP statuses from it.
    public enum Kind: String, Sendable {
        /// The container's command does not exist (exit code 127).
        case commandNotFound
        /// The container's command cannot be executed (exit code 126).
        case commandNotExecutable
        /// A request that makes no sense: malformed, or a value out of range.
        case invalidRequest
        /// The root filesystem could not be mounted.
        case rootfs
        /// The OCI runtime failed otherwise.
        case runtime
        /// No such exec, path or container.
        case notFound
        /// Not possible in this state: already started, not running.
        case conflict
        /// The container's first process is no more.
        case ended
        /// The kernel refused for lack of permission, or a read-only filesystem.
        case permission
        /// The other side is older and does not know the request, or it is not implemented.
        case unsupported
        /// The shim or helper could not be started, ended without an answer, or cannot be reached.
        case lost
        /// The shim runs and does not answer: something outside has stopped or frozen it.
        case silent
        /// A kind that this version does not know.
        case other
    }

    public let kind: Kind
    public let message: String

    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    public var description: String { message }
}
