internal import NIOCore

/// Waits until a client has read what was sent to it, or a little while.
///
/// On a Unix socket the memory of what was sent counts as the sender's until the receiver has read it (SO_MEMINFO, socket(7) and
/// sock_diag(7)); on TCP until it is acknowledged. The kernel tells nobody when that becomes zero: it is looked at every tenth of
/// a millisecond, which is how long a client that waits for the answer takes to read it.
struct HeadDelivery {
    let channel: any Channel

    private static let pause = TimeAmount.microseconds(100)
    /// Fifty milliseconds in all: a client that does not read by then is none that waits for the head.
    private static let attempts = 500
    /// SO_MEMINFO of asm-generic/socket.h.
    private static let memoryInformation = NIOBSDSocket.Option(rawValue: 55)

    /// The nine numbers of enum sk_meminfo (linux/sock_diag.h).
    private struct Memory {
        var receiveQueue: UInt32 = 0
        var receiveLimit: UInt32 = 0
        /// Bytes that were sent and have not been read.
        var sent: UInt32 = 0
        var sendLimit: UInt32 = 0
        var forward: UInt32 = 0
        var sendQueue: UInt32 = 0
        var options: UInt32 = 0
        var backlog: UInt32 = 0
        var drops: UInt32 = 0
    }

    func wait() -> EventLoopFuture<Void> { look(attempts: Self.attempts) }

    private func look(attempts: Int) -> EventLoopFuture<Void> {
        guard attempts > 0, let socket = channel as? any SocketOptionProvider else { return channel.eventLoop.makeSucceededVoidFuture() }
        let memory: EventLoopFuture<Memory> = socket.unsafeGetSocketOption(level: .socket, name: Self.memoryInformation)
        return memory.flatMap { memory in
            if memory.sent == 0 { return channel.eventLoop.makeSucceededVoidFuture() }
            return channel.eventLoop.scheduleTask(in: Self.pause) {}.futureResult.flatMap { look(attempts: attempts - 1) }
        }.recover { _ in }
    }
}
