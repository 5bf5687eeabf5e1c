/// What a registry demands before it answers: one challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
///
/// For Docker Hub: `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull"`.
public struct AuthenticationChallenge: Sendable, Hashable {
    /// Lower case: `bearer`, `basic`.
    public let scheme: String
    /// Names in lower case.
    public let parameters: [String: String]

    public var realm: String? { parameters["realm"] }
    public var service: String? { parameters["service"] }
    /// `scope` may list several, parted by spaces.
    public var scopes: [String] { parameters["scope"]?.split(separator: " ").map(String.init) ?? [] }

    /// All challenges of a header's value, in order; what is not well formed ends the list.
    public static func parse(_ header: String) -> [AuthenticationChallenge] {
        var scanner = Scanner(bytes: Array(header.utf8))
        var result: [AuthenticationChallenge] = []
        while let challenge = scanner.challenge() { result.append(challenge) }
        return result
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

        private mutating func skip(_ set: String) { while let byte = current, set.utf8.contains(byte) { position += 1 } }

        /// RFC 9110's token, and the characters of token68 beside it.
        private mutating func token() -> String? {
            let start = position
            while let byte = current, byte > 32, byte < 127, !"()<>@,;:\\\"[]?={}".utf8.contains(byte) { position += 1 }
            return start == position ? nil : String(decoding: bytes[start..<position], as: UTF8.self)
        }

        private mutating func quoted() -> String? {
            position += 1
            var value: [UInt8] = []
            while let byte = current {
                position += 1
                if byte == UInt8(ascii: "\"") { return String(decoding: value, as: UTF8.self) }
                if byte == UInt8(ascii: "\\"), let escaped = current {
                    position += 1
                    value.append(escaped)
                } else {
                    value.append(byte)
                }
            }
            return nil
        }

        mutating func challenge() -> AuthenticationChallenge? {
            skip(" \t,")
            guard let scheme = token() else { return nil }
            var parameters: [String: String] = [:]
            while true {
                let mark = position
                skip(" \t,")
                guard let name = token() else { break }
                skip(" \t")
                guard current == UInt8(ascii: "=") else {
                    // A word without `=` is the next challenge's scheme.
                    position = mark
                    break
                }
                position += 1
                skip(" \t")
                guard let value = current == UInt8(ascii: "\"") ? quoted() : token() else { return nil }
                parameters[name.lowercased()] = value
            }
            return AuthenticationChallenge(scheme: scheme.lowercased(), parameters: parameters)
        }
    }
}
