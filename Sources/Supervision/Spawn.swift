internal import CLinux
internal import Glibc
internal import Linux

/// Starts `clipper-runtime` from the multi-threaded daemon: posix_spawn(3), nothing else is safe there.
enum Spawn {
    /// `descriptors` become the child's 0, 1, 2, 3 …; the child has a session of its own, default signal actions and an
    /// empty signal mask (a task's thread blocks nearly all signals).
    static func start(_ program: String, _ arguments: [String], descriptors: [Int32]) throws(SystemError) -> Int32 {
        // Copies above all targets: assigning 3 must not overwrite a source that happens to be 3. The copies are
        // close-on-exec, what posix_spawn puts in place is not.
        var copies: [Int32] = []
        defer { for copy in copies { close(copy) } }
        for descriptor in descriptors {
            copies.append(
                try retrying("duplicate descriptor", "\(descriptor)") { clp_fcntl(descriptor, F_DUPFD_CLOEXEC, descriptors.count + 3) })
        }
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, copy) in copies.enumerated() { posix_spawn_file_actions_adddup2(&actions, copy, Int32(number)) }
        var all = sigset_t()
        var none = sigset_t()
        sigfillset(&all)
        sigemptyset(&none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setsigmask(&attributes, &none)
        let newSession: Int32 = 0x80  // POSIX_SPAWN_SETSID, which Swift does not see
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | newSession))
        var pid: pid_t = 0
        let code = withCStrings([program] + arguments) { argv in
            withCStrings(environment) { posix_spawn(&pid, program, &actions, &attributes, argv, $0) }
        }
        if code != 0 { throw SystemError("start", program, code: code) }
        return pid
    }

    private static let environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]

    private static func withCStrings<Result>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
        let pointers = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }

    /// Waits for the end of a process, child or not, and takes a child's status in. Nil: it was no child, or is gone already.
    static func awaitEnd(of pid: Int32) async -> Int32? {
        let pidfd = clp_pidfd_open(pid, 0)
        if pidfd >= 0 {
            let owned = OwnedFD(owning: pidfd)
            try? await ControlLoop.shared.readable(owned.raw)
        }
        var status: Int32 = 0
        return waitpid(pid, &status, WNOHANG) == pid ? status : nil
    }
}
