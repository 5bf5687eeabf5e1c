internal import AsyncHTTPClient
internal import Glibc
internal import Linux
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// Connections to registries, kept open and shared by all their users: one client for each proxy, as the proxy belongs to the
/// client and everything else to the request.
final class HTTPTransport: Sendable {
    private let clients = Mutex<[HTTPClient.Configuration.Proxy?: HTTPClient]>([:])
    private let readTimeout: TimeAmount

    /// - Parameter readTimeout: how long a registry may say nothing. Long: some move an upload to its place before they answer.
    init(readTimeout: TimeAmount = .minutes(5)) { self.readTimeout = readTimeout }

    deinit {
        // A client must be told that it ends; this one lives until it has.
        for client in clients.withLock({ Array($0.values) }) {
            client.shutdown().whenComplete { _ in withExtendedLifetime(client) {} }
        }
    }

    func client(_ proxy: HTTPClient.Configuration.Proxy?) -> HTTPClient {
        clients.withLock { clients in
            if let client = clients[proxy] { return client }
            var configuration = HTTPClient.Configuration()
            configuration.httpVersion = .http1Only
            configuration.redirectConfiguration = .disallow
            configuration.timeout = .init(connect: .seconds(30), read: readTimeout, write: .minutes(5))
            configuration.connectionPool.retryConnectionEstablishment = false
            // Layers, each of them perhaps in parts, at once.
            configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 32
            configuration.proxy = proxy
            let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
            clients[proxy] = client
            return client
        }
    }

    /// Closes all connections; for tests and programs that end.
    func shutdown() async {
        let all = clients.withLock { clients in
            defer { clients = [:] }
            return Array(clients.values)
        }
        for client in all { try? await client.shutdown().get() }
    }
}

/// A request that got no answer, or not the whole of it.
struct ConnectionFailure: Error, CustomStringConvertible {
    /// In the words of Go's programs, which users look for.
    let description: String
    /// Whether the same request may succeed a moment later.
    let isTransient: Bool
    /// There is no host of this name.
    let isUnknownHost: Bool

    init(_ description: String, isTransient: Bool, isUnknownHost: Bool = false) {
        self.description = description
        self.isTransient = isTransient
        self.isUnknownHost = isUnknownHost
    }

    /// What an error of the client means. Throws it on when the task was cancelled.
    init(_ error: any Error, to address: WebAddress) throws(CancellationError) {
        if error is CancellationError || Task.isCancelled { throw CancellationError() }
        switch error {
        case let failure as ConnectionFailure: self = failure
        case let error as NIOConnectionError: self = Self.connecting(error, to: address)
        case let error as HTTPClientError: self = Self.asking(error, address)
        case let error as NIOSSLError: self.init(Self.tls("\(error)"), isTransient: false)
        case is NIOSSLExtraError:
            self.init("tls: failed to verify certificate: x509: certificate is not valid for \(address.host)", isTransient: false)
        case let error as IOError where error.errnoCode == ECONNREFUSED:
            self.init("dial tcp \(address.host):\(address.port): connect: connection refused", isTransient: false)
        default: self.init("\(error)", isTransient: true)
        }
    }

    private static func connecting(_ error: NIOConnectionError, to address: WebAddress) -> ConnectionFailure {
        if let cause = error.connectionErrors.first?.error {
            let place = "dial tcp \(address.host):\(address.port)"
            if let cause = cause as? IOError {
                let isRefused = cause.errnoCode == ECONNREFUSED
                return ConnectionFailure("\(place): connect: \(SystemError.text(of: cause.errnoCode))", isTransient: !isRefused)
            }
            return ConnectionFailure("\(place): \(cause)", isTransient: true)
        }
        return ConnectionFailure("dial tcp: lookup \(address.host): no such host", isTransient: false, isUnknownHost: true)
    }

    private static func asking(_ error: HTTPClientError, _ address: WebAddress) -> ConnectionFailure {
        switch error {
        case .connectTimeout: ConnectionFailure("dial tcp \(address.host):\(address.port): i/o timeout", isTransient: true)
        case .tlsHandshakeTimeout: ConnectionFailure("net/http: TLS handshake timeout", isTransient: true)
        case .readTimeout, .writeTimeout, .deadlineExceeded: ConnectionFailure("net/http: timeout awaiting response", isTransient: true)
        case .remoteConnectionClosed, .uncleanShutdown: ConnectionFailure("unexpected EOF", isTransient: true)
        case .proxyAuthenticationRequired: ConnectionFailure("proxy authentication required", isTransient: false)
        case .invalidProxyResponse: ConnectionFailure("the proxy refused the connection", isTransient: false)
        default: ConnectionFailure("\(error)", isTransient: true)
        }
    }

    private static func tls(_ text: String) -> String {
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return "http: server gave HTTP response to HTTPS client"
        }
        return "tls: \(text)"
    }
}
