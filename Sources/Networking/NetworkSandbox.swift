internal import Linux

/// A network namespace of a container: the descriptor that keeps it alive and the rtnetlink socket that was opened
/// inside it, through which any thread can configure it. Nothing is mounted on the host: the namespace lives while the
/// shim, the container's processes or this object hold it.
public final class NetworkSandbox: Sendable {
    private let namespace: OwnedFD

    init(namespace: consuming OwnedFD) {
        self.namespace = namespace
    }

    /// The namespace's descriptor, close-on-exec, owned by this object: hand it to the shim by number.
    public var descriptor: Int32 { namespace.raw }
}
