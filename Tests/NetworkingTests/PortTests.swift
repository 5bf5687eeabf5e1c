import CLinux
import Glibc
import Linux
import Netlink
import Testing

@testable import Networking

@Suite struct PortTests {
    @Test func portsAreTakenAndGivenBack() throws {
        try TestHost.withManager { manager in
            let (one, two) = (try TrafficTests.Guest(manager, "one"), try TrafficTests.Guest(manager, "two"))
            let published = try manager.publish(one.endpoint, ports: [TrafficTests.port(80, 8080)])
            #expect(published.bindings.first?.hostIP.description == "0.0.0.0" && published.bindings.first?.containerKey == "80/tcp")
            // One socket keeps the port in both families; the shim answers there for IPv6.
            #expect(published.sockets.map(\.isServed) == [true] && published.relayTarget == one.endpoint.ipv4?.address)
            let taken = #expect(throws: NetworkError.self) {
                try manager.publish(two.endpoint, ports: [TrafficTests.port(90, 9090), TrafficTests.port(80, 8080, ip: "127.0.0.1")])
            }
            #expect(taken?.kind == .portTaken)
            #expect(
                taken?.message
                    == "driver failed programming external connectivity on endpoint two (\(two.endpoint.id)): "
                    + "Bind for 127.0.0.1:8080 failed: port is already allocated")
            // Nothing of the refused request remains: not its other port, nor an element.
            #expect(try NFTables().elements(table: "clipper", set: "ports4").count == 1)
            let other = try manager.publish(two.endpoint, ports: [TrafficTests.port(90, 9090), TrafficTests.port(80, 8080, .udp)])
            published.closeSockets()
            #expect(published.descriptors.isEmpty)
            try manager.detach(one.endpoint, bindings: published.bindings)
            let again = try manager.publish(two.endpoint, ports: [TrafficTests.port(80, 8080)])
            #expect(again.bindings.map { "\($0.hostIP)" } == ["0.0.0.0", "::"] && other.bindings.count == 4)
        }
    }

    @Test func portsOfForeignProcesses() throws {
        try TestHost.withManager { manager in
            let guest = try TrafficTests.Guest(manager, "web")
            let foreign = try TestSocket.listen(8080, on: "127.0.0.1")
            let failure = #expect(throws: NetworkError.self) { try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8080)]) }
            #expect(failure?.kind == .portTaken)
            #expect(
                failure?.message.hasSuffix("failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use") == true)
            // A range goes on to the next.
            let published = try manager.publish(guest.endpoint, ports: [PortRequest(containerPort: 80, hostPorts: 8080...8082)])
            #expect(published.bindings.map(\.hostPort) == [8081, 8081])
            // What is held cannot be had by others, even those that ask to share.
            #expect(throws: (any Error).self) { try TestSocket.listen(8081) }
            #expect(throws: (any Error).self) { _ = try HeldSocket.bind(.unspecified(.v4), 8081, .tcp) }
            let elsewhere = #expect(throws: NetworkError.self) {
                try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 80, ip: "203.0.113.9")])
            }
            #expect(elsewhere?.kind == .system && elsewhere?.message.hasSuffix("cannot assign requested address") == true)
            _ = foreign
        }
    }

    @Test func dynamicPorts() throws {
        try TestHost.withManager { manager in
            try Files.write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40002")
            let own = try TestHost.makeManager(MemoryNetworkRecords(), isDefault: false, key: "dyn")
            defer { own.shutdown(removeAll: true) }
            let guest = try TrafficTests.Guest(own, "web")
            func publish() throws -> PublishedPorts { try own.publish(guest.endpoint, ports: [PortRequest(containerPort: 80)]) }
            let held = try [publish(), publish(), publish()]
            #expect(held.flatMap(\.bindings).map(\.hostPort) == [40000, 40000, 40001, 40001, 40002, 40002])
            let failure = #expect(throws: NetworkError.self) { try publish() }
            #expect(failure?.message.hasSuffix("Bind for 0.0.0.0:0 failed: all ports are allocated") == true)
        }
    }

    /// Whatever the order of a request's ports: the one that is named goes to whoever names it.
    @Test func namedPortsComeFirst() throws {
        try TestHost.withManager { manager in
            let guest = try TrafficTests.Guest(manager, "web")
            let first = try manager.publish(guest.endpoint, ports: [PortRequest(containerPort: 1)])
            let next = try #require(first.bindings.first).hostPort + 1
            let published = try manager.publish(
                guest.endpoint,
                ports: [
                    PortRequest(containerPort: 80), PortRequest(containerPort: 81, hostPorts: next...next + 2),
                    TrafficTests.port(82, next), TrafficTests.port(83, next + 1),
                ])
            #expect(published.bindings.map(\.containerPort) == [80, 80, 81, 81, 82, 82, 83, 83])
            #expect(published.bindings.map { $0.hostPort - next } == [3, 3, 2, 2, 0, 0, 1, 1])
        }
    }

    @Test func refusedRequests() throws {
        try TestHost.withManager { manager in
            let guest = try TrafficTests.Guest(manager, "web")
            for (request, kind) in [
                (PortRequest(containerPort: 80, proto: .sctp), NetworkError.Kind.notImplemented), (PortRequest(containerPort: 0), .invalid),
                (PortRequest(containerPort: 80, hostIP: "cherry"), .invalid),
            ] {
                let failure = #expect(throws: NetworkError.self) { try manager.publish(guest.endpoint, ports: [request]) }
                #expect(failure?.kind == kind)
            }
        }
    }

    /// Ports taken by others on IPv6 alone are told by that address; nothing of the request remains.
    @Test func portTakenOnIPv6Alone() throws {
        try TestHost.withManager { manager in
            let guest = try TrafficTests.Guest(manager, "web")
            let foreign = try HeldSocket.bind(IPAddress(family: .v6, value: 1), 8080, .tcp)
            let failure = #expect(throws: NetworkError.self) { try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8080)]) }
            #expect(failure?.kind == .portTaken)
            #expect(failure?.message.hasSuffix("failed to bind host port for [::]:8080:172.17.0.2:80/tcp: address already in use") == true)
            let published = try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8080, ip: "0.0.0.0")])
            #expect(published.bindings.count == 1 && published.sockets.map(\.isServed) == [false] && published.relayTarget == nil)
            #expect(throws: NetworkError.self) { try manager.publish(guest.endpoint, ports: [TrafficTests.port(81, 8080, ip: "::")]) }
            _ = consume foreign
            _ = try manager.publish(guest.endpoint, ports: [TrafficTests.port(81, 8080, ip: "::")])
        }
    }

    /// dockerd's `--userland-proxy=false`.
    @Test func withoutARelayIPv6NeedsAnAddress() throws {
        try TestHost.withManager({ $0.relaysIPv6 = false }) { manager in
            let guest = try TrafficTests.Guest(manager, "web")
            let published = try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8080)])
            #expect(published.bindings.map { "\($0.hostIP)" } == ["0.0.0.0"] && published.relayTarget == nil)
            let failure = #expect(throws: NetworkError.self) {
                try manager.publish(guest.endpoint, ports: [TrafficTests.port(80, 8081, ip: "::")])
            }
            #expect(failure?.kind == .notImplemented)
        }
    }

    /// An IPv6 network publishes on both families.
    @Test func bothFamilies() throws {
        try TestHost.withManager { manager in
            var spec = NetworkSpec(name: "six")
            spec.enableIPv6 = true
            let network = try manager.create(spec)
            #expect(network.ipam.ranges.count == 2 && network.ipam.ranges[1].subnet.hasPrefix("fd"))
            let guest = try TrafficTests.Guest(manager, "web", "six")
            let gateway = try #require(guest.endpoint.ipv6Gateway)
            let published = try manager.publish(
                guest.endpoint,
                ports: [
                    TrafficTests.port(80, 8080), TrafficTests.port(81, 8081, ip: "\(gateway)"), TrafficTests.port(82, 8082, ip: "::1"),
                ])
            #expect(published.bindings.map { "\($0.hostIP)" } == ["0.0.0.0", "::", "\(gateway)", "::1"])
            let ruleset = try TestHost.output("nft", "list", "ruleset")
            let address = try #require(guest.endpoint.ipv6?.address)
            #expect(published.relayTarget == address)
            #expect(ruleset.contains("elements = { tcp . 8080 : \(address) . 80 }"))
            // The kernel forwards nothing from ::1: that is the shim's.
            #expect(ruleset.contains("elements = { \(gateway) . tcp . 8081 : \(address) . 81 }"))
            // From this host by the bridge's own IPv6 address.
            let socket = try HeldSocket.bind6ForTest(in: guest, port: 80)
            #expect(try TestHost.output("bash", "-c", "exec 3<>/dev/tcp/\(gateway)/8080 && echo connected").contains("connected"))
            _ = socket
            try manager.detach(guest.endpoint, bindings: published.bindings)
            #expect(try NFTables().elements(table: "clipper", set: "hostports6").isEmpty)
        }
    }

    /// Somebody emptied the ruleset: the next change puts everything back.
    @Test func theTableComesBack() throws {
        try TestHost.withManager { manager in
            let (one, two) = (try TrafficTests.Guest(manager, "one"), try TrafficTests.Guest(manager, "two"))
            let first = try manager.publish(one.endpoint, ports: [TrafficTests.port(80, 8080)])
            try TestHost.output("nft", "flush", "ruleset")
            let second = try manager.publish(two.endpoint, ports: [TrafficTests.port(80, 8081)])
            #expect(try NFTables().elements(table: "clipper", set: "ports4").count == 2)
            try TestHost.output("nft", "flush", "ruleset")
            try manager.detach(one.endpoint, bindings: first.bindings)
            #expect(try NFTables().elements(table: "clipper", set: "ports4").count == 1)
            _ = second
        }
    }

    @Test(
        arguments: [("", nil), ("0", nil), ("80", 80...80), ("8000-8010", 8000...8010), ("7-7", 7...7)] as [(String, ClosedRange<UInt16>?)])
    func hostPortTexts(_ text: String, _ range: ClosedRange<UInt16>?) throws { #expect(try PortRequest.hostPorts(text) == range) }

    @Test(arguments: ["x", "-1", "65536", "9-8", "1-2-3", "0-5", "80-", " 80"])
    func badHostPortTexts(_ text: String) { #expect(throws: NetworkError.self) { try PortRequest.hostPorts(text) } }
}

extension HeldSocket {
    /// A listening IPv6 socket in a container.
    fileprivate static func bind6ForTest(in guest: TrafficTests.Guest, port: UInt16) throws -> TestSocket {
        TestSocket(OwnedFD(owning: try guest.run { try HeldSocket.bind(.unspecified(.v6), port, .tcp).take() }))
    }
}
