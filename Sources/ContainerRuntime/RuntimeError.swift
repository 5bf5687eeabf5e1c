public import Linux
public import OCIRuntimeSpec

/// Why a container or a process in it could not be made: one line for a user, and a kind for a program.
public struct RuntimeError: Error, Sendable, CustomStringConvertible {
    /// What sort of failure it is.
    public enum Kind: Sendable, Equatable {
        /// There is no such program in the container; Docker's exit code 127.
        case commandNotFound
        /// The program is there and cannot be executed; Docker's exit code 126.
        case commandNotExecutable
        /// config.json (or process.json) asks for something that cannot be; the field's path.
        case invalidSpec(String)
        /// A field of the specification, or a step, that Clipper does not have.
        case notImplemented(String)
        /// A system call failed; the error number.
        case system(Int32)
        /// A hook failed.
        case hook
        /// The container is in a state that does not allow the operation, does not exist, or exists already.
        case state
        /// The command line is wrong.
        case usage
    }

    public let kind: Kind
    /// One line: operation, object, reason.
    public let message: String

    public init(kind: Kind, message: String) {
        self.kind = kind
        self.message = message
    }

    /// Something that Clipper does not have.
    public static func notImplemented(_ what: String) -> RuntimeError {
        RuntimeError(kind: .notImplemented(what), message: "not implemented: \(what)")
    }

    /// Any error of the rooms below as one of these.
    init(wrapping error: any Error) {
        switch error {
        case let error as RuntimeError: self = error
        case let error as SystemError: self.init(error)
        case let error as SpecError: self.init(error)
        default: self.init(kind: .system(0), message: "\(error)")
        }
    }

    public init(_ error: SystemError) { self.init(kind: .system(error.code), message: error.description) }

    public init(_ error: SpecError) {
        switch error.kind {
        case .notImplemented: self.init(kind: .notImplemented(error.field), message: error.description)
        case .invalid, .notJSON: self.init(kind: .invalidSpec(error.field), message: error.description)
        }
    }

    /// The exit code that a shell and Docker give the failure: 127, 126, or 1.
    public var exitCode: Int32 {
        switch kind {
        case .commandNotFound: 127
        case .commandNotExecutable: 126
        default: 1
        }
    }

    public var description: String { message }
}
