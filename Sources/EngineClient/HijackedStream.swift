/// A connection that the server has given over: container output comes in, stdin goes out, either side may half-close.
public final class HijackedStream {
    private let connection: Connection
    public let head: HTTPHead

    init(_ connection: Connection, _ head: HTTPHead) {
        self.connection = connection
        self.head = head
    }

    /// For poll(2); look at `hasBufferedBytes` first.
    public var descriptor: Int32 { connection.descriptor }

    public var hasBufferedBytes: Bool { connection.bufferedCount > 0 }

    /// At least one byte, or 0 at the end.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try connection.read(into: buffer) }

    /// Sends as much of stdin as the socket takes at once; 0 when it is full (poll for POLLOUT).
    /// Throws `ClientError.closed` when the other side takes no more.
    public func writeSome(_ bytes: UnsafeRawBufferPointer) throws -> Int { try connection.writeSome(bytes) }

    /// Ends stdin.
    public func closeWrite() { connection.closeWrite() }
}
