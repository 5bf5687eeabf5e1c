public import JSON

/// How a container ended. Written by its shim, read by the daemon, at once or after a restart.
public struct ExitRecord: Codable, Sendable, Equatable {
    /// The exit status, or 128 + signal.
    public var exitCode: Int32
    /// The signal that killed the first process; nil when it exited by itself.
    public var signal: Int32?
    /// The kernel killed a process of the container for lack of memory.
    public var oomKilled: Bool
    /// The most memory that the container used, in bytes; told when memory ran out.
    public var memoryPeak: UInt64?
    /// RFC 3339.
    public var startedAt: String
    public var exitedAt: String

    public init(exitCode: Int32, signal: Int32?, oomKilled: Bool, memoryPeak: UInt64? = nil, startedAt: String, exitedAt: String) {
        self.exitCode = exitCode
        self.signal = signal
        self.oomKilled = oomKilled
        self.memoryPeak = memoryPeak
        self.startedAt = startedAt
        self.exitedAt = exitedAt
    }

    /// As on the wire and in `exit.json`.
    public var json: JSONValue {
        var writer = FieldsWriter()
        writer.put("exitCode", exitCode)
        if let signal { writer.put("signal", signal) }
        writer.put("oomKilled", oomKilled)
        if let memoryPeak { writer.put("memoryPeak", memoryPeak) }
        writer.put("startedAt", startedAt)
        writer.put("exitedAt", exitedAt)
        return writer.value
    }

    public init(_ value: JSONValue) throws(ShimFailure) {
        let fields = try Fields(value, "exit record")
        self.init(
            exitCode: try fields.number("exitCode"), signal: fields.isAbsent("signal") ? nil : try fields.number("signal"),
            oomKilled: try fields.flag("oomKilled"), memoryPeak: fields.isAbsent("memoryPeak") ? nil : try fields.number("memoryPeak"),
            startedAt: try fields.string("startedAt"), exitedAt: try fields.string("exitedAt"))
    }
}
