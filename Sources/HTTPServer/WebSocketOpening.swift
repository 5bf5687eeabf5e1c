internal import CCrypto
internal import NIOHTTP1

/// A request that asks for a WebSocket (RFC 6455 section 4.2.1), and what answers it.
public struct WebSocketOpening: Sendable, Equatable {
    /// The answer to the client's key (section 4.2.2).
    let accept: String

    /// Throws `HTTPServerError` that names what is wrong with the request.
    public init(_ request: Request) throws {
        func lists(_ name: String, _ word: String) -> Bool { request.headers[canonicalForm: name].contains { $0.lowercased() == word } }
        guard request.method == .GET, lists("Upgrade", "websocket"), lists("Connection", "upgrade") else {
            throw HTTPServerError("not a WebSocket request")
        }
        guard request.headers.first(name: "Sec-WebSocket-Version") == "13" else {
            throw HTTPServerError("WebSocket version is not 13")
        }
        guard let key = request.headers.first(name: "Sec-WebSocket-Key"), key.utf8.count == 24 else {
            throw HTTPServerError("missing or bad Sec-WebSocket-Key")
        }
        guard let accept = Self.answer(to: key) else { throw HTTPServerError("SHA-1 is not available") }
        self.accept = accept
    }

    /// The key and the specification's own number, hashed.
    static func answer(to key: String) -> String? {
        let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
        var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        guard EVP_Digest(text, text.count, &digest, &count, EVP_sha1(), nil) == 1 else { return nil }
        var encoded = [UInt8](repeating: 0, count: 64)
        let length = EVP_EncodeBlock(&encoded, digest, Int32(count))
        return String(decoding: encoded.prefix(Int(length)), as: UTF8.self)
    }
}
