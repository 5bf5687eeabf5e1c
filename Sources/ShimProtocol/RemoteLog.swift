internal import JSON

extension LaunchRequest.Log {
    /// A log that goes to a server: Docker's drivers syslog, journald, gelf and fluentd.
    public struct Remote: Sendable, Equatable {
        public enum Kind: String, Sendable { case syslog, journald, gelf, fluentd }

        public var kind: Kind
        public var address: Address
        /// Syslog's tag, fluentd's tag; unused by the others.
        public var tag = ""
        /// The name of this host, as the messages tell it.
        public var host = ""
        /// What every message carries besides its text: attributes of the container, by the driver's own names.
        public var fields: [String: String] = [:]
        /// What the driver's encoding depends on: syslog `priority` (facility × 8) and `format`; gelf `compression`;
        /// fluentd `subsecond`.
        public var settings: [String: String] = [:]
        /// A slow server makes the container's writes wait; otherwise what finds no room is lost (`mode=non-blocking`).
        public var isBlocking = true
        /// Bytes that may wait for the server (`max-buffer-size`).
        public var bufferSize = 1 << 20
        /// A copy on this host, for `docker logs`.
        public var cache: JSONFile?

        public init(kind: Kind, address: Address) {
            self.kind = kind
            self.address = address
        }
    }

    /// Where a log server listens; host names are resolved already.
    public struct Address: Sendable, Equatable, CustomStringConvertible {
        public enum Transport: String, Sendable { case unix, unixgram, tcp, udp }

        public var transport: Transport
        /// A path, or an IPv4 or IPv6 address.
        public var host: String
        public var port: UInt16

        public init(_ transport: Transport, _ host: String, port: UInt16 = 0) {
            self.transport = transport
            self.host = host
            self.port = port
        }

        public var isDatagram: Bool { transport == .unixgram || transport == .udp }

        public var description: String {
            switch transport {
            case .unix, .unixgram: "\(transport.rawValue) \(host)"
            case .tcp, .udp: "\(transport.rawValue) " + (host.utf8.contains(58) ? "[\(host)]" : host) + ":\(port)"
            }
        }
    }
}

extension LaunchRequest.Log.Remote {
    var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("kind", kind.rawValue)
        writer.put("transport", address.transport.rawValue)
        writer.put("address", address.host)
        writer.put("port", address.port)
        writer.put("tag", tag)
        writer.put("host", host)
        writer.put("fields", fields)
        writer.put("settings", settings)
        writer.put("blocking", isBlocking)
        writer.put("buffer", bufferSize)
        if let cache { writer.put("cache", cache.json) }
        return writer.value
    }

    init(_ fields: Fields) throws(ShimFailure) {
        guard let kind = Kind(rawValue: try fields.string("kind")) else { throw fields.wrong("kind", "a log driver") }
        guard let transport = LaunchRequest.Log.Address.Transport(rawValue: try fields.string("transport")) else {
            throw fields.wrong("transport", "unix, unixgram, tcp or udp")
        }
        self.init(kind: kind, address: .init(transport, try fields.string("address"), port: try fields.number("port")))
        tag = try fields.string("tag", default: "")
        host = try fields.string("host", default: "")
        self.fields = try fields.texts("fields")
        settings = try fields.texts("settings")
        isBlocking = try fields.flag("blocking")
        bufferSize = try fields.number("buffer")
        guard bufferSize > 0 else { throw fields.wrong("buffer", "a positive number") }
        if !fields.isAbsent("cache") { cache = try .init(try fields.object("cache")) }
    }
}
