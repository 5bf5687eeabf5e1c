internal import Glibc

/// Where a server listens.
public enum ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// A Unix socket; `group` is the group that owns it, a name or a number.
    case unix(path: String, mode: UInt32 = 0o660, group: String? = nil)
    case tcp(host: String, port: Int)
    /// A listening socket made by somebody else (socket activation); the server owns it from now on.
    case inherited(descriptor: Int32)

    public var description: String {
        switch self {
        case .unix(let path, _, _): "unix://\(path)"
        case .tcp(let host, let port): host.contains(":") ? "tcp://[\(host)]:\(port)" : "tcp://\(host):\(port)"
        case .inherited(let descriptor): "fd://\(descriptor)"
        }
    }

    /// Whether clients come through the file system.
    var isUnixSocket: Bool {
        switch self {
        case .unix: return true
        case .tcp: return false
        case .inherited(let descriptor):
            var family: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &family, &length) == 0 && family == AF_UNIX
        }
    }
}

/// A bound Unix socket and the inode it made, so that only this server's own path is removed at the end.
struct UnixListener: Sendable {
    let descriptor: Int32
    let path: String
    let device: UInt
    let inode: UInt

    static func bind(path: String, mode: UInt32, group: String?) throws -> UnixListener {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw failure("create socket for", path) }
        do {
            try removeStale(path)
            // The kernel gives the path the mode of the socket's inode, so it is never open to more than `mode`.
            _ = fchmod(descriptor, mode_t(mode))
            guard try withAddress(path, { Glibc.bind(descriptor, $0, $1) }) == 0 else { throw failure("listen on", path) }
            if let group {
                guard let number = groupNumber(group) else { throw HTTPServerError("listen on unix://\(path): no group \(group)") }
                guard chown(path, uid_t.max, number) == 0 else { throw failure("give group \(group)", path) }
            }
            guard chmod(path, mode_t(mode)) == 0 else { throw failure("set mode of", path) }
            var status = stat()
            guard lstat(path, &status) == 0 else { throw failure("read", path) }
            guard Glibc.listen(descriptor, 1024) == 0 else { throw failure("listen on", path) }
            return UnixListener(descriptor: descriptor, path: path, device: UInt(status.st_dev), inode: UInt(status.st_ino))
        } catch {
            _ = close(descriptor)
            throw error
        }
    }

    /// Removes the path unless somebody else has put another socket there.
    func remove() {
        var status = stat()
        if lstat(path, &status) == 0, UInt(status.st_dev) == device, UInt(status.st_ino) == inode { _ = unlink(path) }
    }

    /// A socket on which nobody listens is a dead server's: it goes. Everything else stays and is an error.
    private static func removeStale(_ path: String) throws {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw HTTPServerError("listen on unix://\(path): exists and is no socket") }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard probe >= 0 else { throw failure("create socket for", path) }
        defer { _ = close(probe) }
        let answer = try withAddress(path) { connect(probe, $0, $1) }
        guard answer != 0, errno == ECONNREFUSED else {
            throw HTTPServerError("listen on unix://\(path): another server answers there")
        }
        guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove stale socket", path) }
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.isEmpty else {
            throw HTTPServerError("listen on unix://\(path): path must have 1 to 107 bytes")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    private static func groupNumber(_ name: String) -> gid_t? {
        if let number = gid_t(name) { return number }
        var entry = group()
        var found: UnsafeMutablePointer<group>?
        var buffer = [CChar](repeating: 0, count: 65536)
        guard getgrnam_r(name, &entry, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        return entry.gr_gid
    }

    private static func failure(_ operation: String, _ path: String) -> HTTPServerError {
        let code = errno
        return HTTPServerError("\(operation) unix://\(path): \(String(cString: strerror(code)).lowercased())")
    }
}
