import CLinux
import Glibc
import Linux
import Netlink
import Testing

/// The real kernel, in namespaces of the test; what was made is read back with `ip` and `nft` as Debian has them.
@Suite struct NetlinkKernelTests {
    private static func output(_ command: String) -> String {
        guard let stream = popen("\(command) 2>&1", "r") else { return "" }
        defer { pclose(stream) }
        var text = ""
        var buffer = [CChar](repeating: 0, count: 4096)
        while fgets(&buffer, 4096, stream) != nil {
            text += String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        return text
    }

    @Test func bridgeAndVethAcrossNamespaces() throws {
        let (host, inside, links) = try NetworkNamespace.run(in: .new) {
            let netlink = try RouteNetlink()
            try netlink.setUp(1)
            try netlink.createBridge(.init(name: "br0", macAddress: [2, 0x42, 1, 2, 3, 4], mtu: 1400))
            let bridge = try #require(try netlink.link("br0"))
            try netlink.addAddress(try #require(IPPrefix("10.9.0.1/24")), to: bridge.index)
            let other = try NetworkNamespace.run(in: .new) { try NetworkNamespace.current().take() }
            defer { _ = close(other) }
            try netlink.createVeth(
                .init(name: "va", master: bridge.index, mtu: 1400, peerName: "eth0", peerMAC: [2, 0x42, 10, 9, 0, 2], peerNamespace: other))
            let inside = try NetworkNamespace.run(in: .existing(other)) {
                let netlink = try RouteNetlink()
                let link = try #require(try netlink.link("eth0"))
                try netlink.configure(
                    link.index, addresses: [try #require(IPPrefix("10.9.0.2/24"))], defaultGateways: [try #require(IPAddress("10.9.0.1"))])
                let routes = try netlink.routes()
                #expect(routes.contains { $0.destination == nil && $0.gateway == IPAddress("10.9.0.1") && $0.interface == link.index })
                #expect(routes.contains { $0.destination == IPPrefix("10.9.0.0/24") })
                return Self.output("ip -o addr show eth0; ip -o link show eth0; ip route")
            }
            let host = Self.output("ip -o -d link show va; ip -o addr show br0")
            #expect(try netlink.addresses().contains { $0.interface == bridge.index && $0.prefix.description == "10.9.0.1/24" })
            return (host, inside, try netlink.links())
        }
        #expect(host.contains("master br0") && host.contains("mtu 1400") && host.contains("inet 10.9.0.1/24 brd 10.9.0.255"))
        #expect(inside.contains("inet 10.9.0.2/24") && inside.contains("02:42:0a:09:00:02") && inside.contains("default via 10.9.0.1"))
        let port = links.first { $0.name == "va" }
        #expect(port?.kind == "veth" && port?.isUp == true && port?.mtu == 1400)
        #expect(links.first { $0.name == "br0" }?.macAddress == "02:42:01:02:03:04")
    }

    @Test func changesToLinks() throws {
        try NetworkNamespace.run(in: .new) {
            let netlink = try RouteNetlink()
            try netlink.createVeth(.init(name: "va", master: nil, mtu: 1500, peerName: "vb", peerMAC: nil, peerNamespace: nil))
            let link = try #require(try netlink.link("va"))
            try netlink.setUp(link.index, false)
            try netlink.rename(link.index, to: "vc")
            try netlink.setMTU(link.index, 1300)
            try netlink.setMAC(link.index, [2, 0, 0, 0, 0, 9])
            let changed = try #require(try netlink.link("vc"))
            #expect(!changed.isUp && changed.mtu == 1300 && changed.macAddress == "02:00:00:00:00:09")
            #expect(try netlink.link("va") == nil)
            #expect(try netlink.deleteLink("vc"))
            #expect(try !netlink.deleteLink("vc"))
            #expect(try netlink.link("vb") == nil)
            let failure = #expect(throws: SystemError.self) { try netlink.setUp(4711) }
            #expect(failure?.code == ENODEV)
        }
    }

    @Test func manyLinksAreListedWhole() throws {
        let count = try NetworkNamespace.run(in: .new) {
            let netlink = try RouteNetlink()
            for index in 0..<60 {
                try netlink.createBridge(.init(name: "b\(index)", macAddress: [2, 0, 0, 0, 0, UInt8(index)], mtu: 1500))
            }
            return try netlink.links().filter { $0.kind == "bridge" }.count
        }
        #expect(count == 60)
    }

    @Test func rulesAsNftReadsThem() throws {
        let text = try NetworkNamespace.run(in: .new) {
            var batch = NFTBatch(table: "test")
            batch.addTable()
            batch.addSet("names", key: [.interfaceName])
            batch.addSet("ports", key: [.transportProtocol, .port], value: [.ipv4Address, .port])
            batch.addElements("names", [.init(key: Array("br0".utf8) + [UInt8](repeating: 0, count: 13))])
            batch.addElements("ports", [.init(key: [6, 0, 0, 0, 0, 80, 0, 0], value: [10, 0, 0, 2, 0, 81, 0, 0])])
            batch.addChain("publish")
            batch.addBaseChain("in", type: "nat", hook: .prerouting, priority: -100)
            batch.addBaseChain("out", type: "nat", hook: .postrouting, priority: 100)
            batch.addRule("in", [.destinationAddressType(to: 0), .compare(0, equal: true, [2, 0, 0, 0]), .verdict(.jump("publish"))])
            batch.addRule(
                "publish",
                [
                    .meta(.networkProtocol, to: 0), .compare(0, equal: true, [2]), .meta(.transportProtocol, to: 0),
                    .transportHeader(offset: 2, length: 2, to: 1), .map("ports", key: 0, to: 0),
                    .destinationNAT(family: .v4, address: 0, port: 1),
                ])
            batch.addRule("out", [.meta(.outputInterfaceName, to: 0), .lookup(set: "names", key: 0, inverted: true), .masquerade])
            batch.addRule("out", [.counter, .verdict(.returning)])
            try NFTables().commit(batch)
            return Self.output("nft list ruleset")
        }
        for part in [
            "elements = { \"br0\" }", "elements = { tcp . 80 : 10.0.0.2 . 81 }", "type nat hook prerouting priority dstnat; policy accept;",
            "fib daddr type local jump publish", "meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports",
            "oifname != @names masquerade", "counter packets 0 bytes 0 return",
        ] {
            #expect(text.contains(part), "\(part) is missing in \(text)")
        }
    }

    @Test func transactionsAreAllOrNothing() throws {
        try NetworkNamespace.run(in: .new) {
            let nftables = try NFTables()
            var batch = NFTBatch(table: "test")
            batch.addTable()
            batch.addSet("set", key: [.port])
            try nftables.commit(batch)
            batch = NFTBatch(table: "test")
            batch.addElements("set", [.init(key: [0, 1, 0, 0])])
            batch.deleteElements("set", [.init(key: [0, 9, 0, 0])])
            batch.addElements("set", [.init(key: [0, 2, 0, 0])])
            let failure = #expect(throws: SystemError.self) { try nftables.commit(batch) }
            #expect(failure?.code == ENOENT)
            #expect(try nftables.elements(table: "test", set: "set").isEmpty)
            // Several thousand elements are one transaction.
            batch = NFTBatch(table: "test")
            batch.addElements("set", (0..<5000).map { .init(key: [UInt8($0 >> 8), UInt8($0 & 255), 0, 0]) })
            try nftables.commit(batch)
            #expect(try nftables.elements(table: "test", set: "set").count == 5000)
            batch = NFTBatch(table: "test")
            batch.deleteTable()
            try nftables.commit(batch)
            #expect(try nftables.tables().isEmpty)
        }
    }
}
