internal import CLinux
internal import Glibc
internal import Linux

/// Hands a descriptor to an engine that listens on a Unix socket.
enum DescriptorSocket {
    /// A terminal's master (runc's docs/terminals.md). The data is the terminal's name, which receivers may log.
    static func sendTerminal(_ master: consuming OwnedFD, to path: String?) throws {
        guard let path else { throw RuntimeError(kind: .usage, message: "cannot hand over the terminal: no --console-socket") }
        try MessageSocket(try connect(to: path, "console socket")).send(Array("/dev/ptmx".utf8), descriptor: master.raw)
    }

    /// A process's pidfd (runc 1.2, `--pidfd-socket`); the data says whose: `standard` for a container's first process,
    /// `setns` for one of `exec`.
    static func sendPidfd(_ pidfd: Int32, kind: String, to path: String) throws {
        try MessageSocket(try connect(to: path, "pidfd socket")).send(Array(kind.utf8), descriptor: pidfd)
    }

    static func connect(to path: String, _ what: String) throws -> OwnedFD {
        let socket = OwnedFD(
            owning: try retrying("open socket") { Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0) })
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { place in
            if path.utf8.count >= place.count { return false }
            for (index, byte) in path.utf8.enumerated() { place[index] = byte }
            return true
        }
        if !fits { throw SystemError("connect to \(what)", path, code: ENAMETOOLONG) }
        try retrying("connect to \(what)", path) {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        return socket
    }
}
