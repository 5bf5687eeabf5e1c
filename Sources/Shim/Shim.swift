// Shim: the supervisor of one container, `clipper-runtime shim`, and the rootfs helper, `clipper-runtime rootfs`.
//
// `ShimMain.run` is started by the daemon with a control socket as descriptor 3 and outlives it. It mounts the
// container's root filesystem in a mount namespace of its own, creates the container (in process or by an external
// runtime), holds its streams, writes its log, serves attached clients and execs, and writes the exit record.
// `RootfsHelper.run` does one piece of work inside a root filesystem and ends.
//
// One thread, one epoll loop (`EventLoop`), no Foundation, no Dispatch, no Swift concurrency: private memory stays
// below a megabyte. Messages are ShimProtocol's.

/// `clipper-runtime shim`.
public enum ShimMain {
    /// Runs one container's supervisor until it is done. `arguments` are those after `shim`. Returns the exit status.
    public static func run(_ arguments: [String]) -> Int32 { 125 }
}

/// `clipper-runtime rootfs`.
public enum RootfsHelper {
    /// Does the one job that the frame on descriptor 3 asks for. Returns the exit status.
    public static func run(_ arguments: [String]) -> Int32 { 125 }
}
