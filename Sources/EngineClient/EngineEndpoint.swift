internal import CLinux
internal import Glibc
internal import Linux

/// Where an engine listens: `unix:///run/clipper.sock` or `tcp://127.0.0.1:2375`.
public enum EngineEndpoint: Equatable, Sendable, CustomStringConvertible {
    case unix(String)
    case tcp(host: String, port: UInt16)

    /// Where clipperd listens unless told otherwise.
    public static let standard = EngineEndpoint.unix("/run/clipper.sock")

    /// Reads what `-H`, CLIPPER_HOST and DOCKER_HOST hold; without a port it is 2375, with TLS 2376. Throws `ClientError.invalid`.
    public init(parsing text: String, usesTLS: Bool = false) throws {
        if text.hasPrefix("unix://") {
            let path = String(text.dropFirst(7))
            self = .unix(path.isEmpty ? "/run/clipper.sock" : path)
        } else if text.hasPrefix("tcp://") || text.hasPrefix("http://") {
            let rest = text.dropFirst(text.hasPrefix("tcp") ? 6 : 7).prefix { $0 != "/" }
            self = try Self.tcp(parsing: String(rest), text, usesTLS ? 2376 : 2375)
        } else if text.hasPrefix("ssh://") || text.hasPrefix("https://") || text.hasPrefix("fd://") || text.hasPrefix("npipe://") {
            throw ClientError.invalid("not implemented: host \(text) (unix:// and tcp:// are)")
        } else if text.hasPrefix("/") {
            self = .unix(text)
        } else if !text.contains("://") && text.contains(":") {
            self = try Self.tcp(parsing: text, text, usesTLS ? 2376 : 2375)
        } else {
            throw ClientError.invalid("invalid host \(text): must be unix:///path or tcp://address:port")
        }
    }

    private static func tcp(parsing address: String, _ whole: String, _ usualPort: UInt16) throws -> EngineEndpoint {
        var host = address
        var port = usualPort
        if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
            host = String(address[address.index(after: address.startIndex)..<end])
            let rest = address[address.index(after: end)...]
            if rest.hasPrefix(":") {
                guard let number = UInt16(rest.dropFirst()) else { throw ClientError.invalid("invalid host \(whole): bad port") }
                port = number
            }
        } else if let colon = address.lastIndex(of: ":") {
            guard let number = UInt16(address[address.index(after: colon)...]) else {
                throw ClientError.invalid("invalid host \(whole): bad port")
            }
            port = number
            host = String(address[..<colon])
        }
        return .tcp(host: host.isEmpty ? "127.0.0.1" : host, port: port)
    }

    public var description: String {
        switch self {
        case .unix(let path): "unix://\(path)"
        case .tcp(let host, let port): host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
        }
    }

    /// Connects. Throws `ClientError.unreachable`.
    func connect() throws -> OwnedFD {
        do {
            switch self {
            case .unix(let path): return try Self.connectUnix(path)
            case .tcp(let host, let port): return try Self.connectTCP(host, port)
            }
        } catch let error as SystemError { throw ClientError.unreachable(endpoint: description, error) }
    }

    private static func connectUnix(_ path: String) throws -> OwnedFD {
        let socket = OwnedFD(
            owning: try retrying("socket") { Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0) })
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw SystemError("connect to", path, code: ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        try withUnsafeBytes(of: &address) { try connect(socket.raw, $0, path) }
        return socket
    }

    private static func connectTCP(_ host: String, _ port: UInt16) throws -> OwnedFD {
        guard let numeric = isNumeric(host) ? host : HostsFile.address(of: host) else {
            throw ClientError.invalid("host name \(host) is neither an address nor in /etc/hosts")
        }
        let isV6 = numeric.contains(":")
        let socket = OwnedFD(
            owning: try retrying("socket") {
                Glibc.socket(isV6 ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            })
        if isV6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            _ = inet_pton(AF_INET6, numeric, &address.sin6_addr)
            try withUnsafeBytes(of: &address) { try connect(socket.raw, $0, host) }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            _ = inet_pton(AF_INET, numeric, &address.sin_addr)
            try withUnsafeBytes(of: &address) { try connect(socket.raw, $0, host) }
        }
        return socket
    }

    private static func isNumeric(_ host: String) -> Bool {
        var space = in6_addr()
        return inet_pton(AF_INET, host, &space) == 1 || inet_pton(AF_INET6, host, &space) == 1
    }

    private static func connect(_ socket: Int32, _ address: UnsafeRawBufferPointer, _ subject: String) throws {
        guard let base = address.baseAddress else { return }
        _ = try retrying("connect to", subject) {
            Glibc.connect(socket, base.assumingMemoryBound(to: sockaddr.self), socklen_t(address.count))
        }
    }
}

/// Names a static program can look up without the C library's resolver, which would need shared libraries.
enum HostsFile {
    static func address(of name: String) -> String? {
        if name == "localhost" { return "127.0.0.1" }
        guard let text = try? Files.readText("/etc/hosts") else { return nil }
        for line in text.split(separator: "\n") {
            let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }
            if let address = words.first, words.dropFirst().contains(Substring(name)) { return String(address) }
        }
        return nil
    }
}
