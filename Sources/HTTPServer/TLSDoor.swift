internal import Logging
internal import NIOCore
internal import NIOSSL
internal import NIOTLS

// A connection with TLS has three more handlers in front of `FrontHandler`:
//
//     socket ── TLSDoor ── NIOSSLServerHandler ── TLSWatch ── FrontHandler …
//
// `TLSDoor` answers a client that speaks plain HTTP, and lets the alert of a refused handshake arrive. `TLSWatch` tells the log
// why a handshake failed. Both see to nothing any more once the handshake is complete.

/// The handler at the socket.
final class TLSDoor: ChannelInboundHandler, ChannelOutboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        case waiting, handshaking, open
        /// The handshake has failed: what still comes is thrown away until the client closes.
        case refusing
    }

    private var state = State.waiting

    /// The first byte of a TLS record that opens a handshake (RFC 8446, 5.1).
    private static let handshakeRecord: UInt8 = 22

    func handshakeCompleted() { state = .open }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .open, .handshaking: context.fireChannelRead(data)
        case .refusing: break
        case .waiting:
            guard let first = unwrapInboundIn(data).readableBytesView.first else { return }
            if first == Self.handshakeRecord {
                state = .handshaking
                return context.fireChannelRead(data)
            }
            let answer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
            refuse(context, promise: nil)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if case .refusing = state { context.read() } else { context.fireChannelReadComplete() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .refusing = state, case ChannelEvent.inputClosed? = event as? ChannelEvent { return context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    /// Closing a socket with unread bytes destroys what is on its way to the client (the alert that says what was wrong with its
    /// certificate): after a failed handshake the output is closed, and the rest when the client has closed or a second later.
    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard case .handshaking = state, case .all = mode else { return context.close(mode: mode, promise: promise) }
        refuse(context, promise: promise)
    }

    private func refuse(_ context: ChannelHandlerContext, promise: EventLoopPromise<Void>?) {
        state = .refusing
        context.close(mode: .output, promise: nil)
        context.read()
        let channel = context.channel
        channel.eventLoop.assumeIsolated().scheduleTask(in: .seconds(1)) { context.close(promise: nil) }
        if let promise { channel.closeFuture.cascade(to: promise) }
    }
}

/// The handler behind NIO's: tells the door that it is open, and the log why it is not.
final class TLSWatch: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let door: TLSDoor
    private let logger: Logger
    private var isOpen = false
    private var isTold = false

    init(door: TLSDoor, logger: Logger) {
        self.door = door
        self.logger = logger
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted? = event as? TLSUserEvent {
            isOpen = true
            door.handshakeCompleted()
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard !isOpen else { return context.fireErrorCaught(error) }
        // NIO's handler closes the channel itself.
        guard !isTold else { return }
        isTold = true
        let address = context.channel.remoteAddress.map { "\($0)" } ?? ""
        logger.info("TLS handshake error", metadata: ["from": "\(address)", "error": "\(error)"])
    }
}
