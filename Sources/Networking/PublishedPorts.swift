internal import CLinux
internal import Glibc
internal import Synchronization

/// The ports of one container, published, and the sockets that keep them reserved on the host.
///
/// The sockets go to the shim (`descriptors`, inherited by number), which holds them for as long as the container
/// lives, so that no other process takes a port while the daemon is away. Once the shim has them, call `closeSockets()`;
/// the last reference going away does the same.
public final class PublishedPorts: Sendable {
    public let bindings: [PublishedPort]
    private let held: Mutex<[Int32]>

    init(bindings: [PublishedPort], descriptors: [Int32]) {
        self.bindings = bindings
        self.held = Mutex(descriptors)
    }

    deinit { closeSockets() }

    /// Descriptors of the reserving sockets, close-on-exec, owned by this object. Empty after `closeSockets()`.
    public var descriptors: [Int32] { held.withLock { $0 } }

    /// Closes the daemon's copies.
    public func closeSockets() {
        let numbers = held.withLock { held in
            defer { held = [] }
            return held
        }
        for number in numbers { _ = close(number) }
    }
}
