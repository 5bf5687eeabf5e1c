/// Status line and headers of an answer (RFC 9112).
public struct HTTPHead: Sendable, Equatable {
    public let status: Int
    /// Names in lower case.
    public let headers: [Header]

    public struct Header: Sendable, Equatable {
        public let name: String
        public let value: String
    }

    /// Largest head that is read, in bytes.
    static let limit = 256 * 1024

    /// The last value of a header; the name in lower case.
    public subscript(name: String) -> String? { headers.last { $0.name == name }?.value }

    /// The index behind the empty line that ends the head, when it is there.
    static func end(in bytes: ArraySlice<UInt8>) -> Int? {
        var index = bytes.startIndex
        while let newline = bytes[index...].firstIndex(of: 10) {
            let next = newline + 1
            if next < bytes.endIndex, bytes[next] == 10 { return next + 1 }
            if next + 1 < bytes.endIndex, bytes[next] == 13, bytes[next + 1] == 10 { return next + 2 }
            index = next
        }
        return nil
    }

    /// Reads a complete head.
    init(parsing bytes: ArraySlice<UInt8>) throws {
        let lines = bytes.split(separator: 10, omittingEmptySubsequences: false).map { $0.last == 13 ? $0.dropLast() : $0 }
        let first = String(decoding: lines.first ?? [], as: UTF8.self)
        let words = first.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3, let status = Int(words[1]),
            (100...599).contains(status)
        else {
            throw ClientError.malformed("status line \(first.prefix(80))")
        }
        self.status = status
        headers = try lines.dropFirst().filter { !$0.isEmpty }.map { line in
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex else {
                throw ClientError.malformed("header \(String(decoding: line.prefix(80), as: UTF8.self))")
            }
            let value = line[(colon + 1)...].drop { $0 == 32 || $0 == 9 }
            return Header(name: String(decoding: line[..<colon], as: UTF8.self).lowercased(), value: String(decoding: value, as: UTF8.self))
        }
    }

    /// How the body's end is known.
    enum Framing: Equatable {
        case none, length(Int), chunked, untilClose
    }

    func framing(answering method: String) throws -> Framing {
        if method == "HEAD" || status == 204 || status == 304 { return .none }
        if let coding = self["transfer-encoding"] {
            guard coding.lowercased() == "chunked" else { throw ClientError.malformed("transfer encoding \(coding)") }
            return .chunked
        }
        guard let text = self["content-length"] else { return .untilClose }
        guard let length = Int(text), length >= 0 else { throw ClientError.malformed("content length \(text)") }
        return .length(length)
    }

    var keepsAlive: Bool { self["connection"]?.lowercased() != "close" }
}
