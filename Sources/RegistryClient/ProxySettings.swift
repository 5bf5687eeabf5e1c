internal import AsyncHTTPClient

/// Through which proxy a registry is reached, by the rules that Go programs follow: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`, of the
/// environment (both spellings) or of daemon.json.
public struct ProxySettings: Sendable, Equatable {
    /// `http://[user:password@]host[:port]` or `socks5://host[:port]`; empty for none. The scheme may be left out.
    public var http: String
    public var https: String
    /// What is reached without one, divided by commas: `*`, addresses, networks, names (and all below them), `.names` (only what is
    /// below), each with an optional port.
    public var none: String

    public init(http: String = "", https: String = "", none: String = "") {
        self.http = http
        self.https = https
        self.none = none
    }

    /// Those of an environment.
    public init(environment: (String) -> String?) {
        func value(_ name: String) -> String {
            for spelling in [name, name.lowercased()] {
                if let value = environment(spelling), !value.isEmpty { return value }
            }
            return ""
        }
        self.init(http: value("HTTP_PROXY"), https: value("HTTPS_PROXY"), none: value("NO_PROXY"))
    }

    /// What is not set here is as there.
    public mutating func fillIn(from other: ProxySettings) {
        if http.isEmpty { http = other.http }
        if https.isEmpty { https = other.https }
        if none.isEmpty { none = other.none }
    }

    /// Why a proxy's address cannot be used; nil when it can.
    public static func objection(to text: String) -> String? {
        do {
            _ = try proxy(text)
            return nil
        } catch { return error.message }
    }

    /// The address with its credentials made unreadable, for messages and `info`.
    public static func masked(_ text: String) -> String {
        guard let at = text.lastIndex(of: "@") else { return text }
        let scheme = text.firstRange(of: "://").map { text[..<$0.upperBound] } ?? ""
        return "\(scheme)xxxxx:xxxxx\(text[at...])"
    }

    /// Nil when the address is reached directly. Loopback addresses always are.
    func proxy(for address: WebAddress) throws(RegistryError) -> HTTPClient.Configuration.Proxy? {
        let text = address.usesTLS ? https : http
        guard !text.isEmpty, !isDirect(address) else { return nil }
        return try Self.proxy(text)
    }

    func isDirect(_ address: WebAddress) -> Bool {
        let host = address.host
        let number = HostAddress(host)
        if host == "localhost" || number?.isLoopback == true { return true }
        return none.split(separator: ",").contains { entry in
            let entry = entry.filter { $0 != " " && $0 != "\t" }.lowercased()
            if entry == "*" { return true }
            if let number, number.isIn(network: entry) { return true }
            var name = entry[...]
            if HostAddress(entry) == nil, let colon = entry.lastIndex(of: ":"), !entry[colon...].contains("]") {
                guard Int(entry[entry.index(after: colon)...]) == address.port else { return false }
                name = entry[..<colon]
            }
            name = name.hasPrefix("[") ? name.dropFirst().prefix { $0 != "]" } : name
            if let number { return number == HostAddress(name) }
            if name.hasPrefix("*.") { name = name.dropFirst() }
            return name.hasPrefix(".") ? host.hasSuffix(name) && host.count > name.count : host == name || host.hasSuffix("." + name)
        }
    }

    private static func proxy(_ text: String) throws(RegistryError) -> HTTPClient.Configuration.Proxy {
        let separator = text.firstRange(of: "://")
        let scheme = separator.map { text[..<$0.lowerBound].lowercased() } ?? "http"
        let rest = text[(separator?.upperBound ?? text.startIndex)...].prefix { $0 != "/" }
        let at = rest.lastIndex(of: "@")
        let authority = rest[(at.map { rest.index(after: $0) } ?? rest.startIndex)...]
        let invalid = RegistryError(.unsupported, "invalid proxy address: \(masked(text))")
        guard !authority.isEmpty, let place = WebAddress("http://\(authority)"), (1...65535).contains(place.port) else { throw invalid }
        let hasPort = authority.last != "]" && authority.lastIndex(of: ":").map { !authority[$0...].contains("]") } ?? false
        switch scheme {
        case "http":
            guard let at else { return .server(host: place.host, port: place.port) }
            let user = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map { decoded($0) }
            return .server(
                host: place.host, port: place.port,
                authorization: .basic(username: user[0], password: user.count > 1 ? user[1] : ""))
        case "socks5", "socks5h":
            if at != nil { throw RegistryError(.unsupported, "not implemented: SOCKS proxy with credentials") }
            return .socksServer(host: place.host, port: hasPort ? place.port : 1080)
        default: throw RegistryError(.unsupported, "not implemented: proxy of scheme \(scheme)")
        }
    }

    /// Percent-encoding undone.
    private static func decoded(_ text: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
