internal import CLinux
public import Linux

/// rtnetlink(7): links, addresses and routes of one network namespace, that in which the socket was opened.
/// Not thread-safe.
public final class RouteNetlink {
    let connection: NetlinkConnection

    /// Over a transport of one's own (tests).
    public init(transport: any NetlinkTransport) { connection = NetlinkConnection(transport) }

    /// In the calling thread's network namespace.
    public convenience init() throws(SystemError) { self.init(transport: try NetlinkSocket(protocol: NETLINK_ROUTE)) }

    /// Runs a dump again while the kernel says that it changed under way; a few times at most.
    func dump<Item>(_ request: NetlinkConnection.Request, _ read: (NetlinkMessage) throws(SystemError) -> Item?) throws(SystemError)
        -> [Item]
    {
        var attempts = 0
        while true {
            var items: [Item] = []
            do {
                try connection.query(request) { message throws(SystemError) in
                    if let item = try read(message) { items.append(item) }
                }
                return items
            } catch {
                attempts += 1
                if error.code != EINTR || attempts == 10 { throw error }
            }
        }
    }
}

/// A network interface.
public struct NetworkLink: Sendable, Equatable {
    public let index: Int32
    public let name: String
    /// `02:42:ac:11:00:02`; empty for interfaces without one.
    public let macAddress: String
    public let mtu: UInt32
    public let isUp: Bool
    /// `bridge`, `veth`, …; empty for hardware and `lo`.
    public let kind: String
    /// Index of the bridge this interface is a port of.
    public let master: Int32?
}

/// An address of an interface.
public struct InterfaceAddress: Sendable, Equatable {
    public let interface: Int32
    public let prefix: IPPrefix
}

/// A route of the main table.
public struct NetworkRoute: Sendable, Equatable {
    /// nil: the default route.
    public let destination: IPPrefix?
    public let gateway: IPAddress?
    /// Index of the interface.
    public let interface: Int32?
}

/// The name of an interface, as the kernel allows it: 1 … 15 bytes without `/`, `:` and white space.
public func isInterfaceName(_ name: String) -> Bool {
    (1...15).contains(name.utf8.count) && name != "." && name != ".."
        && name.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
}

/// A hardware address from `02:42:ac:11:00:02`: six bytes, nil for any other text.
public func macBytes(_ text: String) -> [UInt8]? {
    let parts = text.split(whereSeparator: { $0 == ":" || $0 == "-" })
    let bytes = parts.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
    return parts.count == 6 && bytes.count == 6 ? bytes : nil
}

/// `02:42:ac:11:00:02`.
public func macText(_ bytes: some Collection<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
}
