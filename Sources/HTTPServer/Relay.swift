internal import NIOCore
internal import NIOPosix

/// Glues a hijacked connection to a stream socket, both ways, each side read only as fast as the other takes.
///
///     client ──bytes──▶ FrontHandler ──▶ Relay ──▶ socket        client half-closes: the socket is half-closed
///     client ◀──bytes── FrontHandler ◀── Relay ◀── socket        socket ends: flush, close the client
///
/// With a WebSocket (`messages`) the client's side is frames: their content goes to the socket, what comes from the socket goes
/// out as one message for each read.
///
/// `@unchecked Sendable`: lives on the event loop of the connection.
final class Relay: @unchecked Sendable {
    private weak var front: FrontHandler?
    private let client: any Channel
    private var socket: (any Channel)?
    private var clientDone = false
    private var socketDone = false
    /// What messages to a WebSocket's client are called; nil for plain bytes.
    private let messages: WebSocketFrames.Opcode?
    private var frames = WebSocketFrames()
    /// A WebSocket's close has been sent: nothing may follow it.
    private var isCloseSent = false

    init(front: FrontHandler, client: any Channel, messages: WebSocketFrames.Opcode? = nil) {
        self.front = front
        self.client = client
        self.messages = messages
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
        if clientDone || socketDone { return }
        if messages == nil { socket?.write(buffer, promise: nil) } else { take(frames: buffer) }
    }

    private func take(frames buffer: ByteBuffer) {
        var buffer = buffer
        do throws(WebSocketFrames.Violation) {
            while let event = try frames.next(in: &buffer) {
                switch event {
                case .data(let bytes): socket?.write(bytes, promise: nil)
                case .ping(let payload):
                    // A client that does not read gets no more of them, so that they don't pile up.
                    if !client.isWritable || isCloseSent { continue }
                    front?.write(WebSocketFrames.head(.pong, count: payload.readableBytes))
                    front?.write(payload)
                    front?.flush()
                case .close(let code): closeMessages(code)
                }
            }
        } catch { closeMessages(error.rawValue) }
    }

    /// The client has closed, or has to be: it is answered, its input has ended, and what the socket sends is for nobody.
    private func closeMessages(_ code: UInt16) {
        sendClose(code)
        front?.flush()
        clientInputClosed()
        client.close(mode: .output, promise: nil)
        client.eventLoop.scheduleTask(in: .seconds(1)) { [client] in client.close(promise: nil) }
    }

    private func sendClose(_ code: UInt16) {
        if messages == nil || isCloseSent { return }
        isCloseSent = true
        front?.write(WebSocketFrames.close(code))
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

    fileprivate func fromSocket(_ buffer: ByteBuffer) {
        if isCloseSent { return }
        if let messages { front?.write(WebSocketFrames.head(messages, count: buffer.readableBytes)) }
        front?.write(buffer)
    }

    fileprivate func socketReadComplete() {
        front?.flush()
        // After a WebSocket's close what comes is read away until the client has gone.
        if client.isWritable || isCloseSent { socket?.read() }
    }

    fileprivate func socketWritabilityChanged() {
        if socket?.isWritable ?? false { front?.read() }
    }

    /// The stream is over. The output is closed once it has gone out; the whole connection when the client closes too,
    /// or shortly after: closing with unread input would turn the client's end-of-file into a reset.
    fileprivate func socketEnded() {
        guard !socketDone else { return }
        socketDone = true
        sendClose(1000)
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
