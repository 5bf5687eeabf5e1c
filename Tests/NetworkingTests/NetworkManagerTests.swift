import Glibc
import Linux
import Logging
import Netlink
import RecordStore
import Testing

@testable import Networking

/// Networks as records: names, subnets, what is refused.
@Suite struct NetworkManagerTests {
    @Test func predefinedNetworks() throws {
        try TestHost.withManager { manager in
            #expect(Set(manager.networks().map(\.name)) == ["bridge", "host", "none"])
            let bridge = try manager.network("bridge")
            #expect(bridge.id.count == 64 && bridge.bridgeName == "clipper0" && bridge.ipam.ranges.first?.subnet == "172.17.0.0/16")
            #expect(bridge.ipam.ranges.first?.gateway == "172.17.0.1" && manager.hostGateways == [IPAddress("172.17.0.1")])
            #expect(try manager.network(String(bridge.id.prefix(12))) == bridge)
            for name in ["bridge", "host", "none"] {
                let failure = #expect(throws: NetworkError.self) { try manager.remove(name) }
                #expect(failure?.kind == .forbidden && failure?.message == "\(name) is a pre-defined network and cannot be removed")
            }
            let missing = #expect(throws: NetworkError.self) { try manager.network("nope") }
            #expect(missing?.kind == .notFound && missing?.message == "network nope not found")
            let ambiguous = #expect(throws: NetworkError.self) { try manager.network("") }
            #expect(ambiguous?.kind == .notFound)
        }
    }

    @Test func networksAreMadeAndRemoved() throws {
        try TestHost.withManager { manager in
            var spec = NetworkSpec(name: "app")
            spec.labels = ["a": "b"]
            let network = try manager.create(spec)
            #expect(network.bridgeName == "br-\(network.id.prefix(12))" && network.ipam.ranges.first?.subnet == "172.18.0.0/16")
            #expect(try TestHost.output("ip", "addr", "show", network.bridgeName).contains("172.18.0.1/16"))
            let conflict = #expect(throws: NetworkError.self) { try manager.create(spec) }
            #expect(conflict?.kind == .conflict && conflict?.message == "network with name app already exists")
            let guest = try TrafficTests.Guest(manager, "c", "app")
            #expect(manager.endpoints(onNetwork: network.id) == [guest.endpoint])
            let active = #expect(throws: NetworkError.self) { try manager.remove("app") }
            #expect(active?.message == "error while removing network: network app id \(network.id) has active endpoints")
            try manager.detach(guest.endpoint, bindings: [])
            try manager.detach(guest.endpoint, bindings: [])
            try manager.remove("app")
            let left = try TestHost.output("ip", "link") + TestHost.output("nft", "list", "ruleset")
            #expect(!left.contains(network.bridgeName))
        }
    }

    static func spec(_ edit: (inout NetworkSpec) -> Void) -> NetworkSpec {
        var spec = NetworkSpec(name: "x")
        edit(&spec)
        return spec
    }

    static let refused: [(NetworkSpec, NetworkError.Kind, String)] = [
        (spec { $0.name = "" }, .invalid, "invalid network name: \"\""),
        (spec { $0.name = "host" }, .forbidden, "operation is not permitted on predefined host network"),
        (spec { $0.driver = "macvlan" }, .notImplemented, "not implemented: network driver macvlan"),
        (spec { $0.driver = "weave" }, .notFound, "plugin \"weave\" not found"),
        (spec { $0.driver = "host" }, .forbidden, "only one instance of \"host\" network is allowed"),
        (spec { $0.isIngress = true }, .notImplemented, "not implemented: ingress networks"),
        (spec { $0.scope = "swarm" }, .notImplemented, "not implemented: network scope swarm"),
        (spec { $0.enableIPv4 = false }, .notImplemented, "not implemented: networks without IPv4"),
        (spec { $0.ipam.driver = "dhcp" }, .notImplemented, "not implemented: IPAM driver dhcp"),
        (spec { $0.options = ["com.example": "1"] }, .notImplemented, "not implemented: network option com.example"),
        (
            spec { $0.options = ["com.docker.network.driver.mtu": "x"] }, .invalid,
            "invalid value for com.docker.network.driver.mtu: \"x\" is not an MTU"
        ),
        (spec { $0.options = ["com.docker.network.bridge.name": "../../etc/x"] }, .invalid, "invalid bridge name: \"../../etc/x\""),
        (spec { $0.ipam.ranges = [.init(subnet: "banana")] }, .invalid, "invalid subnet banana: invalid CIDR block notation"),
        (spec { $0.ipam.ranges = [.init(subnet: "10.0.0.1/8")] }, .invalid, "invalid subnet 10.0.0.1/8: it should be 10.0.0.0/8"),
        (spec { $0.ipam.ranges = [.init(subnet: "10.0.0.0/31")] }, .invalid, "invalid subnet 10.0.0.0/31: prefix length not supported"),
        (spec { $0.ipam.ranges = [.init(subnet: "172.17.5.0/24")] }, .forbidden, "Pool overlaps with other one on this address space"),
        (
            spec { $0.ipam.ranges = [.init(subnet: "10.0.0.0/24", gateway: "10.0.1.1")] }, .invalid,
            "invalid gateway 10.0.1.1: not within the subnet 10.0.0.0/24"
        ),
        (
            spec { $0.ipam.ranges = [.init(subnet: "10.0.0.0/24", ipRange: "10.0.1.0/25")] }, .invalid,
            "invalid ip-range 10.0.1.0/25: not within the subnet 10.0.0.0/24"
        ),
        (
            spec { $0.ipam.ranges = [.init(subnet: "10.0.0.0/24"), .init(subnet: "10.0.1.0/24")] }, .invalid,
            "bridge driver doesn't support multiple subnets"
        ),
        (
            spec { $0.ipam.ranges = [.init(subnet: "fd00:1::/64")] }, .invalid,
            "invalid subnet fd00:1::/64: IPv6 is not enabled on the network"
        ),
    ]

    @Test func whatCannotBeIsRefused() throws {
        try TestHost.withManager { manager in
            for (spec, kind, message) in Self.refused {
                let failure = #expect(throws: NetworkError.self) { try manager.create(spec) }
                #expect(failure?.kind == kind && failure?.message == message)
            }
            let links = try TestHost.output("ip", "link")
            #expect(manager.networks().count == 3 && !links.contains("br-"))
        }
    }

    @Test func addressesAskedFor() throws {
        try TestHost.withManager { manager in
            let spec = Self.spec {
                $0.name = "own"
                $0.enableIPv6 = true
                $0.ipam.ranges = [
                    .init(subnet: "10.5.0.0/29", gateway: "10.5.0.6", auxiliaryAddresses: ["router": "10.5.0.1"]),
                    .init(subnet: "fd00:5::/64"),
                ]
            }
            _ = try manager.create(spec)
            let first = try TrafficTests.Guest(manager, "a", "own", .init(ipv4: "10.5.0.3", ipv6: "fd00:5::99", mac: "02:00:00:00:00:07"))
            #expect(first.endpoint.ipv4?.description == "10.5.0.3/29" && first.endpoint.ipv6?.description == "fd00:5::99/64")
            #expect(first.endpoint.macAddress == "02:00:00:00:00:07" && first.endpoint.ipv6Gateway?.description == "fd00:5::1")
            let inside = try first.run { try TestHost.output("ip", "addr") + TestHost.output("ip", "-6", "route") }
            let ours = inside.split(separator: "\n").first { $0.contains("inet6 fd00:5::99/64") } ?? ""
            #expect(!ours.isEmpty && !ours.contains("tentative") && inside.contains("default via fd00:5::1"))
            // Free: .2, .4, .5 (.0 and .7 are the network's, .1 and .6 reserved, .3 taken).
            let others = try (0..<3).map { try TrafficTests.Guest(manager, "b\($0)", "own").ip }
            #expect(others == ["10.5.0.2", "10.5.0.4", "10.5.0.5"])
            for (request, message) in [
                (EndpointRequest(), "no available IPv4 addresses on this network's address pools: own"),
                (EndpointRequest(ipv4: "10.5.0.3"), "Address already in use"),
                (EndpointRequest(ipv4: "10.6.0.3"), "invalid address 10.6.0.3: It does not belong to any of this network's subnets"),
                (EndpointRequest(ipv4: "pear"), "invalid address: pear"),
                (EndpointRequest(mac: "01:00:00:00:00:00"), "invalid MAC address"),
            ] {
                let failure = #expect(throws: NetworkError.self) { try TrafficTests.Guest(manager, "c", "own", request) }
                #expect(failure?.message.hasPrefix(message) == true)
            }
            let failure = #expect(throws: NetworkError.self) { try TrafficTests.Guest(manager, "c", "bridge", .init(ipv4: "172.17.0.9")) }
            #expect(failure?.message == "user specified IP address is supported on user defined networks only")
            // An address that was freed is not the next one given out.
            try manager.detach(first.endpoint, bindings: [])
            #expect(try TrafficTests.Guest(manager, "d", "own").ip == "10.5.0.3")
        }
    }

    @Test func hostAndNone() throws {
        try TestHost.withManager { manager in
            let host = try manager.attach(containerID: "h", containerName: "h", hostname: "h", network: "host", sandbox: nil)
            #expect(host.interface.isEmpty && manager.endpoints(onNetwork: host.networkID).count == 1)
            #expect(try manager.publish(host, ports: [PortRequest(containerPort: 80)]).bindings.isEmpty)
            try manager.detach(host, bindings: [])
            let none = try TrafficTests.Guest(manager, "n", "none")
            let links = try none.run { try RouteNetlink().links().filter(\.isUp).map(\.name) }
            #expect(links == ["lo"])
            #expect(throws: NetworkError.self) {
                try manager.attach(containerID: "x", containerName: "x", hostname: "x", network: "bridge", sandbox: nil)
            }
        }
    }

    @Test func severalNetworksForOneContainer() throws {
        try TestHost.withManager { manager in
            _ = try manager.create(NetworkSpec(name: "two"))
            let guest = try TrafficTests.Guest(manager, "c")
            let second = try manager.attach(
                containerID: "c", containerName: "c", hostname: "c", network: "two", sandbox: guest.sandbox)
            #expect(guest.endpoint.interface == "eth0" && second.interface == "eth1")
            let routes = try guest.run { try TestHost.output("ip", "route") }
            #expect(routes.contains("default via 172.17.0.1 dev eth0") && !routes.contains("default via 172.18.0.1"))
            try manager.chooseGateways([second, guest.endpoint], in: guest.sandbox)
            let moved = try guest.run { try TestHost.output("ip", "route") }
            #expect(moved.contains("default via 172.18.0.1 dev eth1") && !moved.contains("default via 172.17.0.1"))
            try manager.leave(second, bindings: [])
            #expect(!(try guest.run { try TestHost.output("ip", "route") }).contains("default"))
            try manager.chooseGateways([guest.endpoint], in: guest.sandbox)
            #expect(try guest.run { try TestHost.output("ip", "route") }.contains("default via 172.17.0.1 dev eth0"))
            #expect(manager.endpoints(onNetwork: second.networkID).isEmpty)
            let again = try manager.attach(
                containerID: "c", containerName: "c", hostname: "c", network: "two", sandbox: try manager.reopenSandboxOfTest(guest))
            #expect(again.interface == "eth1")
        }
    }

    /// Two daemons on one host keep out of each other's way; what ends leaves nothing.
    @Test func daemonsSideBySide() throws {
        try TestHost.run {
            let first = try TestHost.makeManager(MemoryNetworkRecords())
            let second = try TestHost.makeManager(MemoryNetworkRecords(), isDefault: false, key: "abc")
            #expect(try second.network("bridge").bridgeName == "clpabc0")
            #expect(try second.network("bridge").ipam.ranges.first?.subnet == "172.18.0.0/16")
            let (one, two) = (try TrafficTests.Guest(first, "one"), try TrafficTests.Guest(second, "two"))
            let published = try second.publish(two.endpoint, ports: [TrafficTests.port(80, 8080)])
            let listener = try two.listen(80)
            let failure = #expect(throws: NetworkError.self) { try first.publish(one.endpoint, ports: [TrafficTests.port(80, 8080)]) }
            #expect(
                failure?.message.hasSuffix("failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use") == true)
            try one.run { #expect(!TrafficTests.isReachable(two.ip, 80)) }
            first.shutdown(removeAll: true)
            #expect(try NFTables().tables() == ["clipper-abc"])
            _ = try TrafficTests.talk(listener) { try TestSocket.connect("127.0.0.1", 8080) }
            second.shutdown(removeAll: true)
            #expect(try NFTables().tables().isEmpty)
            #expect(try RouteNetlink().links().filter { $0.kind == "bridge" || $0.kind == "veth" }.isEmpty)
            _ = published
        }
    }

    @Test func subnetsOfTheHostAreAvoidedAndSettingsHold() throws {
        try TestHost.run {
            let netlink = try RouteNetlink()
            try netlink.createBridge(.init(name: "lan", macAddress: [2, 0, 0, 0, 0, 1], mtu: 1500))
            let lan = try #require(try netlink.link("lan"))
            try netlink.addAddress(try #require(IPPrefix("172.16.4.4/12")), to: lan.index)
            let manager = try TestHost.makeManager(MemoryNetworkRecords())
            #expect(try manager.network("bridge").ipam.ranges.first?.subnet == "192.168.0.0/20")
            manager.shutdown(removeAll: true)
            let own = try TestHost.makeManager(MemoryNetworkRecords()) {
                $0.defaultBridge.address = "10.77.0.9/24"
                $0.mtu = 1300
            }
            let guest = try TrafficTests.Guest(own, "c")
            #expect(guest.endpoint.ipv4Gateway?.description == "10.77.0.9" && guest.ip == "10.77.0.1")
            #expect(try guest.run { try RouteNetlink().link("eth0")?.mtu } == 1300)
            own.shutdown(removeAll: true)
            let failure = #expect(throws: NetworkError.self) {
                try TestHost.makeManager(MemoryNetworkRecords()) { $0.defaultBridge.address = "10.77.0.0/24" }
            }
            #expect(failure?.message == "invalid bridge address (--bip): 10.77.0.0/24")
        }
    }

    /// Records in the daemon's store outlive it, with ids and subnets.
    @Test func recordsInTheStore() throws {
        let path = "/tmp/clipper-net-records-\(getpid())-\(UInt32.random(in: .min ... .max))"
        try Files.makeDirectories(path)
        defer { try? Files.removeTree(path) }
        try TestHost.run {
            let store = try RecordStore(root: path)
            let records = try StoredNetworkRecords(store, logger: Logger(label: "test"))
            let first = try TestHost.makeManager(records)
            let kept = try first.create(NetworkSpec(name: "kept"))
            let gone = try first.create(NetworkSpec(name: "gone"))
            try first.remove("gone")
            let before = first.networks()
            first.shutdown(removeAll: true)
            // A record that cannot be read does not keep the others from being used, and is not deleted.
            try store.execute("INSERT INTO networks (key, document) VALUES ('broken', x'7b')")
            let second = try TestHost.makeManager(records)
            #expect(second.networks() == before && before.contains(kept) && !before.contains(gone))
            #expect(try TestHost.output("ip", "addr", "show", kept.bridgeName).contains("172.18.0.1/16"))
            #expect(try store.query("SELECT key FROM networks WHERE key = 'broken'") { $0.text(0) } == ["broken"])
            second.shutdown(removeAll: true)
        }
    }
}

extension NetworkManager {
    /// The namespace of a test's container, opened again the way a restarted daemon does.
    fileprivate func reopenSandboxOfTest(_ guest: TrafficTests.Guest) throws -> NetworkSandbox {
        try guest.run { try NetworkSandbox() }
    }
}
