public import Linux

/// What the builder needs from whoever runs containers. The engine implements `run`; `withRootfs` has a default
/// that mounts an overlay detached from the host's mount table (`DetachedOverlay`).
public protocol BuildExecutor: Sendable {
    /// Gives `body` the root directory of a file system merged from `layers` (top first, directories) and an empty
    /// upper directory, to which all changes go. `work` is overlayfs' work directory, on the file system of `upper`.
    /// Nothing stays mounted when this returns.
    func withRootfs<Result>(
        layers: [String], upper: String, work: String, _ body: (borrowing OwnedFD) throws -> Result
    ) throws -> Result

    /// Runs one command to its end in a container over `step.layers` and `step.upper`.
    ///
    /// `output` gets what the command writes, as it comes; its first argument is true for standard error. It is called
    /// on the calling thread. Returns the exit code (128 + signal when a signal ended it, 127 when the program is
    /// missing and 126 when it can't be executed, after saying so on standard error as the engine does for containers).
    /// Throws when the container could not be made, or `BuildError.cancelled` after `cancellation` fired.
    func run(_ step: RunStep, cancellation: BuildCancellation, output: (_ isError: Bool, _ bytes: [UInt8]) -> Void) throws -> Int32
}

extension BuildExecutor {
    public func withRootfs<Result>(
        layers: [String], upper: String, work: String, _ body: (borrowing OwnedFD) throws -> Result
    ) throws -> Result {
        try DetachedOverlay.withRootfs(layers: layers, upper: upper, work: work, body)
    }
}

/// One command of a build, ready to run.
public struct RunStep: Sendable, Equatable {
    /// Names the container in messages and cgroups: 64 hexadecimal digits, fresh for each step.
    public var identifier: String
    /// argv; never empty.
    public var arguments: [String]
    /// `NAME=value`, in order, without repetitions. Holds PATH.
    public var environment: [String]
    /// Absolute path in the container; exists already.
    public var workingDirectory: String
    /// As USER has it: `name`, `uid`, `name:group`, `uid:gid`; empty for root. Looked up in the container's /etc/passwd.
    public var user: String
    /// Host directories of the read-only layers, top first; none on scratch.
    public var layers: [String]
    /// Host directory of the writable layer, and overlayfs' work directory beside it. Exist, empty.
    public var upper: String
    public var work: String
    /// Docker's network mode: `default`, `bridge`, `none`, `host`, `container:ID` or a network's name.
    public var networkMode: String
    /// Mounts on top of the root file system, in order. Their targets exist or are made, and removed afterwards if made.
    public var mounts: [RunMount]
    public var resources: BuildResources
    /// `name:address` lines for /etc/hosts.
    public var extraHosts: [String]
    /// `RUN --security=insecure` is refused before it gets here; a step is never privileged.
    public var hostname: String

    public init(
        identifier: String, arguments: [String], environment: [String] = [], workingDirectory: String = "/", user: String = "",
        layers: [String], upper: String, work: String, networkMode: String = "default", mounts: [RunMount] = [],
        resources: BuildResources = BuildResources(), extraHosts: [String] = [], hostname: String = ""
    ) {
        self.identifier = identifier
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.user = user
        self.layers = layers
        self.upper = upper
        self.work = work
        self.networkMode = networkMode
        self.mounts = mounts
        self.resources = resources
        self.extraHosts = extraHosts
        self.hostname = hostname
    }
}

/// A mount of `RUN --mount`.
public enum RunMount: Sendable, Equatable {
    /// A host directory or file, which the builder owns, at `target`. Writes to a writable bind are the builder's to keep or drop.
    case bind(source: String, target: String, isReadOnly: Bool)
    /// An overlay of read-only host directories (top first) with a writable layer that is dropped afterwards, bound at `target`
    /// from `subpath` inside it (empty for its root). `DetachedOverlay.open` makes it without a place on the host; its descriptor can
    /// be attached (move_mount(2)) in the container's mount namespace.
    case overlay(layers: [String], upper: String, work: String, subpath: String, target: String, isReadOnly: Bool)
    /// A tmpfs at `target`; `size` in bytes, nil for the kernel's default.
    case tmpfs(target: String, size: Int64?)
}

/// Limits of the containers that RUN starts, as the build request names them. Nil or 0 means no limit of its own.
public struct BuildResources: Sendable, Equatable {
    /// Bytes.
    public var memory: Int64 = 0
    /// Bytes, memory and swap together; -1 for unlimited swap.
    public var memorySwap: Int64 = 0
    public var cpuShares: Int64 = 0
    /// Microseconds.
    public var cpuPeriod: Int64 = 0
    /// Microseconds.
    public var cpuQuota: Int64 = 0
    public var cpusetCpus = ""
    public var cpusetMems = ""
    public var cgroupParent = ""
    /// Bytes of /dev/shm; 0 for the engine's default.
    public var shmSize: Int64 = 0
    public var ulimits: [Ulimit] = []

    public struct Ulimit: Sendable, Equatable {
        /// Without RLIMIT_, lower case: `nofile`.
        public var name: String
        public var soft: Int64
        public var hard: Int64

        public init(name: String, soft: Int64, hard: Int64) {
            self.name = name
            self.soft = soft
            self.hard = hard
        }
    }

    public init() {}
}
