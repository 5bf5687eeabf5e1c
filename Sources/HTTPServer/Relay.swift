internal import NIOCore
internal import NIOPosix

/// Glues a hijacked connection to a stream socket, both ways, each side read only as fast as the other takes.
///
///     client ──bytes──▶ FrontHandler ──▶ Relay ──▶ socket        client half-closes: the socket is half-closed
///     client ◀──bytes── FrontHandler ◀── Relay ◀── socket        socket ends: flush, close the client
///
/// `@unchecked Sendable`: lives on the event loop of the connection.
final class Relay: @unchecked Sendable {
    private weak var front: FrontHandler?
    private let client: any Channel
    private var socket: (any Channel)?
    private var clientDone = false
    private var socketDone = false

    init(front: FrontHandler, client: any Channel) {
        self.front = front
        self.client = client
    }

    /// Takes the socket over; owns `descriptor`.
    func open(_ descriptor: Int32, on loop: any EventLoop) -> EventLoopFuture<Void> {
        ClientBootstrap(group: loop)
            .channelOption(ChannelOptions.autoRead, value: false)
            .channelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(SocketSide(relay: self))
                }
            }
            .withConnectedSocket(descriptor)
            .map { channel in
                self.socket = channel
                if channel.isActive { channel.read() } else { self.socketEnded() }
            }
    }

    // MARK: From the client

    func fromClient(_ buffer: ByteBuffer) {
        if !clientDone && !socketDone { socket?.write(buffer, promise: nil) }
    }

    func clientReadComplete() {
        socket?.flush()
        // After the socket's end the rest is thrown away, see `socketEnded`.
        if socketDone || socket?.isWritable ?? false { front?.read() }
    }

    func clientInputClosed() {
        guard !clientDone else { return }
        clientDone = true
        guard let socket, !socketDone else { return client.close(promise: nil) }
        // NIO lets pending writes out first.
        socket.close(mode: .output, promise: nil)
    }

    func clientWritabilityChanged() {
        if client.isWritable { socket?.read() }
    }

    func clientGone() {
        clientDone = true
        socket?.close(promise: nil)
        socket = nil
    }

    // MARK: From the socket

    fileprivate func fromSocket(_ buffer: ByteBuffer) { front?.write(buffer) }

    fileprivate func socketReadComplete() {
        front?.flush()
        if client.isWritable { socket?.read() }
    }

    fileprivate func socketWritabilityChanged() {
        if socket?.isWritable ?? false { front?.read() }
    }

    /// The stream is over. The output is closed once it has gone out; the whole connection when the client closes too,
    /// or shortly after: closing with unread input would turn the client's end-of-file into a reset.
    fileprivate func socketEnded() {
        guard !socketDone else { return }
        socketDone = true
        let flushed = client.eventLoop.makePromise(of: Void.self)
        front?.write(ByteBuffer(), promise: flushed)
        front?.flush()
        flushed.futureResult.whenComplete { _ in
            self.socket?.close(promise: nil)
            let client = self.client
            if self.clientDone { return client.close(promise: nil) }
            client.close(mode: .output, promise: nil)
            self.front?.read()
            client.eventLoop.scheduleTask(in: .seconds(1)) { client.close(promise: nil) }
        }
    }

    /// The handler on the socket's channel.
    private final class SocketSide: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private let relay: Relay

        init(relay: Relay) { self.relay = relay }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { relay.fromSocket(unwrapInboundIn(data)) }
        func channelReadComplete(context: ChannelHandlerContext) { relay.socketReadComplete() }
        func channelWritabilityChanged(context: ChannelHandlerContext) { relay.socketWritabilityChanged() }
        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if case ChannelEvent.inputClosed? = event as? ChannelEvent { relay.socketEnded() }
        }
        func channelInactive(context: ChannelHandlerContext) { relay.socketEnded() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
