import Linux
import Netlink
import Testing

@testable import Networking

/// The network `bridge` and the defaults of all others, as daemon.json shapes them.
@Suite struct DefaultBridgeTests {
    @Test func subnetsComeFromThePools() throws {
        let pools: [NetworkConfiguration.AddressPool] = [
            .init(base: try #require(IPPrefix("10.10.0.0/16")), size: 24), .init(base: try #require(IPPrefix("fd01:2::/48")), size: 64),
        ]
        try TestHost.run {
            let records = MemoryNetworkRecords()
            let before = try TestHost.makeManager(records)
            #expect(try before.network("bridge").ipam.ranges.map(\.subnet) == ["172.17.0.0/16"])
            before.shutdown(removeAll: true)
            let manager = try TestHost.makeManager(records) {
                $0.addressPools = pools
                $0.defaultBridge.enablesIPv6 = true
            }
            #expect(try manager.network("bridge").ipam.ranges.map(\.subnet) == ["10.10.0.0/24", "fd01:2::/64"])
            var spec = NetworkSpec(name: "app")
            spec.enableIPv6 = true
            #expect(try manager.create(spec).ipam.ranges.map(\.subnet) == ["10.10.1.0/24", "fd01:2:0:1::/64"])
            let guest = try TrafficTests.Guest(manager, "c")
            #expect(guest.ip == "10.10.0.2" && guest.endpoint.ipv6?.description == "fd01:2::2/64")
            // Who lives on the bridge keeps its addresses, whatever the pools are now.
            manager.shutdown(removeAll: false)
            let after = try TestHost.makeManager(records)
            #expect(try after.network("bridge").ipam.ranges.map(\.subnet) == ["10.10.0.0/24", "fd01:2::/64"])
            after.shutdown(removeAll: true)
        }
    }

    @Test func addressesOfBothFamilies() throws {
        try TestHost.withManager({
            $0.defaultBridge.address = "10.9.0.1/24"
            $0.defaultBridge.enablesIPv6 = true
            $0.defaultBridge.addressIPv6 = "fd09::5/64"
            $0.defaultBridge.rangeIPv6 = IPPrefix("fd09::100/120")
        }) { manager in
            let ipam = try manager.network("bridge").ipam.ranges
            #expect(ipam.last == IPAMRange(subnet: "fd09::/64", ipRange: "fd09::100/120", gateway: "fd09::5"))
            #expect(manager.hostGateways == ["10.9.0.1", "fd09::5"].compactMap { IPAddress($0) })
            let guest = try TrafficTests.Guest(manager, "c")
            #expect(guest.endpoint.ipv6?.description == "fd09::100/64")
        }
    }

    @Test(arguments: ["fd09::/64", "fd09::5", "10.9.0.1/24", "x", "fd09::5/127"]) func noAddressOfTheBridge(_ text: String) {
        #expect(throws: NetworkError.self) {
            try TestHost.withManager({
                $0.defaultBridge.enablesIPv6 = true
                $0.defaultBridge.addressIPv6 = text
            }) { _ in }
        }
    }

    @Test func rangeAndGateway() throws {
        let range = try #require(IPPrefix("10.9.0.64/26"))
        let gateway = try #require(IPAddress("10.9.0.7"))
        try TestHost.withManager({
            $0.defaultBridge.address = "10.9.0.1/24"
            $0.defaultBridge.range = range
            $0.defaultBridge.gateway = gateway
            $0.defaultBridge.enablesIPv6 = true
            $0.defaultBridge.rangeIPv6 = IPPrefix("fd09::/64")
            $0.defaultBridge.gatewayIPv6 = IPAddress("fd09::7")
        }) { manager in
            let ipam = try manager.network("bridge").ipam.ranges
            #expect(
                ipam == [
                    IPAMRange(
                        subnet: "10.9.0.0/24", ipRange: "10.9.0.64/26", gateway: "10.9.0.1",
                        auxiliaryAddresses: ["DefaultGatewayIPv4": "10.9.0.7"]),
                    IPAMRange(subnet: "fd09::/64", gateway: "fd09::1", auxiliaryAddresses: ["DefaultGatewayIPv6": "fd09::7"]),
                ])
            let guest = try TrafficTests.Guest(manager, "c")
            #expect(guest.ip == "10.9.0.64" && guest.endpoint.ipv4Gateway == gateway)
            let routes = try guest.run { try TestHost.output("ip", "route") + TestHost.output("ip", "-6", "route") }
            #expect(routes.contains("default via 10.9.0.7") && routes.contains("default via fd09::7"))
        }
        // Alone it is the network.
        try TestHost.withManager({ $0.defaultBridge.range = range }) { manager in
            let ipam = try manager.network("bridge").ipam.ranges
            #expect(ipam == [IPAMRange(subnet: "10.9.0.64/26", gateway: "10.9.0.65")])
        }
    }

    @Test func whatCannotBe() throws {
        let edits: [(@Sendable (inout NetworkConfiguration) -> Void, String)] = [
            (
                { $0.defaultBridge.gateway = IPAddress("10.1.0.1") },
                "auxiliary address: (DefaultGatewayIPv4:10.1.0.1) must belong to the master pool: 172.17.0.0/16"
            ),
            (
                {
                    $0.defaultBridge.address = "10.9.0.1/24"
                    $0.defaultBridge.range = IPPrefix("10.8.0.0/24")
                }, "fixed-cidr=10.8.0.0/24 is outside the subnet of the default bridge, 10.9.0.0/24"
            ),
            ({ $0.defaultBridge.hostBridge = "brx" }, "bridge device with non default name brx must be created manually"),
        ]
        try TestHost.run {
            for (edit, message) in edits {
                let failure = #expect(throws: NetworkError.self) { try TestHost.makeManager(MemoryNetworkRecords(), edit) }
                #expect(failure?.message == message)
            }
        }
    }

    @Test func aBridgeOfTheHostIsUsedAndLeft() throws {
        try TestHost.run {
            let records = MemoryNetworkRecords()
            try TestHost.makeManager(records).shutdown(removeAll: false)
            let netlink = try RouteNetlink()
            try netlink.createBridge(.init(name: "br9", macAddress: [2, 0, 0, 0, 0, 9], mtu: 1500))
            let index = try #require(try netlink.link("br9")).index
            for text in ["10.9.0.1/24", "10.19.0.1/24"] { try netlink.addAddress(try #require(IPPrefix(text)), to: index) }
            try netlink.createVeth(
                .init(name: "foreign", master: index, mtu: 1500, peerName: "other", peerMAC: nil, peerNamespace: nil))
            let manager = try TestHost.makeManager(records) {
                $0.defaultBridge.hostBridge = "br9"
                $0.defaultBridge.range = IPPrefix("10.19.0.128/25")
            }
            try manager.restore([])
            #expect(try netlink.link("clipper0") == nil)
            let bridge = try manager.network("bridge")
            #expect(bridge.bridgeName == "br9" && bridge.ipam.ranges.first?.subnet == "10.19.0.0/24")
            let guest = try TrafficTests.Guest(manager, "c")
            #expect(guest.ip == "10.19.0.128" && guest.endpoint.ipv4Gateway?.description == "10.19.0.1")
            _ = try guest.run { try TestSocket.connect("10.9.0.1", 9, udp: true) }
            try manager.detach(guest.endpoint, bindings: [])
            manager.shutdown(removeAll: true)
            let left = try TestHost.output("ip", "addr", "show", "br9")
            #expect(left.contains("10.9.0.1/24") && left.contains("10.19.0.1/24"))
            #expect(try netlink.link("foreign") != nil)
        }
    }

    @Test func withoutADefaultBridge() throws {
        try TestHost.run {
            let records = MemoryNetworkRecords()
            try TestHost.makeManager(records).shutdown(removeAll: false)
            let manager = try TestHost.makeManager(records) { $0.defaultBridge.isMissing = true }
            #expect(Set(manager.networks().map(\.name)) == ["host", "none"])
            #expect(try RouteNetlink().link("clipper0") == nil)
            manager.shutdown(removeAll: true)
            // And back; its own name is no bridge of the host.
            let again = try TestHost.makeManager(records) { $0.defaultBridge.hostBridge = "clipper0" }
            #expect(try again.network("bridge").bridgeName == "clipper0")
            again.shutdown(removeAll: true)
            #expect(try RouteNetlink().link("clipper0") == nil)
        }
    }

    @Test func neighboursAndMasquerading() throws {
        try TestHost.withManager({
            $0.defaultBridge.allowsInterContainerTraffic = false
            $0.defaultBridge.masquerades = false
        }) { manager in
            let options = try manager.network("bridge").options
            #expect(options["com.docker.network.bridge.enable_icc"] == "false")
            #expect(options["com.docker.network.bridge.enable_ip_masquerade"] == "false")
            let (one, two) = (try TrafficTests.Guest(manager, "one"), try TrafficTests.Guest(manager, "two"))
            let listener = try two.listen(80)
            try one.run { #expect(!TrafficTests.isReachable(two.ip, 80)) }
            let outside = try TrafficTests.Outside(manager)
            let far = try outside.run { try TestSocket.listen(80) }
            let answer = try TrafficTests.talk(far) { try one.connect("198.51.100.2", 80) }
            #expect(answer == one.ip)
            _ = listener
        }
    }

    @Test func optionsOfNetworksToBeMade() throws {
        try TestHost.withManager({ $0.defaultOptions = ["bridge": ["com.docker.network.driver.mtu": "1400"]] }) { manager in
            let plain = try manager.create(NetworkSpec(name: "plain"))
            #expect(plain.options == ["com.docker.network.driver.mtu": "1400"])
            #expect(try RouteNetlink().link(plain.bridgeName)?.mtu == 1400)
            var spec = NetworkSpec(name: "own")
            spec.options = ["com.docker.network.driver.mtu": "1300"]
            #expect(try RouteNetlink().link(try manager.create(spec).bridgeName)?.mtu == 1300)
            #expect(try manager.network("bridge").options["com.docker.network.driver.mtu"] == "1500")
        }
    }

    /// `--iptables=false --ip6tables=false`: no table, and what is published is the supervisors'.
    @Test func withoutAFirewall() throws {
        try TestHost.run {
            let records = MemoryNetworkRecords()
            try TestHost.makeManager(records).shutdown(removeAll: false)
            #expect(try NFTables().tables() == ["clipper"])
            let manager = try TestHost.makeManager(records) { $0.firewallFamilies = [] }
            try manager.restore([])
            #expect(try NFTables().tables().isEmpty)
            let network = try manager.create(NetworkSpec(name: "app"))
            #expect(try Files.readText("/proc/sys/net/ipv4/conf/\(network.bridgeName)/route_localnet") == "0\n")
            let guest = try TrafficTests.Guest(manager, "web", "app")
            let published = try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8080, ip: "127.0.0.1")])
            #expect(published.sockets.map(\.isServed) == [true] && published.relayTarget?.description == guest.ip)
            #expect(try NFTables().tables().isEmpty)
            #expect(try manager.network("bridge").options["com.docker.network.bridge.enable_ip_masquerade"] == "false")
            try manager.detach(guest.endpoint, bindings: published.bindings)
            published.closeSockets()
            try manager.remove("app")
            manager.shutdown(removeAll: true)
        }
    }

    /// One family of the two is left alone: no rule is about it but the one that lets it pass.
    @Test func firewallOfOneFamily() throws {
        try TestHost.withManager({ $0.firewallFamilies = [.v6] }) { manager in
            var spec = NetworkSpec(name: "six")
            spec.enableIPv6 = true
            _ = try manager.create(spec)
            let guest = try TrafficTests.Guest(manager, "web", "six")
            let published = try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8080)])
            #expect(published.relayTarget?.description == guest.ip)
            #expect(try NFTables().elements(table: "clipper", set: "ports4").isEmpty)
            #expect(try NFTables().elements(table: "clipper", set: "ports6").count == 1)
            let rules = try TestHost.output("nft", "list", "table", "inet", "clipper")
            #expect(rules.contains("meta nfproto ipv4 accept") && !rules.contains("127.0.0.0/8") && !rules.contains("172.18.0.0/16"))
            try manager.detach(guest.endpoint, bindings: published.bindings)
        }
    }
}
