internal import Builder
internal import EngineTypes
internal import Images
internal import Linux
internal import Networking
internal import OCIImageSpec
internal import RegistryClient
internal import ShimProtocol
internal import Volumes

extension EngineError {
    /// The engine's view of an error from a room below.
    static func from(_ error: any Error) -> EngineError {
        switch error {
        case let error as EngineError: error
        case let error as ImageError: EngineError(code(of: error.code), error.message, cause: error)
        case let error as RegistryError: EngineError(code(of: error.code), error.message, cause: error)
        case let error as ReferenceError: EngineError(.invalidParameter, error.description, cause: error)
        case let error as VolumeError: EngineError(code(of: error.code), error.message, cause: error)
        case let error as NetworkError: EngineError(code(of: error.kind), error.message, cause: error)
        case let error as ShimFailure: EngineError(code(of: error.kind), error.message, cause: error)
        case let error as BuildError: EngineError(code(of: error.code), error.message, cause: error)
        default: EngineError(.system, "\(error)", cause: error)
        }
    }

    private static func code(of code: ImageError.Code) -> Code {
        switch code {
        case .notFound: .notFound
        case .invalid: .invalidParameter
        case .conflict: .conflict
        case .notImplemented: .notImplemented
        default: .system
        }
    }

    private static func code(of code: RegistryError.Code) -> Code {
        switch code {
        case .notFound: .notFound
        case .denied: .notFound  // As dockerd: who may not read a repository is not told whether it exists.
        case .unsupported: .notImplemented
        default: .system
        }
    }

    private static func code(of code: VolumeError.Code) -> Code {
        switch code {
        case .notFound: .notFound
        case .invalid: .invalidParameter
        case .conflict: .conflict
        case .notImplemented: .notImplemented
        default: .system
        }
    }

    private static func code(of kind: NetworkError.Kind) -> Code {
        switch kind {
        case .notFound: .notFound
        case .conflict: .conflict
        case .invalid: .invalidParameter
        case .forbidden: .forbidden
        case .notImplemented: .notImplemented
        default: .system
        }
    }

    private static func code(of kind: ShimFailure.Kind) -> Code {
        switch kind {
        // Docker answers a command that cannot be run with 400; the client turns the text into 127 or 126.
        case .commandNotFound, .commandNotExecutable, .invalidRequest: .invalidParameter
        case .notFound: .notFound
        case .conflict, .ended: .conflict
        case .permission: .forbidden
        case .unsupported: .notImplemented
        case .rootfs, .runtime, .lost, .silent, .other: .system
        }
    }

    private static func code(of code: BuildError.Code) -> Code {
        switch code {
        case .invalid: .invalidParameter
        case .notFound: .notFound
        case .notImplemented: .notImplemented
        default: .system
        }
    }
}

/// Runs blocking work of a room below on a thread of its own, with the engine's errors.
func offloading<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
    do { return try await offloaded(work) } catch { throw EngineError.from(error) }
}
