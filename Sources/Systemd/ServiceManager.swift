internal import CLinux
internal import Glibc
internal import Linux

/// What a service manager and a program that it has started say to each other through the environment: sockets that are open
/// already (sd_listen_fds(3)) and the state of the service (sd_notify(3)).
public enum ServiceManager {
    /// The sockets that were handed to this process, in the manager's order; none when it was started otherwise. They are marked
    /// close-on-exec and the variables are removed, so that no child takes them for its own. To be called once, before threads.
    public static func takeSockets() -> [Int32] {
        defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
        guard let pid = environment("LISTEN_PID").flatMap({ Int32($0) }), pid == getpid(),
            let count = environment("LISTEN_FDS").flatMap({ Int32($0) }), count > 0, count < 1024
        else { return [] }
        return (3..<(3 + count)).filter { clp_fcntl($0, F_SETFD, Int(FD_CLOEXEC)) == 0 }
    }

    /// Where the manager wants to be told; the variable is removed, so that no child speaks for this process.
    public static func takeNotifySocket() -> String? {
        defer { unsetenv("NOTIFY_SOCKET") }
        return environment("NOTIFY_SOCKET").flatMap { $0.isEmpty ? nil : $0 }
    }

    /// Sends one message, such as `READY=1`. Throws `SystemError` when the socket is not there.
    public static func notify(_ message: String, at path: String) throws {
        let socket = OwnedFD(
            owning: try retrying("socket") { Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0) })
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else { throw SystemError("notify", path, code: ENAMETOOLONG) }
        // An abstract name is written with @ for its first byte, which is zero.
        if name.first == UInt8(ascii: "@") { name[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        let bytes = Array(message.utf8)
        _ = try retrying("notify", path) {
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(socket.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
                }
            }
        }
    }

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
