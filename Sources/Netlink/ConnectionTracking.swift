internal import CLinux
public import Linux

/// The kernel's table of connections (ctnetlink), as far as published ports need it. Not thread-safe.
///
/// A UDP client that goes on sending keeps its entry alive, and with it the way its packets went when it was made: past a
/// port that was published since, or to a container that is gone. Forgetting the entry makes the next packet a new connection.
public final class ConnectionTracking {
    private let connection: NetlinkConnection

    /// Over a transport of one's own (tests).
    public init(transport: any NetlinkTransport) { connection = NetlinkConnection(transport) }

    /// In the calling thread's network namespace.
    public convenience init() throws(SystemError) { self.init(transport: try NetlinkSocket(protocol: NETLINK_NETFILTER)) }

    // Of linux/netfilter/nfnetlink_conntrack.h, which Swift cannot import together with the C library.
    private static let get: UInt16 = 1 << 8 | 1
    private static let delete: UInt16 = 1 << 8 | 2
    private static let original: UInt16 = 1
    private static let tupleProtocol: UInt16 = 2
    private static let protocolNumber: UInt16 = 1
    private static let destinationPort: UInt16 = 3
    private static let udp: UInt8 = 17

    /// Forgets the UDP connections that were first sent to one of these ports, whatever the address. Returns how many.
    @discardableResult
    public func forgetUDP(toPorts ports: Set<UInt16>, family: IPAddress.Family) throws(SystemError) -> Int {
        var found: [[UInt8]] = []
        let request = NetlinkConnection.Request("list connections", "", type: Self.get, flags: NLM_F_DUMP) { builder in
            builder.appendNetfilterHeader(family: family.rawValue, resource: 0)
        }
        try connection.query(request) { message throws(SystemError) in
            guard let tuple = try message.attributes(after: 4).first(where: { $0.type == Self.original }) else { return }
            let parts = try tuple.nested().first { $0.type == Self.tupleProtocol }?.nested() ?? []
            guard parts.first(where: { $0.type == Self.protocolNumber })?.number() == Self.udp,
                let port = parts.first(where: { $0.type == Self.destinationPort })?.number(UInt16.self), ports.contains(port.bigEndian)
            else { return }
            found.append(Array(tuple.payload))
        }
        var count = 0
        for tuple in found {
            let request = NetlinkConnection.Request("forget connection", "", type: Self.delete) { builder in
                builder.appendNetfilterHeader(family: family.rawValue, resource: 0)
                builder.attribute(Self.original | UInt16(NLA_F_NESTED), tuple)
            }
            do throws(SystemError) {
                try connection.execute(request)
                count += 1
            } catch {
                // It ended by itself meanwhile.
                if error.code != ENOENT { throw error }
            }
        }
        return count
    }
}
