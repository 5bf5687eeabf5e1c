/// An http or https URL, as far as registries use them.
struct WebAddress: Sendable, Hashable, CustomStringConvertible {
    let usesTLS: Bool
    /// Host, in brackets when it is an IPv6 address, and optional port; lower case.
    let authority: String
    /// With a slash in front, the query behind it. Without fragment.
    let target: String

    init(usesTLS: Bool, authority: String, target: String) {
        self.usesTLS = usesTLS
        self.authority = authority.lowercased()
        self.target = target.hasPrefix("/") ? target : "/" + target
    }

    /// Nil for another scheme, no host, or credentials in the address.
    init?(_ text: String) {
        guard let separator = text.firstRange(of: "://") else { return nil }
        let rest = text[separator.upperBound...]
        let authority = rest.prefix { !"/?#".contains($0) }
        guard !authority.isEmpty, !authority.contains("@"), authority.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
        let target = rest.dropFirst(authority.count).prefix { $0 != "#" }
        guard target.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
        switch text[..<separator.lowerBound].lowercased() {
        case "https": self.init(usesTLS: true, authority: String(authority), target: String(target))
        case "http": self.init(usesTLS: false, authority: String(authority), target: String(target))
        default: return nil
        }
    }

    var description: String { "\(usesTLS ? "https" : "http")://\(authority)\(target)" }

    /// Without port and brackets.
    var host: String { Self.host(of: authority) }

    var port: Int {
        guard let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") else { return usesTLS ? 443 : 80 }
        return Int(authority[authority.index(after: colon)...]) ?? 0
    }

    static func host(of authority: String) -> String {
        if authority.hasPrefix("[") { return String(authority.dropFirst().prefix { $0 != "]" }) }
        return String(authority.prefix { $0 != ":" })
    }

    /// Scheme, host and port: what credentials are for (RFC 6454).
    func hasSameOrigin(as other: WebAddress) -> Bool { usesTLS == other.usesTLS && host == other.host && port == other.port }

    /// What a `Location` or `Link` means here (RFC 3986, section 5); nil when it is no http address.
    func resolving(_ reference: String) -> WebAddress? {
        if reference.contains("://"), let absolute = WebAddress(reference) { return absolute }
        guard !reference.isEmpty, reference.utf8.allSatisfy({ $0 > 32 && $0 < 127 }) else { return nil }
        let text = String(reference.prefix { $0 != "#" })
        if text.hasPrefix("//") { return WebAddress((usesTLS ? "https:" : "http:") + text) }
        if text.hasPrefix("/") { return WebAddress(usesTLS: usesTLS, authority: authority, target: text) }
        let path = target.prefix { $0 != "?" }
        if text.hasPrefix("?") { return WebAddress(usesTLS: usesTLS, authority: authority, target: path + text) }
        guard !text.prefix(while: { !"/?".contains($0) }).contains(":") else { return nil }
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        return WebAddress(usesTLS: usesTLS, authority: authority, target: folder + text)
    }

    /// With one more parameter in its query.
    func adding(_ name: String, _ value: String) -> WebAddress {
        let separator = target.contains("?") ? (target.hasSuffix("?") || target.hasSuffix("&") ? "" : "&") : "?"
        return WebAddress(
            usesTLS: usesTLS, authority: authority, target: "\(target)\(separator)\(name)=\(Self.escaped(value))")
    }

    /// Percent-encodes all but unreserved characters (RFC 3986, section 2.3).
    static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var output: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"): output.append(byte)
            default: output += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: output, as: UTF8.self)
    }
}
