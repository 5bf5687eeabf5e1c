internal import CLinux
internal import Glibc
internal import Linux

/// Unix stream sockets by a name in an open directory: the directory's own path may be of any length.
enum UnixSocket {
    /// A listening, non-blocking socket that only its owner may use. A socket file that is there already is replaced.
    static func listen(in directory: borrowing OwnedFD, name: String) throws(SystemError) -> OwnedFD {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let listener = OwnedFD(owning: try retrying("socket") { socket(AF_UNIX, kind, 0) })
        unlinkat(directory.raw, name, 0)
        // The mode of the socket file is that of the socket itself.
        fchmod(listener.raw, 0o600)
        let path = "\(directory.procPath)/\(name)"
        try retrying("bind socket", name) { clp_unix_bind(listener.raw, path) }
        try retrying("listen on socket", name) { Glibc.listen(listener.raw, 128) }
        return listener
    }
}
