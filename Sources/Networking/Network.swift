public import Netlink

/// A network as it is recorded and shown by `network inspect`.
public struct Network: Sendable, Codable, Equatable {
    /// 64 hexadecimal digits.
    public let id: String
    public let name: String
    /// RFC 3339.
    public let created: String
    /// `bridge`, `host` or `null`.
    public let driver: String
    public var enableIPv6: Bool
    /// No way out: no gateway, no masquerading, no published ports.
    public var isInternal: Bool
    public var isAttachable: Bool
    public var ipam: IPAMSettings
    public var options: [String: String]
    public var labels: [String: String]
    /// The Linux bridge; empty for `host` and `none`.
    public var bridgeName: String
    /// Made by the daemon itself: `bridge`, `host`, `none`.
    public var isPredefined: Bool
    /// The user named the IPv4 subnet: only then may containers ask for addresses of it.
    public var hasChosenSubnet: Bool

    /// Always `local`.
    public var scope: String { "local" }
}

/// A network's address management, as asked for and as settled.
public struct IPAMSettings: Sendable, Codable, Equatable {
    public var driver = "default"
    public var options: [String: String] = [:]
    /// At most one range of each family; on a network that exists, subnets are set, and gateways unless it is internal.
    public var ranges: [IPAMRange] = []

    public init(driver: String = "default", options: [String: String] = [:], ranges: [IPAMRange] = []) {
        self.driver = driver
        self.options = options
        self.ranges = ranges
    }
}

/// One subnet of a network. Texts as the user gave them; `NetworkManager.create` checks them.
public struct IPAMRange: Sendable, Codable, Equatable {
    /// `172.20.0.0/16`; empty: choose one.
    public var subnet: String
    /// Part of the subnet from which addresses are given out.
    public var ipRange: String?
    public var gateway: String?
    /// Addresses that are never given out, by name.
    public var auxiliaryAddresses: [String: String]

    public init(subnet: String = "", ipRange: String? = nil, gateway: String? = nil, auxiliaryAddresses: [String: String] = [:]) {
        self.subnet = subnet
        self.ipRange = ipRange
        self.gateway = gateway
        self.auxiliaryAddresses = auxiliaryAddresses
    }
}

/// What `POST /networks/create` asks for.
public struct NetworkSpec: Sendable {
    public var name: String
    public var driver = "bridge"
    public var enableIPv4 = true
    public var enableIPv6 = false
    public var isInternal = false
    public var isAttachable = false
    public var isIngress = false
    public var isConfigOnly = false
    public var configFrom: String?
    /// `swarm`, `global`, `local` or empty.
    public var scope = ""
    public var ipam = IPAMSettings()
    public var options: [String: String] = [:]
    public var labels: [String: String] = [:]

    public init(name: String) { self.name = name }
}

/// What a container asks of a network it joins.
public struct EndpointRequest: Sendable {
    public var ipv4: String?
    public var ipv6: String?
    public var mac: String?
    public var aliases: [String]
    /// Names that this container alone knows, and the container (name or ID) that each means.
    public var links: [String: String]
    /// Addresses more, with Docker's prefix lengths for link-local ones: 16 and 64.
    public var linkLocal: [String] = []
    public var options = EndpointOptions()

    public init(
        ipv4: String? = nil, ipv6: String? = nil, mac: String? = nil, aliases: [String] = [], links: [String: String] = [:]
    ) {
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self.mac = mac
        self.aliases = aliases
        self.links = links
    }
}

/// A container's place on a network. The engine keeps it with the container and gives it back to `restore`.
public struct Endpoint: Sendable, Codable, Equatable {
    /// 64 hexadecimal digits.
    public let id: String
    public let networkID: String
    public let networkName: String
    public let containerID: String
    public var containerName: String
    /// More names on this network.
    public let aliases: [String]
    /// The interface in the container (`eth0`); empty on `host` and `none`.
    public let interface: String
    /// The other end on the host (`veth1a2b3c4`); empty on `host` and `none`.
    public let hostInterface: String
    /// `02:42:ac:11:00:02`; empty on `host` and `none`.
    public let macAddress: String
    public let ipv4: IPPrefix?
    public let ipv4Gateway: IPAddress?
    public let ipv6: IPPrefix?
    public let ipv6Gateway: IPAddress?
    /// Names that this container alone knows, and the container (name or ID) that each means; nil for none.
    public var links: [String: String]?

    /// The host's side of the network, where there is a way out.
    /// Those that there are, of IPv4 first.
    public var gateways: [IPAddress] { [ipv4Gateway, ipv6Gateway].compactMap { $0 } }

    public func gateway(_ family: IPAddress.Family) -> IPAddress? { family == .v4 ? ipv4Gateway : ipv6Gateway }
}

/// Transport protocols of published ports.
public enum PortProtocol: String, Sendable, Codable, Hashable {
    case tcp
    case udp
    case sctp
}

/// A container port to be published.
public struct PortRequest: Sendable {
    public var containerPort: UInt16
    public var proto: PortProtocol
    /// Empty or nil: every address of the host.
    public var hostIP: String?
    /// nil: any free port; a range of more than one: the first free one.
    public var hostPorts: ClosedRange<UInt16>?

    public init(containerPort: UInt16, proto: PortProtocol = .tcp, hostIP: String? = nil, hostPorts: ClosedRange<UInt16>? = nil) {
        self.containerPort = containerPort
        self.proto = proto
        self.hostIP = hostIP
        self.hostPorts = hostPorts
    }

    /// Reads the API's `HostPort` text: empty and `0` mean any free port, `8080`, `8000-8010`.
    public static func hostPorts(_ text: String) throws(NetworkError) -> ClosedRange<UInt16>? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        if text.isEmpty || text == "0" { return nil }
        guard parts.count <= 2, let first = UInt16(parts[0]), let last = UInt16(parts[parts.count - 1]), 0 < first, first <= last else {
            throw NetworkError(.invalid, "invalid port specification: \"\(text)\"")
        }
        return first...last
    }
}

/// A port that is published: host address and port to container port.
public struct PublishedPort: Sendable, Codable, Hashable {
    public let containerPort: UInt16
    public let proto: PortProtocol
    /// `0.0.0.0`, `::` or one address of the host.
    public let hostIP: IPAddress
    public let hostPort: UInt16

    public init(containerPort: UInt16, proto: PortProtocol, hostIP: IPAddress, hostPort: UInt16) {
        self.containerPort = containerPort
        self.proto = proto
        self.hostIP = hostIP
        self.hostPort = hostPort
    }

    /// `80/tcp`, the key of `NetworkSettings.Ports`.
    public var containerKey: String { "\(containerPort)/\(proto.rawValue)" }
}
