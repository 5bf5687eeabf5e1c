internal import NIOCore

/// The handler next to the socket. It hands bytes to the HTTP parser only as far as they can't belong to a hijacked
/// stream, writes answers past the parser, and passes everything to the `Relay` once the connection is hijacked.
///
/// A client that hijacks may send stream bytes right behind the request's head, without waiting for the answer.
/// The parser would take them for the next request. So a head is handed over up to its blank line, then `Connection`
/// knows whether the request may hijack; if so, its (short) body is handed over byte by byte until the request is
/// complete, and what follows is held.
final class FrontHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// How far the parser is, told by `Connection`.
    enum Phase {
        case head, body, hijackableBody, hijackableEnd
        /// After a fatal error or a last request: what comes is thrown away.
        case deaf
    }

    var phase = Phase.head
    private(set) var context: ChannelHandlerContext?
    private unowned let connection: Connection
    private var held = CircularBuffer<ByteBuffer>()
    private var relay: Relay?
    private var matched = 0
    private(set) var inputClosed = false

    init(connection: Connection) { self.connection = connection }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if let relay { return relay.fromClient(buffer) }
        while buffer.readableBytes > 0 {
            switch phase {
            case .head:
                context.fireChannelRead(wrapInboundOut(takeHead(from: &buffer)))
            case .hijackableBody:
                guard let byte = buffer.readSlice(length: 1) else { return }
                context.fireChannelRead(wrapInboundOut(byte))
            case .body:
                context.fireChannelRead(wrapInboundOut(buffer))
                return
            case .hijackableEnd:
                held.append(buffer)
                return
            case .deaf:
                return
            }
        }
    }

    /// Everything up to and with the head's blank line, or everything when it has not come yet. `matched` counts how
    /// much of CR LF CR LF has been seen, also across reads.
    private func takeHead(from buffer: inout ByteBuffer) -> ByteBuffer {
        let length = buffer.withUnsafeReadableBytes { bytes -> Int in
            for (index, byte) in bytes.enumerated() {
                switch byte {
                case 13: matched = matched == 2 ? 3 : 1
                case 10 where matched == 1: matched = 2
                case 10 where matched == 3:
                    matched = 0
                    return index + 1
                default: matched = 0
                }
            }
            return bytes.count
        }
        return buffer.readSlice(length: length) ?? buffer
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if let relay { return relay.clientReadComplete() }
        context.fireChannelReadComplete()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed? = event as? ChannelEvent {
            inputClosed = true
            if let relay { relay.clientInputClosed() } else { connection.inputClosed() }
            return
        }
        if event is IdleStateHandler.IdleStateEvent { return connection.idle() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if let relay { relay.clientWritabilityChanged() } else { connection.writabilityChanged() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        relay?.clientGone()
        relay = nil
        connection.gone()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The socket failed; NIO closes the channel after this.
        context.close(promise: nil)
    }

    /// Leaves HTTP for good. Held bytes go first.
    func hijack(with relay: Relay) {
        self.relay = relay
        while let buffer = held.popFirst() { relay.fromClient(buffer) }
        relay.clientReadComplete()
        if inputClosed { relay.clientInputClosed() }
    }

    func read() { context?.read() }

    func write(_ buffer: ByteBuffer, promise: EventLoopPromise<Void>? = nil) {
        guard let context else { promise?.fail(HTTPServerError.clientGone); return }
        context.write(wrapOutboundOut(buffer), promise: promise)
    }

    /// Sends a part of a file without reading it (sendfile(2)).
    func write(_ region: FileRegion, promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(HTTPServerError.clientGone) }
        context.write(NIOAny(IOData.fileRegion(region)), promise: promise)
    }

    func flush() { context?.flush() }
}
