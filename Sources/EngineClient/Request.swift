public import JSON

/// A call of the API.
public struct Request {
    public var method: String
    /// Without version: `/containers/json`. Variable parts must have been escaped with `Request.escaped`.
    public var path: String
    public var query: [(name: String, value: String)]
    public var headers: [(String, String)]
    public var body: RequestBody
    /// Whether the path gets the version in front.
    public var isVersioned: Bool

    public init(
        _ method: String, _ path: String, query: [(String, String)] = [], headers: [(String, String)] = [], body: RequestBody = .none,
        isVersioned: Bool = true
    ) {
        self.method = method
        self.path = path
        self.query = query.map { (name: $0.0, value: $0.1) }
        self.headers = headers
        self.body = body
        self.isVersioned = isVersioned
    }

    /// The request line's target.
    func target(version: String) -> String {
        var text = isVersioned ? "/v\(version)\(path)" : path
        for (index, item) in query.enumerated() {
            text += "\(index == 0 ? "?" : "&")\(Self.escaped(item.name))=\(Self.escaped(item.value))"
        }
        return text
    }

    /// Percent-encodes all but RFC 3986's unreserved characters and those of `keeping`.
    public static func escaped(_ text: String, keeping: String = "") -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        let kept = Array(keeping.utf8)
        var output: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"): output.append(byte)
            case _ where kept.contains(byte): output.append(byte)
            default: output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}

/// What a request carries.
public enum RequestBody {
    case none
    case json(JSONValue)
    /// Read from a descriptor to its end and sent in chunks; the descriptor stays the caller's.
    case descriptor(Int32, type: String)
    /// Written by a function and sent in chunks.
    case producer(type: String, (RequestBodyWriter) throws -> Void)

    /// Whether it can be sent twice.
    var isReplayable: Bool {
        switch self {
        case .none, .json: true
        case .descriptor, .producer: false
        }
    }
}

/// Sends a request's body in chunks.
public final class RequestBodyWriter {
    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    /// Sends one chunk. Throws `ClientError.closed` when the server takes no more (its answer may say why).
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        if bytes.isEmpty { return }
        try connection.write(Array("\(String(bytes.count, radix: 16))\r\n".utf8))
        try connection.write(bytes)
        try connection.write([13, 10])
    }
}
