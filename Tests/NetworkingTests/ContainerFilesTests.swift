import Netlink
import Testing

@testable import Networking

@Suite struct ContainerFilesTests {
    static func endpoint(_ ipv4: String, _ ipv6: String? = nil) -> Endpoint {
        Endpoint(
            id: "e", networkID: "n", networkName: "bridge", containerID: "c", containerName: "web", aliases: [], interface: "eth0",
            hostInterface: "veth0", macAddress: "", ipv4: IPPrefix(ipv4), ipv4Gateway: nil, ipv6: ipv6.flatMap { IPPrefix($0) },
            ipv6Gateway: nil)
    }

    @Test func hosts() throws {
        let text = try ContainerFiles.hosts(
            hostname: "web", domainname: "example.org", endpoints: [Self.endpoint("172.17.0.2/16", "fd00::2/64")],
            extraHosts: ["db:10.0.0.1", "six:fd00::9", "me:host-gateway"],
            hostGateways: ["172.17.0.1", "fd00::1"].compactMap { IPAddress($0) })
        #expect(
            text == """
                127.0.0.1\tlocalhost
                ::1\tlocalhost ip6-localhost ip6-loopback
                fe00::\tip6-localnet
                ff00::\tip6-mcastprefix
                ff02::1\tip6-allnodes
                ff02::2\tip6-allrouters
                10.0.0.1\tdb
                fd00::9\tsix
                172.17.0.1\tme
                fd00::1\tme
                172.17.0.2\tweb.example.org web
                fd00::2\tweb.example.org web

                """)
        #expect(ContainerFiles.hostname("web") == "web\n")
    }

    @Test(arguments: [
        ("db", "", "db"), ("db.example.org", "", "db.example.org db"), ("db.one", "example.org", "db.one.example.org db"),
    ])
    func namesWithDots(_ hostname: String, _ domainname: String, _ expected: String) throws {
        let text = try ContainerFiles.hosts(hostname: hostname, domainname: domainname, endpoints: [Self.endpoint("172.17.0.2/16")])
        #expect(text.hasSuffix("\n172.17.0.2\t\(expected)\n"))
    }

    @Test(arguments: ["db", "db:", ":1.2.3.4", "db:pear", "me:host-gateway", "a\nb:1.2.3.4", "a b:1.2.3.4"])
    func badExtraHosts(_ entry: String) {
        let failure = #expect(throws: NetworkError.self) { try ContainerFiles.hosts(hostname: "web", endpoints: [], extraHosts: [entry]) }
        #expect(failure?.kind == .invalid)
    }

    @Test func hostnamesCannotAddLines() {
        #expect(throws: NetworkError.self) {
            try ContainerFiles.hosts(hostname: "web\n1.2.3.4\tbank.example", endpoints: [Self.endpoint("172.17.0.2/16")])
        }
    }

    static func resolv(
        _ host: String, _ servers: [String] = [], _ searches: [String] = [], _ options: [String] = [], six: Bool = false,
        onHost: Bool = false
    )
        throws -> String
    {
        try ContainerFiles.resolvConf(
            host: ResolverSettings(host), nameservers: servers, searches: searches, options: options, hasIPv6: six, usesHostNetwork: onHost)
    }

    @Test func resolvConf() throws {
        let host =
            "# made by hand\nnameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver fd00::53\nsearch lan example.org\noptions ndots:2 rotate\n"
        #expect(try Self.resolv(host) == "nameserver 192.0.2.53\nsearch lan example.org\noptions ndots:2 rotate\n")
        #expect(try Self.resolv(host, six: true).contains("nameserver fd00::53\n"))
        #expect(try Self.resolv(host, onHost: true).hasPrefix("nameserver 127.0.0.1\n"))
        #expect(try Self.resolv(host, ["10.0.0.1"], ["."], ["ndots:1"]) == "nameserver 10.0.0.1\noptions ndots:1\n")
        #expect(
            try Self.resolv("nameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\n")
                == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n")
        #expect(try Self.resolv("") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n")
        #expect(throws: NetworkError.self) { try Self.resolv(host, ["dns.example"]) }
        #expect(throws: NetworkError.self) { try Self.resolv(host, [], ["a\nnameserver 6.6.6.6"]) }
    }
}
