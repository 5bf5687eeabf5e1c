internal import CLinux
internal import Glibc
public import Netlink
internal import Synchronization

/// The ports of one container, published, and the sockets that keep them reserved on the host.
///
/// The sockets go to the shim (`descriptors`, inherited by number), which holds them for as long as the container
/// lives, so that no other process takes a port while the daemon is away, and answers at those that are `isServed`. Once
/// the shim has them, call `closeSockets()`; the last reference going away does the same.
public final class PublishedPorts: Sendable {
    /// What a socket that keeps a port is for.
    public struct Socket: Sendable {
        /// Close-on-exec; valid until `closeSockets()`.
        public let descriptor: Int32
        public let proto: PortProtocol
        public let containerPort: UInt16
        /// Whether packets reach it: the shim then passes them to `relayTarget`. Such a TCP socket listens.
        public let isServed: Bool
    }

    public let bindings: [PublishedPort]
    /// The container's address for what comes to sockets that are served; nil when none is.
    public let relayTarget: IPAddress?
    private let held: Mutex<[Socket]>

    init(bindings: [PublishedPort], sockets: [Socket] = [], relayTarget: IPAddress? = nil) {
        self.bindings = bindings
        self.relayTarget = relayTarget
        self.held = Mutex(sockets)
    }

    deinit { closeSockets() }

    /// The reserving sockets, owned by this object. Empty after `closeSockets()`.
    public var sockets: [Socket] { held.withLock { $0 } }

    /// Descriptors of the reserving sockets, in the order of `sockets`.
    public var descriptors: [Int32] { sockets.map(\.descriptor) }

    /// Closes the daemon's copies.
    public func closeSockets() {
        let sockets = held.withLock { held in
            defer { held = [] }
            return held
        }
        for socket in sockets { _ = close(socket.descriptor) }
    }
}
