// Shim: the supervisor of one container, `clipper-runtime shim`, and the rootfs helper, `clipper-runtime rootfs`.
//
// `ShimMain.run` is started by the daemon with a control socket as descriptor 3 and outlives it. It mounts the
// container's root filesystem out of everybody's sight, creates the container (in process or by an external runtime,
// `RuntimeDriver`), holds its streams (`ProcessStreams`), writes its log (`LogWriter`), serves attached clients
// (`Attacher`) and execs (`ExecSession`), and writes the exit record. `ContainerShim` puts these together.
// `RootfsHelper.run` does one piece of work inside a root filesystem and ends.
//
// One thread, one epoll loop (`EventLoop`), no Foundation, no Dispatch, no Swift concurrency: private memory stays
// below a megabyte. Messages are ShimProtocol's.
//
// Who dies when: the daemon may die at any time, the shim goes on and the next daemon connects to `shim.sock`. When the
// shim itself is killed, the container loses its streams and its exit code; the daemon sees the connection end without
// an exit record and kills the container (Supervision), at once or when it starts again.
internal import CLinux
internal import Glibc
internal import Linux
internal import ShimProtocol

/// `clipper-runtime shim`.
public enum ShimMain {
    /// Runs one container's supervisor until it is done. `arguments` are those after `shim`: the container's name, for
    /// process lists, and how many descriptors after 3 the daemon gives. Returns the exit status.
    public static func run(_ arguments: [String]) -> Int32 {
        guard arguments.count == 2, let lent = UInt32(arguments[1]), lent < 65536 else {
            ShimLog.write("shim: started by clipperd, not by hand: expected a container and a number of descriptors")
            return 125
        }
        // Whatever the daemon was started with ends here: an external runtime would hand it on.
        clp_reset_signals()
        for number in [SIGPIPE, SIGHUP, SIGINT, SIGTERM] { clp_ignore_signal(number) }
        _ = clp_become_subreaper()
        umask(0o022)
        _ = chdir("/")
        let control = OwnedFD(owning: ShimWire.controlDescriptor)
        do throws(SystemError) {
            try retrying("take over the control socket") { clp_fcntl(ShimWire.controlDescriptor, F_SETFD, Int(FD_CLOEXEC)) }
            hideDescriptors(lent)
            let shim = try ContainerShim(lentDescriptors: Int32(lent))
            try shim.serve(control)
            shim.loop.run()
            return shim.exitStatus
        } catch {
            ShimLog.write("\(error)")
            return 1
        }
    }

    /// What the daemon lends (streams, held ports, namespaces) must not reach the container. Whatever else came through is
    /// closed: kept open here, it would keep somebody's stream from ending.
    private static func hideDescriptors(_ lent: UInt32) {
        if lent > 0 { _ = clp_close_range(4, 3 + lent, UInt32(CLOSE_RANGE_CLOEXEC)) }
        _ = clp_close_range(4 + lent, .max, 0)
    }
}
