internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink
internal import Synchronization

/// A network namespace of a container: the descriptor that keeps it alive and the rtnetlink socket that was opened
/// inside it, through which any thread can configure it. Nothing is mounted on the host: the namespace lives while the
/// shim, the container's processes or this object hold it.
public final class NetworkSandbox: Sendable {
    private let namespace: OwnedFD
    private let routing: Mutex<RouteNetlink>
    /// `net.ipv6.conf.default.disable_ipv6` of this namespace, open; what is written here holds for interfaces made
    /// later. -1 when the kernel has no IPv6.
    private let disableIPv6: OwnedFD

    /// Must run on a thread that is in the namespace.
    init() throws(SystemError) {
        namespace = try NetworkNamespace.current()
        let routing = try RouteNetlink()
        self.routing = Mutex(routing)
        disableIPv6 = OwnedFD(owning: clp_open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC, 0))
    }

    /// The namespace's descriptor, close-on-exec, owned by this object: hand it to the shim by number.
    public var descriptor: Int32 { namespace.raw }

    /// A new namespace with `lo` up and without IPv6 on interfaces to come. Must run on a thread made for such work,
    /// which is left in `home`.
    static func make(returningTo home: Int32) throws(SystemError) -> NetworkSandbox {
        try retrying("create network namespace") { unshare(Int32(CLONE_NEWNET)) }
        let made: Result<NetworkSandbox, SystemError> = Result { () throws(SystemError) in
            try NetworkSandbox.adopt()
        }
        // Back home, or this thread would keep the container's namespace alive.
        try retrying("leave network namespace") { setns(home, Int32(CLONE_NEWNET)) }
        return try made.get()
    }

    /// The thread's namespace, which is new, with `lo` up and without IPv6 on interfaces to come.
    static func adopt() throws(SystemError) -> NetworkSandbox {
        let sandbox = try NetworkSandbox()
        try sandbox.startLoopback()
        try sandbox.setIPv6(false)
        return sandbox
    }

    /// Brings the loopback interface up; it has the index 1 in every namespace.
    private func startLoopback() throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in try netlink.setUp(1) }
    }

    /// Gives an interface of this namespace its addresses and the default routes.
    func configure(_ interface: String, addresses: [IPPrefix], defaultGateways: [IPAddress]) throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in
            guard let link = try netlink.link(interface) else { throw SystemError("configure interface", interface, code: ENODEV) }
            try netlink.configure(link.index, addresses: addresses, defaultGateways: defaultGateways)
        }
    }

    /// Makes these the default routes of their families, in place of those that are there.
    func replaceDefaultRoutes(_ gateways: [IPAddress], _ interface: String) throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in
            guard let link = try netlink.link(interface) else { throw SystemError("set default route", interface, code: ENODEV) }
            try netlink.replaceDefaultRoutes(gateways, interface: link.index)
        }
    }

    /// Decides whether interfaces that are made from now on have IPv6. Docker's containers have none on networks
    /// without it, not even a link-local address.
    func setIPv6(_ enabled: Bool) throws(SystemError) {
        let file = disableIPv6.raw
        guard file >= 0 else {
            if enabled { throw SystemError("enable ipv6 in network namespace", code: EAFNOSUPPORT) }
            return
        }
        try retrying("set disable_ipv6 in network namespace") { pwrite(file, enabled ? "0\n" : "1\n", 2, 0) }
    }
}
