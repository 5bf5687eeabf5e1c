// JSON: one JSON for the whole house (RFC 8259). Part of the static zone.
//
// `JSONValue` is a document whose objects keep their order, so that `inspect` prints what the daemon meant.
// `JSONValue(parsing:)` reads, `serialized()` writes. `JSON.decode` and `JSON.encode` carry Swift's `Codable`
// types, without Foundation; encoded objects keep the order in which their fields are declared.
// Why not Foundation's: docs/decisions/0002-one-json.md.

/// Reads and writes `Codable` types as JSON.
public enum JSON {
    /// Decodes a document. Throws `JSONError` for text that is not JSON, `DecodingError` for a wrong shape.
    /// With `likeGo` as Go's decoder does: a key that is missing is looked for in any case, and null is the empty text, 0 or false.
    public static func decode<T: Decodable>(_ type: T.Type = T.self, from bytes: [UInt8], likeGo: Bool = false) throws -> T {
        try decode(type, from: try JSONValue(parsing: bytes), likeGo: likeGo)
    }

    public static func decode<T: Decodable>(_ type: T.Type = T.self, from value: JSONValue, likeGo: Bool = false) throws -> T {
        try ValueDecoder(value: value, codingPath: [], likeGo: likeGo).decodeValue(type)
    }

    /// Encodes to compact bytes.
    public static func encode(_ value: some Encodable) throws -> [UInt8] { try value_(value).serialized() }

    /// Encodes to a document.
    public static func value(_ value: some Encodable) throws -> JSONValue { try value_(value) }

    private static func value_(_ value: some Encodable) throws -> JSONValue {
        let node = EncodingNode()
        try ValueEncoder(node: node, codingPath: []).encodeValue(value)
        return node.value
    }
}

/// Text that is not JSON: what is wrong and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
    public let message: String
    /// Line of the error, from 1.
    public let line: Int
    /// Column of the error in bytes, from 1.
    public let column: Int

    public var description: String { "invalid JSON at line \(line), column \(column): \(message)" }
}
