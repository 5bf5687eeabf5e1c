internal import HTTPServer

/// Where the daemon listens, as `-H` names it.
enum Door {
    case address(ListenAddress)
    /// Sockets that the service manager has opened: all, or the one with a number from 3 on.
    case activated(Int32?)

    /// Reads `unix:///path`, `tcp://host:port`, `fd://`; a missing host is localhost, a missing port 2375, with TLS 2376.
    init(parsing text: String, usesTLS: Bool, group: String? = nil) throws(OptionError) {
        let invalid = OptionError("invalid argument \"\(text)\" for \"-H, --host\" flag: invalid bind address format: \(text)")
        if text.hasPrefix("unix://") || text.hasPrefix("/") {
            let path = text.hasPrefix("/") ? text : String(text.dropFirst(7))
            guard path.hasPrefix("/") else { throw invalid }
            self = .address(.unix(path: path, group: group))
        } else if text.hasPrefix("fd://") {
            let name = text.dropFirst(5)
            if name.isEmpty || name == "*" {
                self = .activated(nil)
            } else {
                guard let number = Int32(name), number >= 3 else { throw invalid }
                self = .activated(number)
            }
        } else {
            let rest = text.hasPrefix("tcp://") ? text.dropFirst(6) : text[...]
            guard !rest.contains("/") else { throw invalid }
            let colon = rest.hasSuffix("]") ? nil : rest.lastIndex(of: ":")
            var port = usesTLS ? 2376 : 2375
            if let colon {
                guard let number = Int(rest[rest.index(after: colon)...]), (0...65535).contains(number) else { throw invalid }
                port = number
            } else if !text.hasPrefix("tcp://") {
                throw invalid
            }
            let host = rest[..<(colon ?? rest.endIndex)].filter { $0 != "[" && $0 != "]" }
            self = .address(.tcp(host: host.isEmpty ? "localhost" : String(host), port: port))
        }
    }
}
