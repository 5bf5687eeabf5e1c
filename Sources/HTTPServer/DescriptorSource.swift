internal import Glibc
internal import NIOCore
internal import NIOPosix

/// Reads a pipe or socket into a connection's answer, no faster than the client takes it.
/// `@unchecked Sendable`: lives on the event loop of the connection.
final class DescriptorSource: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer

    private weak var connection: Connection?
    private let exchange: Connection.Exchange
    private var context: ChannelHandlerContext?
    private var failed = false

    init(connection: Connection, exchange: Connection.Exchange) {
        self.connection = connection
        self.exchange = exchange
    }

    /// Owns `descriptor`.
    func open(_ descriptor: Int32, on loop: any EventLoop) -> EventLoopFuture<Void> {
        var status = stat()
        let isSocket = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFSOCK
        let opened: EventLoopFuture<any Channel>
        if isSocket {
            opened = ClientBootstrap(group: loop).channelOption(ChannelOptions.autoRead, value: false)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
                }
                .withConnectedSocket(descriptor)
        } else {
            opened = NIOPipeBootstrap(group: loop).channelOption(ChannelOptions.autoRead, value: false)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
                }
                .takingOwnershipOfDescriptor(input: descriptor)
        }
        return opened.map { _ in self.resume() }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    /// There is room again.
    func resume() {
        guard let connection, connection.channel.isWritable else { return }
        context?.read()
    }

    /// The client has gone.
    func abandon() {
        connection = nil
        context?.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection?.writePiece(exchange, unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection?.front.flush()
        resume()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failed = true
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        connection?.sourceEnded(exchange, intact: !failed)
        connection = nil
    }
}
