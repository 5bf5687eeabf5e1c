internal import JSON
internal import Linux
internal import ShimProtocol

/// A process that runs: its number and, with a terminal, the terminal's master.
struct StartedProcess: ~Copyable {
    let pid: Int32
    var terminalMaster: OwnedFD?
}

/// Who makes the container's processes: `InProcessDriver` or `ExternalDriver`. All calls block until done; the shim is
/// the parent of what they start, or becomes it (PR_SET_CHILD_SUBREAPER).
protocol RuntimeDriver: AnyObject {
    /// Creates and starts the container; returns when its program runs. `streams` nil means a terminal.
    func start(rootfs: borrowing RootfsSource, streams: borrowing ChildStreams?) throws(ShimFailure) -> StartedProcess
    /// Starts one process more.
    func exec(_ request: ExecRequest, streams: borrowing ChildStreams?) throws(ShimFailure) -> StartedProcess
    /// Changes limits of the container: the OCI `resources` object.
    func update(_ resources: JSONValue) throws(ShimFailure)
    /// The container's control group; nil without one.
    var cgroup: CgroupManager? { get }
    /// The scope that the control group is, when the driver itself had systemd make it.
    var systemdUnit: String? { get }
    /// The first process is gone and reaped: takes away what the runtime keeps about the container.
    func cleanUp()
}

/// Where the root filesystem is.
struct RootfsSource: ~Copyable {
    /// A detached mount; nil when `root.path` of config.json is there already.
    var tree: OwnedFD?
}
