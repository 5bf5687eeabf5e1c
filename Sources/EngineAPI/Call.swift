internal import EngineTypes
internal import HTTPServer
internal import JSON
internal import Linux
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// One call of the API: what a route works on.
struct Call: Sendable {
    let request: Request
    let version: APIVersion
    /// The path's parameters, decoded.
    let parameters: [String: String]
    let query: Query
    let backends: Backends
    let listings: ContainerListings
    let logger: Logger

    var id: String { parameters["id"] ?? "" }
    var name: String { parameters["name"] ?? "" }

    // MARK: Query

    /// Docker's idea of a boolean: everything but "", "0", "no", "false" and "none" is true.
    func flag(_ name: String, default missing: Bool = false) -> Bool {
        guard let text = query[name] else { return missing }
        return !["", "0", "no", "false", "none"].contains(text.lowercased().trimmingSpaces)
    }

    /// A text; nil when missing or empty.
    func text(_ name: String) -> String? { query[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// A whole number; nil when missing or empty.
    func number<Number: FixedWidthInteger>(_ name: String, _ type: Number.Type = Int.self) throws -> Number? {
        guard let text = text(name) else { return nil }
        guard let number = Number(text) else { throw APIError.invalid("invalid value for \(name): \"\(text)\" is not a number") }
        return number
    }

    /// A moment; nil when missing, empty or "0".
    func moment(_ name: String) throws -> Timestamp? {
        guard let text = text(name), text != "0" else { return nil }
        guard let moment = Timestamp(text) else { throw APIError.invalid("invalid value for \(name): \"\(text)\" is not a time") }
        return moment
    }

    func filters() throws -> Filters { try Filters(parsing: query["filters"] ?? "") }

    /// A JSON document in the query; nil when missing or null.
    func document<Value: Decodable>(_ name: String, _ type: Value.Type = Value.self) throws -> Value? {
        guard let text = text(name) else { return nil }
        do {
            // Go clients send `null` for an empty map or list.
            let value = try JSONValue(parsing: text)
            return value.isNull ? nil : try JSON.decode(Value.self, from: value)
        } catch {
            throw APIError.invalid("invalid value for \(name): \(Self.reason(error))")
        }
    }

    // MARK: Body

    /// A JSON body is at most this large.
    private static let bodyLimit = 16 << 20

    /// The body as JSON. A missing body is refused.
    func body<Value: Decodable>(_ type: Value.Type = Value.self) async throws -> Value {
        guard let value = try await optionalBody(type) else { throw APIError.invalid("invalid JSON: got EOF while reading request body") }
        return value
    }

    /// The body as JSON; nil when there is none. The Content-Type must say that it is JSON.
    func optionalBody<Value: Decodable>(_ type: Value.Type = Value.self) async throws -> Value? {
        let buffer = try await request.body.collect(limit: Self.bodyLimit)
        if buffer.readableBytes == 0 { return nil }
        let contentType = request.headers.first(name: "Content-Type") ?? ""
        let mediaType = contentType.prefix { $0 != ";" }.lowercased().trimmingSpaces
        if mediaType.isEmpty { throw APIError.invalid("malformed Content-Type header (\(contentType)): mime: no media type") }
        if mediaType != "application/json" {
            throw APIError.invalid("unsupported Content-Type header (\(contentType)): must be 'application/json'")
        }
        // Go clients send `null` for a body that they leave out.
        if buffer.readableBytesView.elementsEqual("null".utf8) || buffer.readableBytesView.elementsEqual("null\n".utf8) { return nil }
        do { return try JSON.decode(Value.self, from: Array(buffer.readableBytesView), likeGo: true) } catch {
            throw APIError.invalid(Self.reason(error))
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as DecodingError: "invalid JSON: \(error.summary)"
        default: "\(error)"
        }
    }

    // MARK: Answers

    static let noContent = Response(status: .noContent)

    static func json(_ value: JSONValue, status: HTTPResponseStatus = .ok) -> Response {
        .bytes(value.serialized() + [UInt8(ascii: "\n")], contentType: "application/json", status: status)
    }

    func json(_ value: some Encodable, status: HTTPResponseStatus = .ok) throws -> Response {
        Self.json(try JSON.value(value), status: status)
    }
}

extension String {
    var trimmingSpaces: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
