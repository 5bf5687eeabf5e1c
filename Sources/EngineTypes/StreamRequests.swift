public import Linux

/// A raw descriptor whose ownership goes with the value: whoever receives it closes it.
public typealias Descriptor = Int32

/// Which of a container's streams an attach wants.
public struct AttachRequest: Sendable {
    public var stdin: Bool
    public var stdout: Bool
    public var stderr: Bool
    /// Follow the live streams.
    public var stream: Bool
    /// Send what was logged before first.
    public var logs: Bool
    /// What a client types at a terminal to detach; nil for ctrl-p,ctrl-q.
    public var detachKeys: String?
    /// Without frames although the container has no terminal.
    public var isRaw = false

    public init(stdin: Bool, stdout: Bool, stderr: Bool, stream: Bool, logs: Bool, detachKeys: String?) {
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.stream = stream
        self.logs = logs
        self.detachKeys = detachKeys
    }
}

/// A live stream to glue to a hijacked connection: a Unix socket whose bytes are already in Docker's framing
/// (multiplexed, or raw with a terminal). Bytes written to it are stdin; a half-close ends stdin.
public struct AttachedStream: Sendable {
    public var socket: Descriptor
    public var isTerminal: Bool
    /// The log has what came before this moment, the stream what came after; nil when nothing is in the stream yet.
    public var begins: Timestamp?

    public init(socket: Descriptor, isTerminal: Bool, begins: Timestamp? = nil) {
        self.socket = socket
        self.isTerminal = isTerminal
        self.begins = begins
    }
}

/// What `GET /containers/{id}/logs` asks for.
public struct LogRequest: Sendable {
    public var stdout: Bool
    public var stderr: Bool
    public var follow: Bool
    public var since: Timestamp?
    public var until: Timestamp?
    public var timestamps: Bool
    /// Number of last lines; nil for all.
    public var tail: Int?
    public var details: Bool
    /// Without frames although the container has no terminal.
    public var isRaw = false

    public init(
        stdout: Bool, stderr: Bool, follow: Bool, since: Timestamp?, until: Timestamp?, timestamps: Bool, tail: Int?, details: Bool
    ) {
        self.stdout = stdout
        self.stderr = stderr
        self.follow = follow
        self.since = since
        self.until = until
        self.timestamps = timestamps
        self.tail = tail
        self.details = details
    }
}

/// Until when a wait lasts.
public enum WaitCondition: String, Sendable {
    case notRunning = "not-running"
    case nextExit = "next-exit"
    case removed
}

/// The query of `POST /commit`.
public struct CommitRequest: Sendable {
    /// Name or ID.
    public var container: String
    public var repository: String?
    public var tag: String?
    public var comment: String?
    public var author: String?
    /// Whether the container is frozen meanwhile.
    public var pauses = true
    /// Dockerfile instructions.
    public var changes: [String] = []

    public init(container: String) { self.container = container }
}
