internal import Netlink

/// What stands in the table (as `nft list table inet clipper` shows it):
///
///     map ports4      { type inet_proto . inet_service : ipv4_addr . inet_service }              every address of the host
///     map hostports4  { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }  one address of the host
///     map ports6, hostports6: the same for IPv6
///     set bridges     { type ifname }            all of our bridges
///     set internal    { type ifname }            those of internal networks
///     set same        { type ifname . ifname }   each bridge with itself
///     set direct4, direct6                       published ports at containers' own addresses (`--allow-direct-routing`)
///
///     chain guard (filter, prerouting, raw)         drops packets to 127.0.0.0/8 that come from outside: without it, a neighbour
///                                                could reach ports that are published on 127.0.0.1 only
///     chain prerouting, output (nat)             packets to an address of this host go to `publish`
///     chain publish                              destination from the maps: one look-up, however many ports there are;
///                                                what comes to ::1 or from fe80::/10 stays with the host's socket
///     chain postrouting (nat)                    masquerades what leaves a network, what comes from 127.0.0.0/8, and
///                                                what returns to the network it came from (hairpin)
///     chain forward (filter)                     lets in answers, traffic within a network and to published ports, and what
///                                                `admission` says; nothing else
extension Firewall {
    private enum Name {
        static let bridges = "bridges"
        static let internalBridges = "internal"
        static let same = "same"
        static let publish = "publish"
        static let postrouting = "postrouting"
    }

    private static let established: UInt32 = 2 | 4
    private static let destinationChanged: UInt32 = 0x20
    /// RTN_LOCAL of rtnetlink(7).
    private static let local: UInt32 = 2

    /// The whole table, in place of what there was.
    func whole(_ model: Model) -> NFTBatch {
        var batch = NFTBatch(table: table)
        // Adding first makes the removal succeed when there was no table.
        batch.addTable()
        batch.deleteTable()
        batch.addTable()
        addSets(to: &batch)
        addChains(to: &batch)
        addForwardRules(to: &batch)
        addPublishRules(to: &batch)
        fillBridges(model, in: &batch)
        fill(&batch, model.ports, direct: model.ports) { $0.addElements($1, $2) }
        return batch
    }

    /// What depends on the bridges, made anew.
    func bridges(_ model: Model) -> NFTBatch {
        var batch = NFTBatch(table: table)
        for set in [Name.bridges, Name.internalBridges, Name.same] { batch.flushSet(set) }
        batch.flushChain(Name.postrouting)
        fillBridges(model, in: &batch)
        return batch
    }

    /// A transaction on the maps of ports, and on what is reached at containers' own addresses.
    func changing(
        _ ports: [Port], direct: [Port], _ change: (inout NFTBatch, String, [NFTBatch.Element]) -> Void
    ) -> NFTBatch {
        var batch = NFTBatch(table: table)
        fill(&batch, ports, direct: direct, change)
        return batch
    }

    /// The port of the container, as an element of `direct4` or `direct6`.
    static func direct(_ port: Port) -> [UInt8] {
        port.containerIP.bytes + [port.proto.number, 0, 0, 0] + network(port.containerPort)
    }

    private func addSets(to batch: inout NFTBatch) {
        batch.addSet("ports4", key: [.transportProtocol, .port], value: [.ipv4Address, .port])
        batch.addSet("hostports4", key: [.ipv4Address, .transportProtocol, .port], value: [.ipv4Address, .port])
        batch.addSet("ports6", key: [.transportProtocol, .port], value: [.ipv6Address, .port])
        batch.addSet("hostports6", key: [.ipv6Address, .transportProtocol, .port], value: [.ipv6Address, .port])
        if admission.includesDirectRouting {
            batch.addSet("direct4", key: [.ipv4Address, .transportProtocol, .port])
            batch.addSet("direct6", key: [.ipv6Address, .transportProtocol, .port])
        }
        batch.addSet(Name.bridges, key: [.interfaceName])
        batch.addSet(Name.internalBridges, key: [.interfaceName])
        batch.addSet(Name.same, key: [.interfaceName, .interfaceName])
    }

    private func addChains(to batch: inout NFTBatch) {
        batch.addChain(Name.publish)
        batch.addBaseChain("guard", type: "filter", hook: .prerouting, priority: -300)
        batch.addBaseChain("prerouting", type: "nat", hook: .prerouting, priority: -100)
        batch.addBaseChain("output", type: "nat", hook: .output, priority: -100)
        batch.addBaseChain(Name.postrouting, type: "nat", hook: .postrouting, priority: 100)
        batch.addBaseChain("forward", type: "filter", hook: .forward, priority: 0)
        if families.contains(.v4) {
            batch.addRule(
                "guard",
                [.meta(.inputInterfaceName, to: 0), .compare(0, equal: false, Self.interface("lo"))] + Self.ipv4
                    + Self.address(.v4, source: false, in: Self.loopback) + [.verdict(.drop)])
        }
        for chain in ["prerouting", "output"] {
            batch.addRule(
                chain,
                [.destinationAddressType(to: 0), .compare(0, equal: true, Self.native(Self.local)), .verdict(.jump(Name.publish))])
        }
    }

    private func addForwardRules(to batch: inout NFTBatch) {
        let fromInternal: [NFTExpression] = [
            .meta(.inputInterfaceName, to: 0), .lookup(set: Name.internalBridges, key: 0, inverted: false), .verdict(.drop),
        ]
        let toInternal: [NFTExpression] = [
            .meta(.outputInterfaceName, to: 0), .lookup(set: Name.internalBridges, key: 0, inverted: false), .verdict(.drop),
        ]
        let same: [NFTExpression] = [
            .meta(.inputInterfaceName, to: 0), .meta(.outputInterfaceName, to: 4), .lookup(set: Name.same, key: 0, inverted: false),
            .verdict(.accept),
        ]
        // What is left alone passes here; another table may still drop it.
        if !families.contains(.v4) { batch.addRule("forward", Self.ipv4 + [.verdict(.accept)]) }
        if !families.contains(.v6) { batch.addRule("forward", Self.ipv6 + [.verdict(.accept)]) }
        let toOurs: [NFTExpression] = [.meta(.outputInterfaceName, to: 0), .lookup(set: Name.bridges, key: 0, inverted: false)]
        batch.addRule("forward", Self.connection(.state, Self.established) + [.verdict(.accept)])
        batch.addRule("forward", same)
        batch.addRule("forward", fromInternal)
        batch.addRule("forward", toInternal)
        batch.addRule("forward", toOurs + Self.connection(.status, Self.destinationChanged) + [.verdict(.accept)])
        if let mark = admission.mark {
            batch.addRule(
                "forward",
                toOurs + [
                    .meta(.mark, to: 0), .bitwise(0, mask: Self.native(mark.mask), xor: [0, 0, 0, 0]),
                    .compare(0, equal: true, Self.native(mark.value)), .verdict(.accept),
                ])
        }
        if admission.includesDirectRouting { addDirectRules(to: &batch, toOurs) }
        batch.addRule("forward", toOurs + [.verdict(.drop)])
    }

    private func addDirectRules(to batch: inout NFTBatch, _ toOurs: [NFTExpression]) {
        func rule(_ family: [NFTExpression], _ offset: UInt32, _ length: UInt32, _ protocolRegister: Int, _ set: String) {
            batch.addRule(
                "forward",
                toOurs + family + [
                    .networkHeader(offset: offset, length: length, to: 0), .meta(.transportProtocol, to: protocolRegister),
                    .transportHeader(offset: 2, length: 2, to: protocolRegister + 1), .lookup(set: set, key: 0, inverted: false),
                    .verdict(.accept),
                ])
        }
        rule(Self.ipv4, 16, 4, 1, "direct4")
        rule(Self.ipv6, 24, 16, 4, "direct6")
    }

    private func addPublishRules(to batch: inout NFTBatch) {
        // Left to the shim, which listens at the port: the kernel forwards neither ::1 nor link-local addresses.
        batch.addRule(
            Name.publish,
            Self.ipv6 + [
                .networkHeader(offset: 24, length: 16, to: 0), .compare(0, equal: true, Self.loopback6.bytes), .verdict(.returning),
            ])
        batch.addRule(Name.publish, Self.ipv6 + Self.address(.v6, source: true, in: Self.linkLocal6) + [.verdict(.returning)])
        // One host address first; the same port is never published on it and on all addresses.
        batch.addRule(
            Name.publish,
            Self.ipv4 + [
                .networkHeader(offset: 16, length: 4, to: 0), .meta(.transportProtocol, to: 1),
                .transportHeader(offset: 2, length: 2, to: 2), .map("hostports4", key: 0, to: 0),
                .destinationNAT(family: .v4, address: 0, port: 1),
            ])
        batch.addRule(
            Name.publish,
            Self.ipv4 + [
                .meta(.transportProtocol, to: 0), .transportHeader(offset: 2, length: 2, to: 1), .map("ports4", key: 0, to: 0),
                .destinationNAT(family: .v4, address: 0, port: 1),
            ])
        batch.addRule(
            Name.publish,
            Self.ipv6 + [
                .networkHeader(offset: 24, length: 16, to: 0), .meta(.transportProtocol, to: 4),
                .transportHeader(offset: 2, length: 2, to: 5), .map("hostports6", key: 0, to: 0),
                .destinationNAT(family: .v6, address: 0, port: 4),
            ])
        batch.addRule(
            Name.publish,
            Self.ipv6 + [
                .meta(.transportProtocol, to: 0), .transportHeader(offset: 2, length: 2, to: 1), .map("ports6", key: 0, to: 0),
                .destinationNAT(family: .v6, address: 0, port: 4),
            ])
    }

    private func fillBridges(_ model: Model, in batch: inout NFTBatch) {
        let all = model.bridges.values.sorted { $0.name < $1.name }
        if all.isEmpty { return }
        batch.addElements(Name.bridges, all.map { .init(key: Self.interface($0.name)) })
        batch.addElements(Name.same, all.map { .init(key: Self.interface($0.name) + Self.interface($0.name)) })
        let closed = all.filter(\.isInternal)
        if !closed.isEmpty { batch.addElements(Name.internalBridges, closed.map { .init(key: Self.interface($0.name)) }) }
        // A process of this host that speaks to 127.0.0.1:port: its packets must not reach the container with that source.
        if families.contains(.v4) {
            batch.addRule(
                Name.postrouting,
                [.meta(.outputInterfaceName, to: 0), .lookup(set: Name.bridges, key: 0, inverted: false)] + Self.ipv4
                    + Self.address(.v4, source: true, in: Self.loopback) + [.masquerade])
        }
        for bridge in all where !bridge.isInternal {
            for subnet in bridge.subnets where families.contains(subnet.family) {
                let fromSubnet = (subnet.family == .v4 ? Self.ipv4 : Self.ipv6) + Self.address(subnet.family, source: true, in: subnet)
                func leaving(_ same: Bool) -> [NFTExpression] {
                    [.meta(.outputInterfaceName, to: 0), .compare(0, equal: same, Self.interface(bridge.name))]
                }
                if bridge.masquerades { batch.addRule(Name.postrouting, fromSubnet + leaving(false) + [.masquerade]) }
                // Hairpin: a container that reaches its own network through a published port. Without this the
                // answer would go to it directly, from an address to which it never spoke.
                batch.addRule(
                    Name.postrouting,
                    fromSubnet + leaving(true) + Self.connection(.status, Self.destinationChanged) + [.masquerade])
            }
        }
    }

    private func fill(
        _ batch: inout NFTBatch, _ ports: some Sequence<Port>, direct: some Sequence<Port>,
        _ change: (inout NFTBatch, String, [NFTBatch.Element]) -> Void
    ) {
        let ours = ports.filter { families.contains($0.hostIP.family) }
        for (map, ports) in Dictionary(grouping: ours, by: Self.map).sorted(by: { $0.key < $1.key }) {
            change(&batch, map, ports.map(Self.element))
        }
        guard admission.includesDirectRouting else { return }
        for family in [IPAddress.Family.v4, .v6] where families.contains(family) {
            let keys = Set(direct.filter { $0.containerIP.family == family }.map(Self.direct))
            if !keys.isEmpty { change(&batch, family == .v4 ? "direct4" : "direct6", keys.map { .init(key: $0) }) }
        }
    }

    private static func map(of port: Port) -> String {
        (port.hostIP.isUnspecified ? "ports" : "hostports") + (port.hostIP.family == .v4 ? "4" : "6")
    }

    private static func element(of port: Port) -> NFTBatch.Element {
        let key = [port.proto.number, 0, 0, 0] + network(port.hostPort)
        return NFTBatch.Element(
            key: port.hostIP.isUnspecified ? key : port.hostIP.bytes + key, value: port.containerIP.bytes + network(port.containerPort))
    }

    // MARK: Pieces of rules

    private static let ipv4: [NFTExpression] = [.meta(.networkProtocol, to: 0), .compare(0, equal: true, [2])]
    private static let ipv6: [NFTExpression] = [.meta(.networkProtocol, to: 0), .compare(0, equal: true, [10])]
    private static let loopback6 = IPAddress(family: .v6, value: 1)
    private static let linkLocal6 = IPPrefix(IPAddress(family: .v6, value: 0xfe80 << 112), length: 10) ?? .everything
    private static let loopback = IPPrefix(IPAddress(family: .v4, value: 127 << 24), length: 8) ?? .everything

    /// The packet's address lies in this network.
    private static func address(_ family: IPAddress.Family, source: Bool, in prefix: IPPrefix) -> [NFTExpression] {
        let length = UInt32(family.bits / 8)
        let offset: UInt32 = family == .v4 ? (source ? 12 : 16) : (source ? 8 : 24)
        return [
            .networkHeader(offset: offset, length: length, to: 0),
            .bitwise(0, mask: prefix.mask, xor: [UInt8](repeating: 0, count: Int(length))),
            .compare(0, equal: true, prefix.first.bytes),
        ]
    }

    /// The connection has one of these bits.
    private static func connection(_ property: NFTExpression.Connection, _ bits: UInt32) -> [NFTExpression] {
        [
            .connection(property, to: 0), .bitwise(0, mask: native(bits), xor: [0, 0, 0, 0]), .compare(0, equal: false, [0, 0, 0, 0]),
        ]
    }

    /// An interface name as nf_tables compares it: 16 bytes, filled with zeros.
    private static func interface(_ name: String) -> [UInt8] {
        let bytes = Array(name.utf8.prefix(15))
        return bytes + [UInt8](repeating: 0, count: 16 - bytes.count)
    }

    private static func native(_ value: UInt32) -> [UInt8] { withUnsafeBytes(of: value) { Array($0) } }

    /// A port in a register: network order, then zeros.
    private static func network(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(truncatingIfNeeded: port), 0, 0] }
}

extension PortProtocol {
    /// The protocol's number in the IP header.
    fileprivate var number: UInt8 {
        switch self {
        case .tcp: 6
        case .udp: 17
        case .sctp: 132
        }
    }
}
