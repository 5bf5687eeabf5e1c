public import NIOCore
public import NIOHTTP1

/// One HTTP request. Its body arrives while the handler runs.
public struct Request: Sendable {
    public let method: HTTPMethod
    /// The request target as sent: path and query.
    public let target: String
    public let version: HTTPVersion
    public let headers: HTTPHeaders
    public let body: RequestBody
    /// The client's address; nil for a Unix socket's nameless client.
    public let remoteAddress: SocketAddress?

    public init(
        method: HTTPMethod, target: String, version: HTTPVersion = .http1_1, headers: HTTPHeaders = [:], body: RequestBody = .empty,
        remoteAddress: SocketAddress? = nil
    ) {
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.body = body
        self.remoteAddress = remoteAddress
    }

    /// The path as sent, still percent-encoded, without the query. Of an absolute target the part behind the host.
    public var path: Substring {
        var rest = target[...]
        if !rest.utf8.starts(with: "/".utf8), let scheme = rest.firstRange(of: "://") {
            rest = rest[scheme.upperBound...]
            rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
        }
        return rest.prefix { $0 != "?" && $0 != "#" }
    }

    /// The query, decoded.
    public var query: Query {
        guard let mark = target.firstIndex(of: "?") else { return Query() }
        return Query(parsing: target[target.index(after: mark)...])
    }

    /// Whether the client asks to leave HTTP (an `Upgrade` header).
    public var asksForUpgrade: Bool { headers.contains(name: "Upgrade") }
}

/// A URL's query: names and values in their order.
public struct Query: Sendable, Equatable {
    public var items: [(name: String, value: String)]

    public init() { items = [] }

    /// Reads `a=1&b=x%20y+z`. A broken escape stands for itself.
    public init(parsing text: Substring) {
        items = text.split(separator: "&").map { part in
            let halves = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (Percent.decode(halves[0], plusIsSpace: true), halves.count > 1 ? Percent.decode(halves[1], plusIsSpace: true) : "")
        }
    }

    /// The first value of a name.
    public subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// All values of a name.
    public func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

    public static func == (left: Query, right: Query) -> Bool {
        left.items.elementsEqual(right.items) { $0.name == $1.name && $0.value == $1.value }
    }
}

/// Percent-encoding (RFC 3986).
public enum Percent {
    /// Decodes `%41`; bytes that are no UTF-8 become U+FFFD, a broken escape stands for itself.
    public static func decode(_ text: some StringProtocol, plusIsSpace: Bool = false) -> String {
        guard text.utf8.contains(where: { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }) else {
            return String(text)
        }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "%"), index + 2 < bytes.count, let high = digit(bytes[index + 1]), let low = digit(bytes[index + 2]) {
                result.append(high << 4 | low)
                index += 3
                continue
            }
            result.append(plusIsSpace && byte == UInt8(ascii: "+") ? 32 : byte)
            index += 1
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
