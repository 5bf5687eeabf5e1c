internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink

/// Sockets that keep a published port from being taken by another process. Where the firewall sends what comes for the port
/// to the container before the host's own sockets are looked at, no packet reaches them; the others the shim serves.
enum HeldSocket {
    /// Connections that wait to be accepted: what Go's listeners have, and the kernel's own limit (net.core.somaxconn).
    private static let backlog: Int32 = 4096

    /// Binds the port on this address; with `takesBothFamilies`, which goes with `::`, on all IPv4 addresses too. A TCP
    /// socket also listens: otherwise a process with SO_REUSEADDR could still have the port, and one that lingers in
    /// TIME_WAIT would keep us from it. Throws EADDRINUSE, EADDRNOTAVAIL.
    ///
    /// A port given back a moment ago may still be held by a process that is just being spawned: between its creation and
    /// the execution of its program it has copies of all descriptors. So "in use" is believed when it lasts.
    static func bind(_ address: IPAddress, _ port: UInt16, _ proto: PortProtocol, takesBothFamilies: Bool = false) throws(SystemError)
        -> OwnedFD
    {
        for _ in 0..<3 {
            do { return try bindOnce(address, port, proto, takesBothFamilies) } catch {
                if error.code != EADDRINUSE { throw error }
                usleep(2000)
            }
        }
        return try bindOnce(address, port, proto, takesBothFamilies)
    }

    /// Whether the port could be bound now.
    static func isFree(_ address: IPAddress, _ port: UInt16, _ proto: PortProtocol) -> Bool {
        do {
            _ = try bindOnce(address, port, proto, false)
            return true
        } catch { return false }
    }

    /// Whether this host's kernel has IPv6 and has it switched on: ::1 can be bound.
    static var hostHasIPv6: Bool { isFree(IPAddress(family: .v6, value: 1), 0, .udp) }

    private static func bindOnce(_ address: IPAddress, _ port: UInt16, _ proto: PortProtocol, _ takesBothFamilies: Bool)
        throws(SystemError) -> OwnedFD
    {
        let name = address.family == .v6 ? "[\(address)]:\(port)" : "\(address):\(port)"
        let kind = proto == .udp ? clp_sock_dgram_cloexec() : clp_sock_stream_cloexec()
        let family = address.family == .v4 ? AF_INET : AF_INET6
        let held = OwnedFD(owning: try retrying("open socket for", name) { socket(family, kind, 0) })
        let size = socklen_t(MemoryLayout<Int32>.size)
        var on: Int32 = 1
        if proto == .tcp { try retrying("configure socket for", name) { setsockopt(held.raw, SOL_SOCKET, SO_REUSEADDR, &on, size) } }
        if address.family == .v6 {
            var only: Int32 = takesBothFamilies ? 0 : 1
            try retrying("configure socket for", name) { setsockopt(held.raw, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &only, size) }
        }
        try retrying("bind", name) { socketAddress(address, port) { Glibc.bind(held.raw, $0, $1) } }
        if proto == .tcp { try retrying("bind", name) { listen(held.raw, backlog) } }
        return held
    }

    /// Lets the kernel make the process's table of descriptors large at once. It grows by doubling, and each time a process
    /// with threads waits some 14 ms for it: in the middle of publishing ports.
    static func makeRoom() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        let high = clp_fcntl(2, F_DUPFD_CLOEXEC, Int(min(limit.rlim_cur, 4096)) - 1)
        if high >= 0 { _ = close(high) }
    }

    /// An address and port as the kernel takes them.
    static func socketAddress(_ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var storage = [UInt8](repeating: 0, count: address.family == .v4 ? 16 : 28)
        withUnsafeBytes(of: UInt16(address.family.rawValue)) { storage.replaceSubrange(0..<2, with: $0) }
        withUnsafeBytes(of: port.bigEndian) { storage.replaceSubrange(2..<4, with: $0) }
        // struct sockaddr_in has the address at 4, struct sockaddr_in6 at 8, after the flow label.
        let offset = address.family == .v4 ? 4 : 8
        storage.replaceSubrange(offset..<offset + address.bytes.count, with: address.bytes)
        return storage.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return -1 }
            return body(base.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
    }
}
