internal import EngineTypes
internal import Glibc
internal import Linux
internal import ShimProtocol

/// Where a log server is, as an option names it.
struct LogAddress: Equatable {
    /// tcp, udp, unix or unixgram.
    let scheme: String
    /// A host's name or address; a path.
    let host: String
    let port: UInt16?

    /// `proto://host:port` or `proto:///path`.
    init(url text: String, option: String, defaultPort: UInt16?) throws(EngineError) {
        let malformed = EngineError.invalid("\(option) should be in form proto://address, got \(text)")
        guard let mark = text.firstRange(of: "://") else { throw malformed }
        let scheme = String(text[..<mark.lowerBound])
        let rest = String(text[mark.upperBound...])
        switch scheme {
        case "tcp+tls", "tls": throw .notImplemented("\(option) with \(scheme)")
        case "unix", "unixgram":
            guard rest.hasPrefix("/") else { throw malformed }
            self.init(scheme: scheme, host: rest, port: nil)
        case "tcp", "udp":
            let (host, port) = try Self.split(rest, malformed)
            self.init(scheme: scheme, host: host.isEmpty ? "localhost" : host, port: port ?? defaultPort)
        default: throw malformed
        }
    }

    /// fluentd-address: `host`, `host:port`, `tcp://host:port`, `unix:///path`; 127.0.0.1:24224 by default.
    init(fluentd text: String) throws(EngineError) {
        let url = text.isEmpty ? "tcp://127.0.0.1:24224" : text.firstRange(of: "://") == nil ? "tcp://\(text)" : text
        try self.init(url: url, option: "fluentd-address", defaultPort: 24224)
        guard scheme == "tcp" || scheme == "unix" else { throw .invalid("unsupported scheme in fluentd-address: \(scheme)") }
    }

    private init(scheme: String, host: String, port: UInt16?) {
        self.scheme = scheme
        self.host = host
        self.port = port
    }

    /// `host`, `host:port`, `[v6]`, `[v6]:port`.
    private static func split(_ text: String, _ malformed: EngineError) throws(EngineError) -> (host: String, port: UInt16?) {
        let text = text.hasSuffix("/") ? String(text.dropLast()) : text
        if text.contains("/") { throw malformed }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else {
            return (text.filter { $0 != "[" && $0 != "]" }, nil)
        }
        guard let port = UInt16(text[text.index(after: colon)...]) else { throw malformed }
        return (text[..<colon].filter { $0 != "[" && $0 != "]" }, port)
    }

    /// Looks the host up, which may take its time (getaddrinfo(3)).
    func resolved() throws(EngineError) -> LaunchRequest.Log.Address {
        guard let transport = LaunchRequest.Log.Address.Transport(rawValue: scheme) else { throw .invalid("log address: \(scheme)") }
        guard let port else { return .init(transport, host) }
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, nil, &hints, &list)
        defer { if let list { freeaddrinfo(list) } }
        guard code == 0, let first = list?.pointee else {
            throw EngineError(.system, "failed to initialize logging driver: lookup \(host): \(String(cString: gai_strerror(code)))")
        }
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        getnameinfo(first.ai_addr, first.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
        return .init(transport, String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), port: port)
    }
}
