public import JSON
public import ShimProtocol

/// A running container, through its shim.
public final class ShimConnection: Sendable {
    public let containerID: String
    /// The container's first process.
    public let containerPID: Int32
    public let shimPID: Int32
    /// RFC 3339.
    public let startedAt: String
    /// What happens, in order; ends after `disconnected`. For one consumer.
    public let events: AsyncStream<ShimEvent>

    init() {
        containerID = ""
        containerPID = 0
        shimPID = 0
        startedAt = ""
        events = AsyncStream { $0.finish() }
    }

    /// Sends a signal to the container's first process.
    public func signal(_ number: Int32) async throws(ShimFailure) {}
    public func resize(rows: UInt16, columns: UInt16) async throws(ShimFailure) {}
    /// Ends the container's standard input.
    public func closeStdin() async throws(ShimFailure) {}
    /// A socket with the container's raw stream (ShimProtocol), the caller's to close.
    public func attach(_ options: AttachOptions) async throws(ShimFailure) -> Int32 { throw ShimFailure(.unsupported, "not implemented: attach") }
    public func attach(stdin: Bool, stdout: Bool, stderr: Bool) async throws(ShimFailure) -> Int32 {
        try await attach(AttachOptions(stdin: stdin, stdout: stdout, stderr: stderr))
    }

    /// Makes an exec known to the shim; `process` is the OCI process object.
    public func execCreate(id: String, process: JSONValue, terminal: Bool, stdin: Bool) async throws(ShimFailure) {}
    /// Starts a created exec; its process number. Attach before this to lose no output.
    public func execStart(id: String) async throws(ShimFailure) -> Int32 { throw ShimFailure(.unsupported, "not implemented: exec") }
    /// A socket with the exec's raw stream, the caller's to close.
    public func execAttach(id: String, _ options: AttachOptions) async throws(ShimFailure) -> Int32 {
        throw ShimFailure(.unsupported, "not implemented: exec")
    }
    public func execSignal(id: String, _ number: Int32) async throws(ShimFailure) {}
    public func execResize(id: String, rows: UInt16, columns: UInt16) async throws(ShimFailure) {}
    /// Forgets an exec that was created and never started.
    public func execForget(id: String) async throws(ShimFailure) {}
}
