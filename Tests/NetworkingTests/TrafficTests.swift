import Glibc
import Linux
import Netlink
import Testing

@testable import Networking

/// Containers that really speak to the host, to each other and to an outside, all in namespaces of the test.
@Suite struct TrafficTests {
    /// A container on a network.
    struct Guest: Sendable {
        let sandbox: NetworkSandbox
        let endpoint: Endpoint

        init(_ manager: NetworkManager, _ name: String, _ network: String = "bridge", _ request: EndpointRequest = .init()) throws {
            sandbox = try manager.takeSandbox()
            endpoint = try manager.attach(
                containerID: name, containerName: name, hostname: name, network: network, sandbox: sandbox, request: request)
        }

        var ip: String { endpoint.ipv4?.address.description ?? "" }

        func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
            try NetworkNamespace.run(in: .existing(sandbox.descriptor), body)
        }

        func listen(_ port: UInt16, udp: Bool = false) throws -> TestSocket { try run { try TestSocket.listen(port, udp: udp) } }

        func connect(_ ip: String, _ port: UInt16) throws -> TestSocket { try run { try TestSocket.connect(ip, port) } }
    }

    /// Another machine: a namespace joined to the test's host by 198.51.100.0/24, which knows a way to the containers.
    struct Outside: Sendable {
        let sandbox: NetworkSandbox

        init(_ manager: NetworkManager) throws {
            sandbox = try manager.takeSandbox()
            let netlink = try RouteNetlink()
            try netlink.createVeth(
                .init(name: "uplink", master: nil, mtu: 1500, peerName: "eth0", peerMAC: nil, peerNamespace: sandbox.descriptor))
            guard let uplink = try netlink.link("uplink"), let own = IPPrefix("198.51.100.1/24"), let peer = IPPrefix("198.51.100.2/24"),
                let gateway = IPAddress("198.51.100.1")
            else { throw SystemError("make outside", code: ENODEV) }
            try netlink.addAddress(own, to: uplink.index)
            try sandbox.configure("eth0", addresses: [peer], defaultGateways: [gateway])
        }

        func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
            try NetworkNamespace.run(in: .existing(sandbox.descriptor), body)
        }
    }

    static func port(_ container: UInt16, _ host: UInt16, ip: String? = nil, _ proto: PortProtocol = .tcp) -> PortRequest {
        PortRequest(containerPort: container, proto: proto, hostIP: ip, hostPorts: host...host)
    }

    static func isReachable(_ ip: String, _ port: UInt16) -> Bool { (try? TestSocket.connect(ip, port, milliseconds: 400)) != nil }

    /// A connection from here to there carries text both ways; returns who the listener thinks is calling.
    static func talk(_ listener: TestSocket, _ connect: () throws -> TestSocket) throws -> String {
        let client = try connect()
        let (server, peer) = try listener.accept()
        try client.write("ping")
        #expect(try server.read() == "ping")
        try server.write("pong")
        #expect(try client.read() == "pong")
        return peer
    }

    @Test func publishedPortAnswersOnEveryWay() throws {
        try TestHost.withManager { manager in
            let web = try Guest(manager, "web")
            let other = try Guest(manager, "other")
            let outside = try Outside(manager)
            let published = try manager.publish(web.endpoint, ports: [Self.port(80, 8080)])
            let listener = try web.listen(80)
            // From the host, by loopback, by its own address, by the bridge's.
            #expect(try Self.talk(listener) { try TestSocket.connect("127.0.0.1", 8080) } == "172.17.0.1")
            #expect(try Self.talk(listener) { try TestSocket.connect("198.51.100.1", 8080) } != "127.0.0.1")
            #expect(try Self.talk(listener) { try TestSocket.connect("172.17.0.1", 8080) } == "172.17.0.1", "host")
            // From outside: the container sees who calls.
            #expect(try Self.talk(listener) { try outside.run { try TestSocket.connect("198.51.100.1", 8080) } } == "198.51.100.2")
            // From a container of the same network, and from itself (hairpin).
            #expect(try Self.talk(listener) { try other.connect("198.51.100.1", 8080) } == "172.17.0.1")
            #expect(try Self.talk(listener) { try web.connect("172.17.0.1", 8080) } == "172.17.0.1")
            // Directly, within the network.
            #expect(try Self.talk(listener) { try other.connect(web.ip, 80) } == other.ip)
            published.closeSockets()
            try manager.detach(web.endpoint, bindings: published.bindings)
            #expect(!Self.isReachable("127.0.0.1", 8080))
        }
    }

    /// Makes the calling thread's namespace send packets for 127.0.0.1 to another machine, as an attacker would.
    static func sendLoopback(via gateway: String) throws {
        for path in ["all", "eth0"] { try Files.write("/proc/sys/net/ipv4/conf/\(path)/route_localnet", "1") }
        try TestHost.output("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
        let refusal = try TestHost.output("ip", "route", "add", "127.0.0.1/32", "via", gateway)
        #expect(refusal.isEmpty)
    }

    @Test func loopbackPortIsClosedToTheOutside() throws {
        try TestHost.withManager { manager in
            let web = try Guest(manager, "web")
            let outside = try Outside(manager)
            _ = try manager.publish(web.endpoint, ports: [Self.port(80, 8080, ip: "127.0.0.1")])
            let listener = try web.listen(80)
            #expect(try Self.talk(listener) { try TestSocket.connect("127.0.0.1", 8080) } == "172.17.0.1")
            try outside.run {
                #expect(!Self.isReachable("198.51.100.1", 8080))
                // A neighbour that sends to 127.0.0.1 by way of this host, and one that knows the container's address.
                try Self.sendLoopback(via: "198.51.100.1")
                #expect(!Self.isReachable("127.0.0.1", 8080))
                #expect(!Self.isReachable("172.17.0.2", 80))
            }
            // A container must not reach the host's own loopback either.
            let secret = try TestSocket.listen(9999, on: "127.0.0.1")
            try web.run {
                try Self.sendLoopback(via: "172.17.0.1")
                #expect(!Self.isReachable("127.0.0.1", 9999))
            }
            _ = secret
        }
    }

    @Test func directRoutingReachesPublishedPortsAlone() throws {
        try TestHost.withManager({ $0.admission.includesDirectRouting = true }) { manager in
            let web = try Guest(manager, "web")
            let outside = try Outside(manager)
            let (ip, listeners) = (web.ip, try [80, 81].map { try web.listen($0) })
            func reached() throws -> [Bool] { try outside.run { [80, 81].map { Self.isReachable(ip, $0) } } }
            #expect(try reached() == [false, false])
            let first = try manager.publish(web.endpoint, ports: [Self.port(80, 8080)])
            let second = try manager.publish(web.endpoint, ports: [Self.port(80, 8081, ip: "127.0.0.1")])
            #expect(try reached() == [true, false])
            // The caller is seen as it is, and the port stays open while a port of the host leads to it.
            #expect(try Self.talk(try web.listen(82)) { try web.connect(ip, 82) } == ip)
            first.closeSockets()
            try manager.unpublish(web.endpoint, first.bindings)
            #expect(try reached() == [true, false])
            // Made anew, the table is the same.
            try TestHost.output("nft", "flush", "ruleset")
            let third = try manager.publish(web.endpoint, ports: [Self.port(81, 8082)])
            #expect(try reached() == [true, true])
            second.closeSockets()
            third.closeSockets()
            try manager.unpublish(web.endpoint, second.bindings + third.bindings)
            #expect(try reached() == [false, false])
            _ = listeners
        }
    }

    @Test func directRoutingIsForbiddenOtherwise() throws {
        try TestHost.withManager { manager in
            let web = try Guest(manager, "web")
            let outside = try Outside(manager)
            let (ip, listener) = (web.ip, try web.listen(80))
            _ = try manager.publish(web.endpoint, ports: [Self.port(80, 8080)])
            #expect(try !outside.run { Self.isReachable(ip, 80) })
            _ = listener
        }
    }

    @Test func markedPacketsAreLetIn() throws {
        try TestHost.withManager({ $0.admission.mark = (value: 1, mask: 3) }) { manager in
            let web = try Guest(manager, "web")
            let outside = try Outside(manager)
            let (ip, listeners) = (web.ip, try [80, 81].map { try web.listen($0) })
            try TestHost.output("nft", "add", "table", "ip", "marks")
            try TestHost.output("nft", "add", "chain", "ip", "marks", "first", "{ type filter hook prerouting priority -150; }")
            try TestHost.output("nft", "add", "rule", "ip", "marks", "first", "tcp dport 80 meta mark set 5")
            try TestHost.output("nft", "add", "rule", "ip", "marks", "first", "tcp dport 81 meta mark set 6")
            #expect(try outside.run { [80, 81].map { Self.isReachable(ip, $0) } } == [true, false])
            _ = listeners
        }
    }

    @Test func outboundTrafficIsMasqueraded() throws {
        try TestHost.withManager { manager in
            let guest = try Guest(manager, "c")
            let outside = try Outside(manager)
            let listener = try outside.run { try TestSocket.listen(7000) }
            #expect(try Self.talk(listener) { try guest.connect("198.51.100.2", 7000) } == "198.51.100.1")
        }
    }

    @Test func udpPortAnswers() throws {
        try TestHost.withManager { manager in
            let guest = try Guest(manager, "dns")
            let outside = try Outside(manager)
            _ = try manager.publish(guest.endpoint, ports: [Self.port(53, 5300, .udp)])
            let server = try guest.listen(53, udp: true)
            let local = try TestSocket.connect("127.0.0.1", 5300, udp: true)
            try local.write("who")
            try server.answer("you")
            #expect(try local.read() == "you")
            let remote = try outside.run { try TestSocket.connect("198.51.100.1", 5300, udp: true) }
            try remote.write("who")
            try server.answer("there")
            #expect(try remote.read() == "there")
        }
    }

    /// A client that sent before the port was published, and goes on from the same port, arrives once it is; and when the
    /// port moves to another container, there.
    @Test func udpClientsFindTheirWayAnew() throws {
        try TestHost.withManager { manager in
            let (first, second) = (try Guest(manager, "first"), try Guest(manager, "second"))
            let outside = try Outside(manager)
            let client = try outside.run { try TestSocket.connect("198.51.100.1", 5300, udp: true) }
            func ask(_ guest: Guest, _ server: TestSocket) throws {
                let published = try manager.publish(guest.endpoint, ports: [Self.port(53, 5300, .udp)])
                // What the kernel remembers of the way to where the port was is forgotten in the background, and an answer of "port
                // unreachable" to what was sent before may still stand in the socket: a client asks again, as those of UDP do.
                for _ in 0..<50 where !server.hears(milliseconds: 200) { try? client.write("who") }
                try server.answer("you")
                #expect((try? client.read()) ?? (try? client.read()) == "you")
                published.closeSockets()
                try manager.detach(guest.endpoint, bindings: published.bindings)
            }
            try client.write("early")
            try ask(first, try first.listen(53, udp: true))
            try ask(second, try second.listen(53, udp: true))
        }
    }

    @Test func networksAreIsolated() throws {
        try TestHost.withManager { manager in
            _ = try manager.create(NetworkSpec(name: "blue"))
            var spec = NetworkSpec(name: "closed")
            spec.isInternal = true
            _ = try manager.create(spec)
            let red = try Guest(manager, "red")
            let blue = try Guest(manager, "blue", "blue")
            let closed = try Guest(manager, "closed", "closed")
            let neighbour = try Guest(manager, "closed2", "closed")
            let outside = try Outside(manager)
            let (inRed, inClosed) = (try red.listen(80), try closed.listen(80))
            let outer = try outside.run { try TestSocket.listen(80) }
            try blue.run { #expect(!Self.isReachable(red.ip, 80)) }
            #expect(try Self.talk(inClosed) { try neighbour.connect(closed.ip, 80) } == neighbour.ip)
            try closed.run {
                try TestHost.output("ip", "route", "add", "default", "via", "172.19.0.1")
                #expect(!Self.isReachable(red.ip, 80))
                #expect(!Self.isReachable("198.51.100.2", 80))
            }
            // What is published may be reached from another network, through the host.
            _ = try manager.publish(red.endpoint, ports: [Self.port(80, 8081)])
            _ = try Self.talk(inRed) { try blue.connect("172.18.0.1", 8081) }
            // Nothing is published on an internal network.
            #expect(try manager.publish(closed.endpoint, ports: [Self.port(80, 8082)]).bindings.isEmpty)
            _ = outer
        }
    }

    @Test func interContainerTrafficCanBeSwitchedOff() throws {
        try TestHost.withManager { manager in
            var spec = NetworkSpec(name: "apart")
            spec.options = ["com.docker.network.bridge.enable_icc": "false"]
            _ = try manager.create(spec)
            let (first, second) = (try Guest(manager, "a", "apart"), try Guest(manager, "b", "apart"))
            let listener = try first.listen(80)
            try second.run { #expect(!Self.isReachable(first.ip, 80)) }
            #expect(try Self.talk(listener) { try TestSocket.connect(first.ip, 80) } == "172.18.0.1")
        }
    }

    /// A daemon that dies and comes back: connections and ports live through it.
    @Test func connectionsOutliveTheDaemon() throws {
        try TestHost.run {
            let records = MemoryNetworkRecords()
            let before = try TestHost.makeManager(records)
            let web = try Guest(before, "web")
            let gone = try Guest(before, "gone")
            let published = try before.publish(web.endpoint, ports: [Self.port(80, 8080)])
            let listener = try web.listen(80)
            let client = try TestSocket.connect("127.0.0.1", 8080)
            let (server, _) = try listener.accept()
            before.shutdown(removeAll: false)

            let after = try TestHost.makeManager(records)
            defer { after.shutdown(removeAll: true) }
            #expect(after.networks() == before.networks())
            // Even before the daemon knows what lives.
            _ = try Self.talk(listener) { try TestSocket.connect("127.0.0.1", 8080) }
            try after.restore([LivingEndpoint(endpoint: web.endpoint, bindings: published.bindings)])
            try client.write("still")
            #expect(try server.read() == "still")
            _ = try Self.talk(listener) { try TestSocket.connect("127.0.0.1", 8080) }
            // The port and the address are known to be taken.
            let next = try Guest(after, "next")
            #expect(next.ip != web.ip)
            let failure = #expect(throws: NetworkError.self) { try after.publish(next.endpoint, ports: [Self.port(80, 8080)]) }
            #expect(failure?.message.contains("Bind for 0.0.0.0:8080 failed: port is already allocated") == true)
            try after.detach(web.endpoint, bindings: published.bindings)
            published.closeSockets()
            #expect(!Self.isReachable("127.0.0.1", 8080))
            _ = gone
        }
    }
}
