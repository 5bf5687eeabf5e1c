internal import CLinux
internal import Glibc
internal import JSON
internal import Linux
public import Logging
public import ShimProtocol

/// Starts shims and helpers, and finds shims again.
public final class Supervisor: Sendable {
    let runtimeExecutable: String
    private let runtimeTimeout: UInt32
    private let logger: Logger

    /// - Parameters:
    ///   - runtimeExecutable: the path of `clipper-runtime`.
    ///   - runtimeTimeout: seconds that a command of an external runtime may take, during which its shim answers nobody; 0 for no
    ///     limit.
    public init(runtimeExecutable: String, runtimeTimeout: UInt32, logger: Logger) {
        self.runtimeExecutable = runtimeExecutable
        self.runtimeTimeout = runtimeTimeout
        self.logger = logger
    }

    /// Starts a container under a shim of its own; returns when its process runs. After a failure nothing is left of it.
    ///
    /// - `descriptors`: kept open by the shim for the container's life (network namespace, held ports). The caller's own stay the caller's.
    /// - `attaching`: streams attached before the container's first instruction; their sockets are closed here in every case.
    public func launch(
        _ request: LaunchRequest, descriptors: [Int32] = [], attaching: [InitialStream] = []
    ) async throws(ShimFailure) -> ShimConnection {
        var request = request
        request.attachments = attaching.map(\.options)
        let (channel, pid) = try startShim(request, attaching.map(\.socket), descriptors)
        do throws(ShimFailure) {
            guard case .state(let state) = try await channel.request(.launch(request), patience: nil) else {
                throw ShimFailure(.lost, "start container: its supervisor answered something else")
            }
            return connection(channel, state, directory: request.directory, exitRecordPath: request.exitRecordPath)
        } catch {
            throw await launchFailed(error, pid, request)
        }
    }

    private func startShim(_ request: LaunchRequest, _ attached: [Int32], _ held: [Int32]) throws(ShimFailure) -> (ControlChannel, Int32) {
        defer { for socket in attached { close(socket) } }
        do throws(SystemError) {
            // A record of an earlier run must not be taken for this one's.
            unlink(request.exitRecordPath.isEmpty ? "\(request.directory)/\(ShimWire.exitRecordName)" : request.exitRecordPath)
            let null = try OwnedFD.open("/dev/null", O_RDWR)
            let log = try OwnedFD.open("\(request.directory)/\(ShimWire.shimLogName)", O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
            let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
            let pid = try Spawn.start(
                runtimeExecutable, ["shim", request.containerID, "\(attached.count + held.count)"],
                descriptors: [null.raw, null.raw, log.raw, pair.second.raw] + attached + held)
            return (try channel(pair.first), pid)
        } catch { throw ShimFailure(.lost, "start container's supervisor: \(error)") }
    }

    private func connection(_ channel: ControlChannel, _ state: ContainerState, directory: String, exitRecordPath: String) -> ShimConnection
    {
        // Twice: what is asked may wait for an external runtime's command and begin another.
        let slowest = state.runtimePath.isEmpty ? 0 : 2 * runtimeTimeout
        let isLimited = state.runtimePath.isEmpty || runtimeTimeout > 0
        return ShimConnection(
            channel, state, directory: directory, exitRecordPath: exitRecordPath,
            patience: isLimited ? ShimConnection.patience + slowest : nil)
    }

    private func channel(_ socket: consuming OwnedFD) throws(SystemError) -> ControlChannel {
        do throws(ShimFailure) { return try ControlChannel(socket) } catch { throw SystemError("watch", error.message, code: EBADF) }
    }

    /// Takes the ended shim in and says as much as is known.
    private func launchFailed(_ failure: ShimFailure, _ pid: Int32, _ request: LaunchRequest) async -> ShimFailure {
        let status = await Spawn.awaitEnd(of: pid)
        guard failure.kind == .lost, let status else { return failure }
        if case .external(let path, let root, let arguments) = request.runtime {
            await Remains.delete(request.containerID, runtime: [path] + arguments, root: root, openFiles: request.openFiles)
        }
        let how = clp_wifexited(status) != 0 ? "exit status \(clp_wexitstatus(status))" : "signal \(clp_wtermsig(status))"
        let log = (try? Files.readText("\(request.directory)/\(ShimWire.shimLogName)")) ?? ""
        let last = log.split(separator: "\n").last.map { ": \($0)" } ?? ""
        return ShimFailure(.lost, "start container: its supervisor ended before it answered (\(how))\(last)")
    }

    /// Finds the shim of a container by its run directory.
    /// - Parameters:
    ///   - exitRecordPath: as in the launch request.
    ///   - patience: seconds after which one that does not answer counts as lost; nil waits for as long as it is there.
    public func reconnect(directory: String, exitRecordPath: String = "", patience: UInt32? = nil) async -> ShimReconnection {
        let recordPath = exitRecordPath.isEmpty ? "\(directory)/\(ShimWire.exitRecordName)" : exitRecordPath
        var reason: String
        do {
            let (socket, answer) = try await ShimSocket.open(directory: directory, .control, patience: patience)
            let channel = try ControlChannel(OwnedFD(owning: socket))
            guard case .state(let state) = answer else {
                throw ShimFailure(.lost, "the container's supervisor answered something else")
            }
            return .running(connection(channel, state, directory: directory, exitRecordPath: exitRecordPath), state)
        } catch { reason = "\(error)" }
        let state = Remains.state(directory: directory)
        if let record = Remains.exitRecord(recordPath, of: state) { return .exited(record) }
        if let state { await Remains.kill(state) }
        logger.warning("container without supervisor", metadata: ["directory": "\(directory)", "reason": "\(reason)"])
        return .lost(reason)
    }

    /// Runs the rootfs helper. `input` and `output` become its standard input and output, lent; nil is /dev/null.
    /// Returns when it is done; the status only for `RootfsRequest.Operation.stat`. `opened` is called when the root is mounted and
    /// open, before the work.
    @discardableResult
    public func runHelper(
        _ request: RootfsRequest, input: Int32? = nil, output: Int32? = nil, opened: (@Sendable () -> Void)? = nil
    ) async throws(ShimFailure) -> PathStatus? {
        var request = request
        request.tellsOpening = opened != nil
        let (control, pid) = try startHelper(request, input, output)
        let outcome: Result<RootfsAnswer, ShimFailure> = await withTaskCancellationHandler {
            do throws(ShimFailure) {
                var answer = try RootfsAnswer(try await ShimSocket.readFrame(control))
                while answer == .opened {
                    opened?()
                    answer = try RootfsAnswer(try await ShimSocket.readFrame(control))
                }
                return .success(answer)
            } catch { return .failure(error) }
        } onCancel: {
            kill(pid, SIGKILL)
        }
        close(control)
        _ = await Spawn.awaitEnd(of: pid)
        switch try outcome.get() {
        case .opened, .done: return nil
        case .status(let status): return status
        case .failure(let failure): throw failure
        }
    }

    private func startHelper(_ request: RootfsRequest, _ input: Int32?, _ output: Int32?) throws(ShimFailure) -> (Int32, Int32) {
        do throws(SystemError) {
            let null = try OwnedFD.open("/dev/null", O_RDWR)
            let pair = try OwnedFD.socketPair(type: Int32(SOCK_STREAM.rawValue))
            let pid = try Spawn.start(
                runtimeExecutable, ["rootfs"], descriptors: [input ?? null.raw, output ?? null.raw, 2, pair.second.raw])
            let control = pair.first
            try control.writeAll(ShimWire.frame(request.json))
            return (control.take(), pid)
        } catch { throw ShimFailure(.lost, "start rootfs helper: \(error)") }
    }
}
