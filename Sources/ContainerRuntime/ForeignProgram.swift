internal import Linux

/// Programs that are neither the container's nor Clipper's: hooks and external runtimes.
public enum ForeignProgram {
    /// The soft RLIMIT_NOFILE that they get; nil for this process's own, which a daemon may have raised for itself. Many of them
    /// use select(2), or close every descriptor that they might have.
    // One process makes one container: it is set once, before the first of them is started, by the only thread.
    nonisolated(unsafe) public static var openFiles: UInt64?

    /// In the child, before it becomes the program.
    public static func takeLimits() {
        guard let openFiles, let own = try? ResourceLimit.current(.nofile) else { return }
        try? ResourceLimit(.nofile, soft: min(openFiles, own.hard), hard: own.hard).apply()
    }
}
