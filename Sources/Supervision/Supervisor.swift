internal import CLinux
internal import Linux
public import Logging
public import ShimProtocol

/// Starts shims and helpers, and finds shims again.
public final class Supervisor: Sendable {
    private let runtimeExecutable: String
    private let logger: Logger

    /// `runtimeExecutable` is the path of `clipper-runtime`.
    public init(runtimeExecutable: String, logger: Logger) {
        self.runtimeExecutable = runtimeExecutable
        self.logger = logger
    }

    /// Starts a container under a shim of its own; returns when its process runs. After a failure nothing is left of it.
    ///
    /// - `descriptors`: kept open by the shim for the container's life (network namespace, held ports). The caller's own stay the caller's.
    /// - `attaching`: streams attached before the container's first instruction.
    public func launch(
        _ request: LaunchRequest, descriptors: [Int32] = [], attaching: [InitialStream] = []
    ) async throws(ShimFailure) -> ShimConnection { throw ShimFailure(.unsupported, "not implemented: launch") }

    /// Finds the shim of a container by its run directory. `exitRecordPath`: as in the launch request.
    public func reconnect(directory: String, exitRecordPath: String = "") async -> ShimReconnection { .lost("not implemented: reconnect") }

    /// Runs the rootfs helper. `input` and `output` are its standard input and output, lent; nil is /dev/null. Returns when it is done.
    @discardableResult
    public func runHelper(_ request: RootfsRequest, input: Int32? = nil, output: Int32? = nil) async throws(ShimFailure) -> PathStatus? {
        throw ShimFailure(.unsupported, "not implemented: helper")
    }
}
