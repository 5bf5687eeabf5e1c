public import JSON

/// What a container looks like to a peer that connects.
public struct ContainerState: Sendable, Equatable {
    /// Protocol of the shim.
    public var version: Int64 = ShimWire.version
    public var containerID: String
    public var shimPID: Int32
    /// The container's first process, in the daemon's process namespace.
    public var containerPID: Int32
    /// When that process started, in clock ticks since boot (field 22 of /proc/pid/stat): tells it from a later one of the same number.
    public var containerStartTime: UInt64
    /// RFC 3339.
    public var startedAt: String
    /// The container's control group below each hierarchy's root; empty without one.
    public var cgroupPath = ""
    /// The scope that the control group is, when systemd made it for Clipper's own runtime; empty otherwise.
    public var systemdUnit = ""
    /// The program that made the container and its state directory, which has to be told of the end; empty for Clipper's own.
    public var runtimePath = ""
    public var runtimeRoot = ""
    /// What that program is given before all else.
    public var runtimeArguments: [String] = []
    /// The soft RLIMIT_NOFILE that it gets; nil for the caller's own.
    public var runtimeOpenFiles: UInt64?

    public init(containerID: String, shimPID: Int32, containerPID: Int32, containerStartTime: UInt64, startedAt: String) {
        self.containerID = containerID
        self.shimPID = shimPID
        self.containerPID = containerPID
        self.containerStartTime = containerStartTime
        self.startedAt = startedAt
    }
}

/// One process more in a running container.
public struct ExecRequest: Sendable, Equatable {
    /// Chosen by the daemon, unique in the container.
    public var id: String
    /// The OCI `process` object.
    public var process: JSONValue
    public var terminal: Bool
    /// The process reads from an attached stream; otherwise from /dev/null.
    public var stdin: Bool

    public init(id: String, process: JSONValue, terminal: Bool, stdin: Bool) {
        self.id = id
        self.process = process
        self.terminal = terminal
        self.stdin = stdin
    }
}

/// What a peer asks on a control connection. Each is answered by one `ControlAnswer` with the same id.
public enum ControlRequest: Sendable, Equatable {
    case launch(LaunchRequest)
    /// Sends a signal to the container's first process.
    case signal(Int32)
    /// Sets the size of the container's terminal, in characters.
    case resize(rows: UInt16, columns: UInt16)
    /// Ends the container's standard input.
    case closeStdin
    /// Makes an exec known, so that streams can attach before it starts.
    case execCreate(ExecRequest)
    /// Starts a created exec; answered with its process number.
    case execStart(id: String)
    case execSignal(id: String, signal: Int32)
    case execResize(id: String, rows: UInt16, columns: UInt16)
    /// Forgets an exec that was created and never started.
    case execForget(id: String)
    /// Changes the limits of the container's control group: the OCI `resources` object, in which what is absent stays.
    case update(resources: JSONValue)
    /// Gives the container's published ports up: their sockets are closed, and connections through the shim end.
    case closePorts
    /// Keeps this many sockets, which came as descriptors with this frame, until the container's end or `closePorts`; answered
    /// with their numbers in the shim. For ports that are published while the container runs.
    case holdSockets(Int)
    /// Answers at sockets that it holds.
    case servePorts(PortRelay)
}

/// The first frame on a connection to the shim's socket.
public enum Opening: Sendable, Equatable {
    case control
    case attach(AttachOptions)
    case attachExec(id: String, AttachOptions)
}

/// What the shim answers to one request.
public enum ControlAnswer: Sendable, Equatable {
    case done
    case state(ContainerState)
    /// A stream begins here: what the log has up to this moment (RFC 3339) is not in it, what comes later is.
    case attached(since: String)
    /// Process number of an exec, in the daemon's process namespace.
    case process(Int32)
    /// Numbers of descriptors in the shim, in the order in which they came.
    case held([Int32])
    case failure(ShimFailure)
}

/// What the shim tells without being asked.
public enum ShimNotice: Sendable, Equatable {
    case outOfMemory
    case execExited(id: String, exitCode: Int32)
    /// A peer typed its detach keys: at the container's terminal, or at an exec's.
    case detached(exec: String?)
    /// The exit record is written. End of file on the connection follows when everything is cleaned up.
    case exited(ExitRecord)
}

/// Anything that a shim sends on a control connection.
public enum ShimMessage: Sendable, Equatable {
    case answer(id: UInt64, ControlAnswer)
    case notice(ShimNotice)
    /// A notice that this side does not know: from a newer shim, skipped.
    case unknown
}
