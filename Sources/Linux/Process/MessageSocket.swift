internal import CLinux
internal import Glibc

/// One end of a SOCK_SEQPACKET pair: whole messages, each with at most one descriptor.
public struct MessageSocket: ~Copyable {
    public let descriptor: OwnedFD
    /// Longer messages are cut off by `receive`.
    public static let maximumSize = 64 * 1024

    public init(_ descriptor: consuming OwnedFD) { self.descriptor = descriptor }

    /// Sends one message. Throws EPIPE when the other end is gone.
    public func send(_ bytes: [UInt8], descriptor other: Int32? = nil) throws(SystemError) {
        let socket = descriptor.raw
        try retrying("send message") { bytes.withUnsafeBytes { clp_send_with_fd(socket, $0.baseAddress, $0.count, other ?? -1) } }
    }

    /// The next message with its descriptor; nil when the other end is closed.
    public func receive() throws(SystemError) -> ReceivedMessage? {
        let socket = descriptor.raw
        var attached: Int32 = -1
        var failure: Int32 = 0
        var wasReset = false
        let bytes = [UInt8](unsafeUninitializedCapacity: MessageSocket.maximumSize) { buffer, count in
            while true {
                let received = clp_receive_with_fd(socket, buffer.baseAddress, buffer.count, &attached)
                if received < 0 && errno == EINTR { continue }
                // A peer that dies with messages unread resets the connection. That is told once, and first: what the peer
                // has said before is still there.
                if received < 0 && errno == ECONNRESET && !wasReset {
                    wasReset = true
                    continue
                }
                if received < 0 { failure = errno }
                count = max(0, received)
                return
            }
        }
        // Gone, as with end of file.
        if failure == ECONNRESET { return nil }
        if failure != 0 { throw SystemError("receive message", code: failure) }
        if bytes.isEmpty { return nil }
        return ReceivedMessage(bytes: bytes, descriptor: attached >= 0 ? OwnedFD(owning: attached) : nil)
    }
}

extension MessageSocket {
    /// Gives the descriptor away.
    public consuming func takeDescriptor() -> OwnedFD { descriptor }
}

/// A message and the descriptor that came with it.
public struct ReceivedMessage: ~Copyable {
    public let bytes: [UInt8]
    public var descriptor: OwnedFD?
}
