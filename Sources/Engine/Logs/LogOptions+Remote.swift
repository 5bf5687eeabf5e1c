internal import EngineTypes
internal import ShimProtocol

extension LogOptions {
    /// What the drivers syslog, gelf and fluentd say to their own options.
    func checkRemote() throws(EngineError) {
        switch driver {
        case "syslog": try checkSyslog()
        case "gelf": try checkGELF()
        case "fluentd": try checkFluentd()
        default: break
        }
    }

    /// The server's address as it was given; nil where there is a usual place to look for.
    func address() throws(EngineError) -> LogAddress? {
        let text = values["\(driver)-address"] ?? ""
        switch driver {
        case "syslog": return text.isEmpty ? nil : try LogAddress(url: text, option: "syslog-address", defaultPort: 514)
        case "gelf":
            if text.isEmpty { throw .invalid("gelf-address is a required parameter") }
            let address = try LogAddress(url: text, option: "gelf-address", defaultPort: nil)
            guard address.scheme == "udp" || address.scheme == "tcp" else { throw .invalid("gelf: endpoint needs to be TCP or UDP") }
            if address.port == nil { throw .invalid("gelf: please provide gelf-address as proto://host:port") }
            return address
        case "fluentd": return try LogAddress(fluentd: text)
        default: return nil
        }
    }

    private func checkSyslog() throws(EngineError) {
        for name in values.keys.sorted() where name.hasPrefix("syslog-tls-") { throw .notImplemented("log option \(name)") }
        _ = try address()
        _ = try syslogPriority()
        guard ["", "rfc3164", "rfc5424", "rfc5424micro"].contains(values["syslog-format"] ?? "") else {
            throw .invalid("Invalid syslog format")
        }
    }

    /// Facility × 8 (RFC 5424, 6.2.1).
    func syslogPriority() throws(EngineError) -> Int {
        let names = [
            "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "", "", "", "local0",
            "local1", "local2", "local3", "local4", "local5", "local6", "local7",
        ]
        let text = values["syslog-facility"] ?? ""
        if text.isEmpty { return 24 }
        if let number = names.firstIndex(of: text) { return number * 8 }
        if let number = Int(text), (0...23).contains(number) { return number * 8 }
        throw .invalid("invalid syslog facility")
    }

    private func checkGELF() throws(EngineError) {
        let scheme = try address()?.scheme
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "gelf-compression-level", "gelf-compression-type":
                if scheme != "udp" { throw .invalid("compression is only supported on UDP") }
                let isKnown =
                    name == "gelf-compression-type"
                    ? ["gzip", "zlib", "none"].contains(value) : Int(value).map { (-1...9).contains($0) } ?? false
                if !isKnown { throw .invalid("unknown value \"\(value)\" for log opt \"\(name)\" for gelf log driver") }
                // There is one way of packing; level 0 is none.
                if name == "gelf-compression-level" && !["-1", "0", "1"].contains(value) {
                    throw .notImplemented("log option gelf-compression-level=\(value) (levels are -1, 0 and 1)")
                }
            case "gelf-tcp-max-reconnect", "gelf-tcp-reconnect-delay":
                if scheme != "tcp" { throw .invalid("\"\(name)\" is only valid for TCP") }
                guard let number = Int(value), number >= 0 else { throw .invalid("\"\(name)\" must be a positive integer") }
                throw .notImplemented("log option \(name)")
            default: break
            }
        }
    }

    private func checkFluentd() throws(EngineError) {
        _ = try address()
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            switch name {
            case "fluentd-async", "fluentd-async-connect", "fluentd-sub-second-precision", "fluentd-request-ack":
                guard let flag = Self.bool(value) else { throw .invalid("strconv.ParseBool: parsing \"\(value)\": invalid syntax") }
                if name == "fluentd-request-ack" && flag { throw .notImplemented("log option fluentd-request-ack") }
            case "fluentd-buffer-limit":
                guard let size = Self.size(value), size > 0 else { throw .invalid("invalid size: '\(value)'") }
            case "fluentd-retry-wait", "fluentd-max-retries", "fluentd-async-reconnect-interval":
                throw .notImplemented("log option \(name)")
            default: break
            }
        }
    }

    /// The driver's own settings for the shim (`LaunchRequest.Log.Remote.settings`).
    func remoteSettings() throws(EngineError) -> [String: String] {
        switch driver {
        case "syslog": return ["format": values["syslog-format"] ?? "", "priority": String(try syslogPriority())]
        case "gelf":
            let type = try address()?.scheme == "tcp" ? "none" : values["gelf-compression-type"] ?? "gzip"
            return ["compression": values["gelf-compression-level"] == "0" ? "none" : type]
        case "fluentd":
            let isAsync = Self.bool(values["fluentd-async"]) ?? Self.bool(values["fluentd-async-connect"]) ?? false
            return [
                "subsecond": String(Self.bool(values["fluentd-sub-second-precision"]) ?? false), "async": String(isAsync),
            ]
        default: return [:]
        }
    }
}
