internal import CLinux
internal import Glibc
internal import Linux

/// Hands a terminal's master to the engine that waits for it on a Unix socket (runc's docs/terminals.md).
enum ConsoleSocket {
    static func send(_ master: consuming OwnedFD, to path: String?) throws {
        guard let path else { throw RuntimeError(kind: .usage, message: "cannot hand over the terminal: no --console-socket") }
        let socket = OwnedFD(
            owning: try retrying("open socket") { Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0) })
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { place in
            if path.utf8.count >= place.count { return false }
            for (index, byte) in path.utf8.enumerated() { place[index] = byte }
            return true
        }
        if !fits { throw SystemError("connect to console socket", path, code: ENAMETOOLONG) }
        try retrying("connect to console socket", path) {
            withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket.raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
            }
        }
        // The data is the terminal's name, which receivers may log.
        try MessageSocket(socket).send(Array("/dev/ptmx".utf8), descriptor: master.raw)
    }
}
