internal import CLinux
internal import Glibc
internal import Linux

/// The descriptors from 3 on that a program keeps (`--preserve-fds`, LISTEN_FDS).
enum PreservedDescriptors {
    /// Each must have been handed over by the caller: in the place of a missing one stands sooner or later one of the
    /// runtime's own, which leads out of the container (CVE-2024-21626). Ours are all close-on-exec; one that came through
    /// an execve cannot be.
    static func check(_ count: Int) throws(RuntimeError) {
        if count < 0 { throw RuntimeError(kind: .usage, message: "option --preserve-fds: must not be negative") }
        for number in 0..<count {
            let flags = Int32(exactly: 3 + number).map { clp_fcntl($0, F_GETFD, 0) } ?? -1
            if flags < 0 || flags & FD_CLOEXEC != 0 {
                throw RuntimeError(kind: .usage, message: "preserve \(count) descriptors: descriptor \(3 + number) is not open")
            }
        }
    }
}
