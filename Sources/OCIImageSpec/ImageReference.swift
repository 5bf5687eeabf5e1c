/// The name of an image: a registry's domain, a repository's path, and a tag, a digest or both.
///
/// `init(_:)` reads what people write and fills in what they leave out, as Docker does: `busybox` is
/// `docker.io/library/busybox`. `familiar` is the way back. Grammar: distribution/reference.
public struct ImageReference: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Host of the registry with an optional port: `docker.io`, `localhost:5000`.
    public let domain: String
    /// Path of the repository in the registry: `library/busybox`.
    public let path: String
    public let tag: String?
    public let digest: Digest?

    /// Reads a name as people write it. Throws what Docker would say.
    public init(_ text: String) throws(ReferenceError) {
        if text.utf8.count == 64 && text.utf8.allSatisfy(\.isLowerHex) { throw .isIdentifier(text) }
        let (domain, remainder) = Self.splitDomain(text)
        let remote = remainder.prefix { $0 != ":" }
        if remote.lowercased() != remote { throw .notLowercase(String(remote)) }
        var rest = Substring(remainder)
        var digest: Digest?
        if let at = rest.firstIndex(of: "@") {
            let digestText = String(rest[rest.index(after: at)...])
            guard ReferenceGrammar.isDigest(digestText) else { throw .invalidFormat }
            digest = try Digest(digestText)
            rest = rest[..<at]
        }
        var tag: String?
        if let colon = rest.lastIndex(of: ":") {
            tag = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        // What is no host's name may yet begin a path.
        let hasPlace = ReferenceGrammar.isDomain(domain) || ReferenceGrammar.isPath(domain[...])
        guard hasPlace, ReferenceGrammar.isPath(rest), tag.map(ReferenceGrammar.isTag) ?? true else {
            throw .invalidFormat
        }
        if rest.utf8.count > 255 { throw .nameTooLong }
        self.init(domain: domain, path: String(rest), tag: tag, digest: digest)
    }

    private init(domain: String, path: String, tag: String?, digest: Digest?) {
        self.domain = domain
        self.path = path
        self.tag = tag
        self.digest = digest
    }

    private static func splitDomain(_ text: String) -> (domain: String, remainder: String) {
        var domain = "docker.io"
        var remainder = text
        if let slash = text.firstIndex(of: "/") {
            let first = text[..<slash]
            if first.contains(where: { $0 == "." || $0 == ":" }) || first == "localhost" || first.lowercased() != first {
                domain = String(first)
                remainder = String(text[text.index(after: slash)...])
            }
        }
        if domain == "index.docker.io" { domain = "docker.io" }
        if domain == "docker.io" && !remainder.contains("/") { remainder = "library/" + remainder }
        return (domain, remainder)
    }

    /// Domain and path: `docker.io/library/busybox`.
    public var name: String { "\(domain)/\(path)" }

    /// The name as people write it: `busybox`.
    public var familiarName: String {
        guard domain == "docker.io" else { return name }
        return path.hasPrefix("library/") && !path.dropFirst(8).contains("/") ? String(path.dropFirst(8)) : path
    }

    /// The whole reference: `docker.io/library/busybox:latest`.
    public var description: String { name + suffix }

    /// The whole reference as people write it: `busybox:latest`.
    public var familiar: String { familiarName + suffix }

    private var suffix: String { (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "") }

    /// This reference, with the tag `latest` when it has neither tag nor digest.
    public var withDefaultTag: ImageReference { tag == nil && digest == nil ? with(tag: "latest") : self }

    /// The same repository with another tag and no digest. The caller vouches for the tag (`isValidTag`).
    public func with(tag: String) -> ImageReference { ImageReference(domain: domain, path: path, tag: tag, digest: nil) }

    /// The same repository by digest.
    public func with(digest: Digest) -> ImageReference { ImageReference(domain: domain, path: path, tag: nil, digest: digest) }

    /// A tag is a word character and up to 127 more, points and hyphens.
    public static func isValidTag(_ tag: String) -> Bool { ReferenceGrammar.isTag(tag) }

    public static func < (left: ImageReference, right: ImageReference) -> Bool { left.description < right.description }

    public init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        do { self = try ImageReference(text) } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "\(error): \(text.prefix(150))"))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// The lexical rules of references, byte by byte.
enum ReferenceGrammar {
    static func isTag(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard let first = bytes.first, bytes.count <= 128 else { return false }
        return isWord(first) && bytes.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
    }

    private static func isWord(_ byte: UInt8) -> Bool { byte.isDigit || byte.isLower || byte.isUpper || byte == UInt8(ascii: "_") }

    /// `algorithm:hex` with at least 32 hexadecimal digits; whether we know the algorithm is `Digest`'s question.
    static func isDigest(_ text: String) -> Bool {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let first = parts[0].utf8.first, first.isLower || first.isUpper else { return false }
        let isAlgorithm = parts[0].utf8.allSatisfy { isWord($0) || "-+.".utf8.contains($0) }
        return isAlgorithm && parts[1].utf8.count >= 32
            && parts[1].utf8.allSatisfy { $0.isLowerHex || (65...70).contains($0) }
    }

    /// Host name, IPv4 or bracketed IPv6 address, and an optional port.
    static func isDomain(_ text: String) -> Bool {
        var host = Substring(text)
        if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
            let port = text[text.index(after: colon)...]
            guard !port.isEmpty, port.utf8.allSatisfy(\.isDigit) else { return false }
            host = text[..<colon]
        }
        if host.hasPrefix("[") {
            return host.hasSuffix("]") && host.count > 2
                && host.dropFirst().dropLast().utf8.allSatisfy { $0.isLowerHex || (65...70).contains($0) || $0 == UInt8(ascii: ":") }
        }
        return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { component in
            let bytes = Array(component.utf8)
            guard let first = bytes.first, let last = bytes.last else { return false }
            return first != UInt8(ascii: "-") && last != UInt8(ascii: "-")
                && bytes.allSatisfy { $0.isDigit || $0.isLower || $0.isUpper || $0 == UInt8(ascii: "-") }
        }
    }

    /// Components of lower-case letters and digits, parted inside by `.`, `_`, `__` or hyphens, joined by `/`.
    static func isPath(_ text: Substring) -> Bool {
        text.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { isPathComponent(Array($0.utf8)) }
    }

    private static func isPathComponent(_ bytes: [UInt8]) -> Bool {
        func isAlphanumeric(_ byte: UInt8) -> Bool { byte.isDigit || byte.isLower }
        guard let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else { return false }
        var index = 0
        while index < bytes.count {
            let start = index
            while index < bytes.count && !isAlphanumeric(bytes[index]) { index += 1 }
            let separator = String(decoding: bytes[start..<index], as: UTF8.self)
            guard ["", ".", "_", "__"].contains(separator) || separator.utf8.allSatisfy({ $0 == UInt8(ascii: "-") }) else { return false }
            index += 1
        }
        return true
    }
}
