internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import Logging
internal import NIOHTTP1

/// An error of the API itself, with its status.
struct APIError: Error {
    let status: HTTPResponseStatus
    let message: String

    init(_ status: HTTPResponseStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    static func invalid(_ message: String) -> APIError { APIError(.badRequest, message) }
    static let pageNotFound = APIError(.notFound, "page not found")
    static let notAManager =
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."

    /// The one table from the engine's error classes to HTTP.
    static func status(of code: EngineError.Code) -> HTTPResponseStatus {
        switch code {
        case .notModified: .notModified
        case .invalidParameter: .badRequest
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .notFound: .notFound
        case .conflict: .conflict
        case .notImplemented: .notImplemented
        case .unavailable: .serviceUnavailable
        case .system: .internalServerError
        }
    }

    /// Status and one line for a client.
    static func describe(_ error: any Error) -> (status: HTTPResponseStatus, message: String) {
        switch error {
        case let error as APIError: (error.status, error.message)
        case let error as EngineError: (status(of: error.code), error.message)
        case let error as HTTPServerError where error == .bodyIncomplete || error == .bodyTooLarge: (.badRequest, error.description)
        default: (.internalServerError, "\(error)")
        }
    }

    static func response(to error: any Error, logger: Logger, request: Request) -> Response {
        let (status, message) = describe(error)
        if status == .notModified { return Response(status: status) }
        if status == .internalServerError {
            logger.error(
                "request failed",
                metadata: [
                    "method": "\(request.method)", "path": "\(request.path)", "error": "\(message)",
                    "cause": "\((error as? EngineError)?.cause.map { "\($0)" } ?? "")",
                ])
        }
        return Call.json(["message": .string(message)], status: status)
    }
}
