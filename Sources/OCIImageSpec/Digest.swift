/// The name of content by its hash: `sha256:` and 64 lower-case hexadecimal digits (OCI image spec, "Digests").
public struct Digest: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public enum Algorithm: String, Sendable, Codable {
        case sha256, sha512

        /// Length of the digest in hexadecimal digits.
        public var hexLength: Int { self == .sha256 ? 64 : 128 }
    }

    public let algorithm: Algorithm
    /// Lower-case hexadecimal digits.
    public let hex: String

    /// Reads `algorithm:hex`.
    public init(_ text: String) throws(ReferenceError) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { throw .invalidDigest("invalid checksum digest format") }
        guard let algorithm = Algorithm(rawValue: String(text[..<colon])) else { throw .invalidDigest("unsupported digest algorithm") }
        let hex = text[text.index(after: colon)...]
        guard hex.utf8.count == algorithm.hexLength else { throw .invalidDigest("invalid checksum digest length") }
        guard hex.utf8.allSatisfy(\.isLowerHex) else { throw .invalidDigest("invalid checksum digest format") }
        self.algorithm = algorithm
        self.hex = String(hex)
    }

    /// The digest whose bytes these are: 32 for SHA-256, 64 for SHA-512.
    public init(algorithm: Algorithm = .sha256, bytes: some Collection<UInt8>) {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        self.algorithm = algorithm
        self.hex = String(decoding: text, as: UTF8.self)
    }

    /// `sha256:…` for digits that are known to be lower-case hexadecimal; nil when they aren't.
    public init?(sha256Hex hex: String) {
        guard hex.utf8.count == 64, hex.utf8.allSatisfy(\.isLowerHex) else { return nil }
        self.algorithm = .sha256
        self.hex = hex
    }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do { self = try Digest(text) } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(error) in \(text.prefix(150))"))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    public var description: String { "\(algorithm.rawValue):\(hex)" }

    /// The first twelve digits, as listings show them.
    public var short: String { String(hex.prefix(12)) }

    public static func < (left: Digest, right: Digest) -> Bool { left.description < right.description }
}

extension UInt8 {
    var isLowerHex: Bool { (48...57).contains(self) || (97...102).contains(self) }
    var isDigit: Bool { (48...57).contains(self) }
    var isLower: Bool { (97...122).contains(self) }
    var isUpper: Bool { (65...90).contains(self) }
}

/// Text that names no image: what is wrong, in Docker's words.
public enum ReferenceError: Error, Hashable, Sendable, CustomStringConvertible {
    case invalidFormat
    case notLowercase(String)
    case nameTooLong
    case isIdentifier(String)
    case invalidDigest(String)

    public var description: String {
        switch self {
        case .invalidFormat: "invalid reference format"
        case .notLowercase(let name): "invalid reference format: repository name (\(name)) must be lowercase"
        case .nameTooLong: "repository name must not be more than 255 characters"
        case .isIdentifier(let text): "invalid repository name (\(text)), cannot specify 64-byte hexadecimal strings"
        case .invalidDigest(let reason): reason
        }
    }
}
