/// A network (API: Network).
public struct NetworkResource: Codable, Sendable {
    public var Name: String
    public var Id: String
    public var Created: String
    public var Scope: String
    public var Driver: String
    public var EnableIPv4: Bool
    public var EnableIPv6: Bool
    public var IPAM: IPAM
    public var Internal: Bool
    public var Attachable: Bool
    public var Ingress: Bool
    public var ConfigFrom: ConfigReference
    public var ConfigOnly: Bool
    public var Containers: [String: NetworkContainer]
    public var Options: [String: String]
    public var Labels: [String: String]

    public init(
        Name: String, Id: String, Created: String, Driver: String, EnableIPv6: Bool, IPAM: IPAM, Internal: Bool, Attachable: Bool,
        Containers: [String: NetworkContainer], Options: [String: String], Labels: [String: String]
    ) {
        self.Name = Name
        self.Id = Id
        self.Created = Created
        self.Scope = "local"
        self.Driver = Driver
        self.EnableIPv4 = true
        self.EnableIPv6 = EnableIPv6
        self.IPAM = IPAM
        self.Internal = Internal
        self.Attachable = Attachable
        self.Ingress = false
        self.ConfigFrom = ConfigReference(Network: "")
        self.ConfigOnly = false
        self.Containers = Containers
        self.Options = Options
        self.Labels = Labels
    }
}

public struct ConfigReference: Codable, Sendable {
    public var Network: String
    public init(Network: String) { self.Network = Network }
}

public struct IPAM: Codable, Sendable, Equatable {
    public var Driver: String?
    public var Options: [String: String]?
    public var Config: [IPAMConfig]?

    public init(Driver: String?, Options: [String: String]?, Config: [IPAMConfig]?) {
        self.Driver = Driver
        self.Options = Options
        self.Config = Config
    }
}

public struct IPAMConfig: Codable, Sendable, Equatable {
    public var Subnet: String?
    public var IPRange: String?
    public var Gateway: String?
    public var AuxiliaryAddresses: [String: String]?

    public init(Subnet: String? = nil, IPRange: String? = nil, Gateway: String? = nil, AuxiliaryAddresses: [String: String]? = nil) {
        self.Subnet = Subnet
        self.IPRange = IPRange
        self.Gateway = Gateway
        self.AuxiliaryAddresses = AuxiliaryAddresses
    }
}

/// A container on a network, as `network inspect` shows it.
public struct NetworkContainer: Codable, Sendable {
    public var Name: String
    public var EndpointID: String
    public var MacAddress: String
    public var IPv4Address: String
    public var IPv6Address: String

    public init(Name: String, EndpointID: String, MacAddress: String, IPv4Address: String, IPv6Address: String) {
        self.Name = Name
        self.EndpointID = EndpointID
        self.MacAddress = MacAddress
        self.IPv4Address = IPv4Address
        self.IPv6Address = IPv6Address
    }
}

/// The body of `POST /networks/create`.
public struct NetworkCreateRequest: Codable, Sendable {
    public var Name: String?
    public var CheckDuplicate: Bool?
    public var Driver: String?
    public var Scope: String?
    public var Internal: Bool?
    public var Attachable: Bool?
    public var Ingress: Bool?
    public var ConfigOnly: Bool?
    public var ConfigFrom: ConfigReference?
    public var IPAM: IPAM?
    public var EnableIPv4: Bool?
    public var EnableIPv6: Bool?
    public var Options: [String: String]?
    public var Labels: [String: String]?

    public init() {}
}

/// The answer to `POST /networks/create`.
public struct NetworkCreateResponse: Codable, Sendable {
    public var Id: String
    public var Warning: String

    public init(Id: String, Warning: String) {
        self.Id = Id
        self.Warning = Warning
    }
}

/// The body of `POST /networks/{id}/connect`.
public struct NetworkConnectRequest: Codable, Sendable {
    public var Container: String?
    public var EndpointConfig: EndpointSettings?

    public init() {}
}

/// The body of `POST /networks/{id}/disconnect`.
public struct NetworkDisconnectRequest: Codable, Sendable {
    public var Container: String?
    public var Force: Bool?

    public init() {}
}

/// A volume (API: Volume).
public struct VolumeResource: Codable, Sendable {
    public var CreatedAt: String
    public var Driver: String
    public var Labels: [String: String]?
    public var Mountpoint: String
    public var Name: String
    public var Options: [String: String]?
    public var Scope: String
    public var UsageData: UsageData?

    public struct UsageData: Codable, Sendable {
        public var Size: Int64
        public var RefCount: Int64

        public init(Size: Int64, RefCount: Int64) {
            self.Size = Size
            self.RefCount = RefCount
        }
    }

    public init(
        CreatedAt: String, Driver: String, Labels: [String: String]?, Mountpoint: String, Name: String, Options: [String: String]?
    ) {
        self.CreatedAt = CreatedAt
        self.Driver = Driver
        self.Labels = Labels
        self.Mountpoint = Mountpoint
        self.Name = Name
        self.Options = Options
        self.Scope = "local"
    }
}

/// The answer to `GET /volumes`.
public struct VolumeList: Codable, Sendable {
    public var Volumes: [VolumeResource]
    public var Warnings: [String]?

    public init(Volumes: [VolumeResource], Warnings: [String]? = nil) {
        self.Volumes = Volumes
        self.Warnings = Warnings
    }
}

/// The body of `POST /volumes/create`.
public struct VolumeCreateRequest: Codable, Sendable {
    public var Name: String?
    public var Driver: String?
    public var DriverOpts: [String: String]?
    public var Labels: [String: String]?

    public init() {}
}
