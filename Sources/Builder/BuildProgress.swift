public import JSON

/// One message of a build's progress, as Docker streams them.
public enum BuildProgress: Sendable, Equatable {
    /// Text for the user, as it should be printed: `Step 1/5 : FROM base\n`, or a RUN's output.
    case stream(String)
    /// The finished image: `sha256:…`.
    case image(String)
    /// What the pull of a base image tells, in Docker's documents.
    case pull(JSONValue)
    /// The build failed; the last message. `code` is a RUN's exit code, when that was it.
    case failure(code: Int32?, message: String)

    /// The message for an error thrown by `ImageBuilder.build`.
    public init(error: any Error) {
        if let error = error as? BuildError {
            self = .failure(code: error.exitCode, message: error.message)
        } else {
            self = .failure(code: nil, message: "\(error)")
        }
    }

    /// The document of Docker's progress stream (one per line, CR LF after each): `{"stream":"…"}`.
    public var json: JSONValue {
        switch self {
        case .stream(let text): ["stream": .string(text)]
        case .image(let id): ["aux": ["ID": .string(id)]]
        case .pull(let document): document
        case .failure(let code?, let message):
            ["errorDetail": ["code": .integer(Int64(code)), "message": .string(message)], "error": .string(message)]
        case .failure(nil, let message): ["errorDetail": ["message": .string(message)], "error": .string(message)]
        }
    }
}
