internal import CLinux
internal import Glibc
public import Linux

/// What carries netlink datagrams to the kernel and back: a socket, or a recording in a test.
public protocol NetlinkTransport: AnyObject {
    /// Sends one datagram.
    func send(_ datagram: [UInt8]) throws(SystemError)
    /// The next datagram from the kernel.
    func receive() throws(SystemError) -> [UInt8]
}

/// A netlink socket. It stays bound to the network namespace in which it was opened, whichever thread uses it.
/// Not thread-safe.
public final class NetlinkSocket: NetlinkTransport {
    private let socket: OwnedFD
    private var buffer = [UInt8](repeating: 0, count: 65536)

    /// Opens a socket of a netlink protocol (NETLINK_ROUTE, NETLINK_NETFILTER) in the calling thread's namespace.
    public init(protocol number: Int32) throws(SystemError) {
        let fd = try retrying("open netlink socket") { Glibc.socket(AF_NETLINK, clp_sock_raw_cloexec(), number) }
        socket = OwnedFD(owning: fd)
        // With these the kernel's answer carries its reason in words, and not the whole request again (Linux 4.12).
        try set(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        try set(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        // A transaction of thousands of ports is one datagram. Without the privilege (in a user namespace) the
        // ordinary limit stays; the send then fails with a clear error.
        try? set(SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
        try? set(SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        // The kernel answers at once; this is against waiting for ever for an answer that was lost.
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        _ = try retrying("configure netlink socket") {
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        var address = sockaddr_nl()
        address.nl_family = UInt16(AF_NETLINK)
        let size = socklen_t(MemoryLayout<sockaddr_nl>.size)
        _ = try retrying("bind netlink socket") {
            withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, size) } }
        }
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) throws(SystemError) {
        var value = value
        let fd = socket.raw
        _ = try retrying("configure netlink socket") { setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) }
    }

    public func send(_ datagram: [UInt8]) throws(SystemError) {
        let fd = socket.raw
        _ = try retrying("send to kernel") { datagram.withUnsafeBytes { Glibc.send(fd, $0.baseAddress, $0.count, 0) } }
    }

    public func receive() throws(SystemError) -> [UInt8] {
        let fd = socket.raw
        while true {
            // MSG_TRUNC: the datagram's whole length is told even when the buffer is too small for it.
            let flags = Int32(MSG_PEEK | MSG_TRUNC)
            let length = try retrying("receive from kernel") { recv(fd, nil, 0, flags) }
            if length > buffer.count { buffer = [UInt8](repeating: 0, count: length) }
            var sender = sockaddr_nl()
            var size = socklen_t(MemoryLayout<sockaddr_nl>.size)
            let count = try retrying("receive from kernel") {
                buffer.withUnsafeMutableBytes { bytes in
                    withUnsafeMutablePointer(to: &sender) {
                        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(fd, bytes.baseAddress, bytes.count, 0, $0, &size) }
                    }
                }
            }
            // Only the kernel (port 0) is listened to; another process may send to this socket as well.
            if sender.nl_pid == 0 { return Array(buffer[..<count]) }
        }
    }
}
