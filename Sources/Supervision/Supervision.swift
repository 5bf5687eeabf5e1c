// Supervision: the daemon's side of the shim.
//
// `Supervisor` starts one shim per container (`launch`), finds those that a former daemon left (`reconnect`) and runs
// the short-lived rootfs helper (`runHelper`). `ShimConnection` is one running container: requests go out as async
// calls, what happens comes in as `events`; streams are sockets of their own. The messages are ShimProtocol's.
//
// One thread (`ControlLoop`) waits on all control sockets with epoll; a connection costs a descriptor and some hundred
// bytes. Used by Engine.
public import ShimProtocol

/// What happens to a running container, in order.
public enum ShimEvent: Sendable, Equatable {
    /// The kernel killed a process of the container for lack of memory.
    case oom
    /// An exec ended. Its streams end after this event was sent.
    case execExited(id: String, exitCode: Int32)
    /// A peer typed its detach keys: at the container's terminal, or at an exec's.
    case detached(exec: String?)
    /// The container ended; its exit record is on disk, its control group, mounts and held descriptors are gone.
    case exited(ExitRecord)
    /// The last event. The shim may stay a while for attached peers that have yet to take the last output; nothing waits
    /// for that. Without `exited` before it the shim was killed: the container was killed with it.
    case disconnected
}

/// What became of a container while no daemon ran.
public enum ShimReconnection: Sendable {
    case running(ShimConnection, ContainerState)
    case exited(ExitRecord)
    /// Neither a shim nor an exit record: the reason in one line. Whatever was left of the container is killed.
    case lost(String)
}

/// A stream that exists before its container starts: the far end of a socket pair, given away.
public struct InitialStream: Sendable {
    public var options: AttachOptions
    /// One end of a SOCK_STREAM Unix socket pair; `launch` closes it in every case. The other end carries what `attach` would.
    public var socket: Int32

    public init(options: AttachOptions, socket: Int32) {
        self.options = options
        self.socket = socket
    }
}
