// EngineTypes: the nouns of the Docker Engine API (reference: Engine API v1.50), once, for daemon and client.
//
// Requests (`ContainerCreateRequest`, `HostConfig`…) have optional fields: what a client did not send is nil.
// Answers (`ContainerInspect`, `ImageSummary`…) have the fields the API promises, in the order Docker sends them.
// `EngineError` is the one error of the engine; its code becomes an HTTP status in EngineAPI.
// No logic lives here beyond reading and writing JSON.

/// `{}`: the value in the API's sets (`ExposedPorts`, `Volumes`).
public struct EmptyObject: Codable, Hashable, Sendable {
    public init() {}
}

/// A command line that clients send as an array of words or as one string.
public struct CommandWords: Codable, Hashable, Sendable, ExpressibleByArrayLiteral {
    public var words: [String]

    public init(_ words: [String]) { self.words = words }
    public init(arrayLiteral elements: String...) { words = elements }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let word = try? container.decode(String.self) {
            words = [word]
        } else {
            words = try container.decode([String].self)
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(words)
    }
}
