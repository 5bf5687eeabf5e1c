// HTTPServer: a thin HTTP/1.1 server on SwiftNIO, for clipperd's API and for the registry.
//
// `HTTPServer` listens on Unix sockets and TCP addresses (`ListenAddress`) and calls one handler per `Request`,
// which answers with a `Response`: bytes, a stream written by a closure, a descriptor read until its end, a file,
// or a hijacked connection glued to a socket. Bodies are read with back-pressure (`RequestBody`).
//
// One connection is two channel handlers: `FrontHandler` holds the raw side (it hands bytes to NIO's parser only
// as far as a request goes, writes the answers, and becomes the `Relay` of a hijacked connection), `Connection`
// holds the requests. TLS (`ServerTLS`, TLSDoor.swift) stands before both. Why not Hummingbird: docs/decisions/0001-http-server.md. Used by EngineAPI and RegistryServer.
internal import Glibc
public import Logging
internal import NIOConcurrencyHelpers
public import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL

/// What answers requests. A thrown error becomes a plain 500; `CancellationError` closes the connection.
public typealias RequestHandler = @Sendable (Request) async throws -> Response

/// Limits and habits of a server.
public struct HTTPServerConfiguration: Sendable {
    /// Event loop threads.
    public var threads = 1
    /// Bytes of one request's header fields and of its request line.
    public var maximumHeaderBytes = 64 * 1024
    /// Request body bytes kept in memory before the client is no longer read.
    public var bodyBufferBytes = 256 * 1024
    /// Seconds after which a connection is closed that waits for its client: for a request, for more of one, or for room to
    /// send. Nil: never.
    public var idleSeconds: Int?
    /// Whether the answer to a request may be a hijack although it has no `Upgrade` header: bytes behind such a
    /// request are then kept for the hijacked stream, and its half-close doesn't cancel the handler.
    public var mayHijack: @Sendable (_ method: String, _ target: String) -> Bool = { _, _ in false }

    public init() {}
}

/// A running HTTP server with any number of listeners.
public final class HTTPServer: Sendable {
    private struct State {
        var listeners: [(channel: any Channel, path: UnixListener?)] = []
        var connections: [ObjectIdentifier: Connection] = [:]
        var stopping = false
        /// Instead of those that listeners were given.
        var renewedTLS: ServerTLS?
        var emptied: [EventLoopPromise<Void>] = []
    }

    let configuration: HTTPServerConfiguration
    let logger: Logger
    let handler: RequestHandler
    private let group: MultiThreadedEventLoopGroup
    private let state = NIOLockedValueBox(State())

    public init(configuration: HTTPServerConfiguration = .init(), logger: Logger, handler: @escaping RequestHandler) {
        self.configuration = configuration
        self.logger = logger
        self.handler = handler
        group = MultiThreadedEventLoopGroup(numberOfThreads: max(1, configuration.threads))
    }

    /// Starts one more listener. Returns the address really bound (the port when 0 was asked for).
    /// Throws `HTTPServerError` when the address is taken or can't be bound.
    /// - Parameter tls: Without it connections are plain. Unix sockets are always: their files' modes say who may connect.
    @discardableResult
    public func listen(on address: ListenAddress, tls: ServerTLS? = nil) async throws -> ListenAddress {
        let tls = address.isUnixSocket ? nil : tls
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(ChannelOptions.backlog, value: 1024)
            .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .childChannelOption(ChannelOptions.autoRead, value: false)
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try configure(channel, tls) }
            }
        let channel: any Channel
        var unix: UnixListener?
        var bound = address
        do {
            switch address {
            case .unix(let path, let mode, let group):
                let listener = try UnixListener.bind(path: path, mode: mode, group: group)
                unix = listener
                channel = try await bootstrap.withBoundSocket(listener.descriptor).get()
            case .tcp(let host, let port):
                channel = try await bootstrap.bind(host: host, port: port).get()
                bound = .tcp(host: host, port: channel.localAddress?.port ?? port)
            case .inherited(let descriptor):
                channel = try await bootstrap.withBoundSocket(descriptor).get()
            }
        } catch let error as HTTPServerError {
            throw error
        } catch {
            unix?.remove()
            throw HTTPServerError("listen on \(address): \(Self.reason(error))")
        }
        state.withLockedValue { $0.listeners.append((channel, unix)) }
        logger.info("listening", metadata: ["address": "\(bound)"])
        return bound
    }

    /// Accepts no more connections, closes idle and hijacked ones, gives requests in progress `grace` to end,
    /// then cancels them; nil: as long as they take. Socket paths are removed. The server can't be used again.
    public func stop(grace: TimeAmount? = .seconds(5)) async {
        let (listeners, connections) = state.withLockedValue { state in
            state.stopping = true
            defer { state.listeners = [] }
            return (state.listeners, Array(state.connections.values))
        }
        for listener in listeners {
            listener.path?.remove()
            try? await listener.channel.close().get()
        }
        for connection in connections { connection.closeWhenIdle() }
        let loop = group.next()
        let emptied = loop.makePromise(of: Void.self)
        let isEmpty = state.withLockedValue { state in
            if !state.connections.isEmpty { state.emptied.append(emptied) }
            return state.connections.isEmpty
        }
        if isEmpty { emptied.succeed(()) }
        let timer = grace.map {
            loop.scheduleTask(in: $0) { [self] in
                for connection in state.withLockedValue({ Array($0.connections.values) }) { connection.closeNow() }
            }
        }
        try? await emptied.futureResult.get()
        timer?.cancel()
        try? await group.shutdownGracefully()
    }

    /// New connections get these certificates; those that are open keep theirs.
    public func renew(_ tls: ServerTLS) { state.withLockedValue { $0.renewedTLS = tls } }

    /// Bytes of the send buffer of a connection within this host. The kernel lets it grow to megabytes, for peers far away; a
    /// near one is not served faster by that, but reads pages that have left the processor's cache since they were queued.
    private static let nearSendBuffer = 256 << 10

    /// A TCP client that has gone looks like one that only has nothing more to say, until it is asked: after 15 seconds, as Go's
    /// servers do (tcp(7)).
    private static func keepAlive(_ options: any NIOSynchronousChannelOptions) throws {
        try options.setOption(.socketOption(.so_keepalive), value: 1)
        for name in [TCP_KEEPIDLE, TCP_KEEPINTVL] { try options.setOption(.socket(SocketOptionLevel(IPPROTO_TCP), name), value: 15) }
    }

    private func configure(_ channel: any Channel, _ tls: ServerTLS?) throws {
        if let peer = channel.remoteAddress?.ipAddress, let options = channel.syncOptions {
            if peer == channel.localAddress?.ipAddress {
                try options.setOption(.socketOption(.so_sndbuf), value: numericCast(Self.nearSendBuffer))
            }
            try Self.keepAlive(options)
        }
        let connection = Connection(server: self, channel: channel)
        let accepted = state.withLockedValue { state in
            if !state.stopping { state.connections[ObjectIdentifier(connection)] = connection }
            return !state.stopping
        }
        guard accepted else { throw HTTPServerError("server is stopping") }
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = configuration.maximumHeaderBytes
        limits.maxHeaderListSize = configuration.maximumHeaderBytes
        let decoder = HTTPRequestDecoder(
            leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .drop, limitConfiguration: limits)
        if let seconds = configuration.idleSeconds {
            try channel.pipeline.syncOperations.addHandler(IdleStateHandler(allTimeout: .seconds(Int64(seconds))))
        }
        if let given = tls {
            let tls = state.withLockedValue { $0.renewedTLS } ?? given
            connection.isEncrypted = true
            let door = TLSDoor()
            let handshake = NIOSSLServerHandler(context: tls.context)
            try channel.pipeline.syncOperations.addHandlers([door, handshake, TLSWatch(door: door, logger: logger)])
        }
        try channel.pipeline.syncOperations.addHandlers([connection.front, ByteToMessageHandler(decoder), connection])
    }

    func remove(_ connection: Connection) {
        let promises = state.withLockedValue { state -> [EventLoopPromise<Void>] in
            state.connections[ObjectIdentifier(connection)] = nil
            guard state.connections.isEmpty else { return [] }
            defer { state.emptied = [] }
            return state.emptied
        }
        for promise in promises { promise.succeed(()) }
    }

    private static func reason(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)).lowercased() }
        return "\(error)"
    }
}

/// A server that can't listen, a body that ended early, a client that has gone.
public struct HTTPServerError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }

    /// The client has gone; nothing can be sent.
    public static let clientGone = HTTPServerError("client has gone")
    /// The connection ended before the body did.
    public static let bodyIncomplete = HTTPServerError("unexpected end of request body")
    /// The body is larger than the reader allows.
    public static let bodyTooLarge = HTTPServerError("request body too large")
}
