public import Netlink

/// The network `bridge`, as dockerd's flags have it.
public struct DefaultBridge: Sendable, Equatable {
    /// `--bridge none`: there is no such network, and containers that name no other have `lo` alone.
    public var isMissing = false
    /// `--bridge`: a bridge of the host, which is used as it is and stays; nil: one of the daemon's own.
    public var hostBridge: String?
    /// `--bip`: address and network, `172.30.0.1/16`.
    public var address: String?
    /// `--bip6`: the same of IPv6, `fd00:1::1/64`.
    public var addressIPv6: String?
    /// `--fixed-cidr`: from where containers have their addresses. Without `address` it is the whole network, unless that contains it.
    public var range: IPPrefix?
    /// `--default-gateway`: where containers send what leaves the network; nil: to the bridge.
    public var gateway: IPAddress?
    /// `--ipv6`
    public var enablesIPv6 = false
    /// `--fixed-cidr-v6`: from where containers have IPv6 addresses, and the whole network unless `addressIPv6` says; nil: one is chosen.
    public var rangeIPv6: IPPrefix?
    /// `--default-gateway-v6`
    public var gatewayIPv6: IPAddress?
    /// `--icc`
    public var allowsInterContainerTraffic = true
    /// `--ip-masq`
    public var masquerades = true

    public init() {}
}
