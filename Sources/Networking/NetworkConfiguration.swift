public import Netlink

/// How this daemon's networks are set up; from dockerd's flags of the same meaning.
public struct NetworkConfiguration: Sendable {
    /// A range from which networks without a subnet get one: networks of `size` bits out of `base`.
    public struct AddressPool: Sendable, Equatable {
        public let base: IPPrefix
        public let size: Int

        public init(base: IPPrefix, size: Int) {
            self.base = base
            self.size = size
        }
    }

    /// What is let in to containers besides answers, their neighbours and what comes through published ports of the host.
    public struct Admission: Sendable {
        /// `--allow-direct-routing`: what is sent to a published port at the container's own address.
        public var includesDirectRouting = false
        /// `--bridge-accept-fwmark`: packets with these bits (`mask`) of their mark (`value`).
        public var mark: (value: UInt32, mask: UInt32)?

        public init() {}
    }

    /// Tells this daemon's bridges and nf_tables table from those of other daemons on the host: short, stable,
    /// lower-case letters and digits (1 … 8), made from the exec root. Unused by the default instance.
    public var instanceKey: String
    /// The daemon with the standard exec root: it owns `clipper0` and the table `clipper`.
    public var isDefaultInstance: Bool
    /// What the network `bridge` is like.
    public var defaultBridge = DefaultBridge()
    /// `--iptables`, `--ip6tables`: the address families of which packets are filtered and translated. What is published in another
    /// reaches containers through their supervisors, if `--userland-proxy` lets it.
    public var firewallFamilies: Set<IPAddress.Family> = [.v4, .v6]
    /// What else is let in to containers.
    public var admission = Admission()
    /// `--default-network-opt`: options of networks to be made that name others, by driver.
    public var defaultOptions: [String: [String: String]] = [:]
    /// `--mtu`; nil is 1500.
    public var mtu: Int?
    /// `--default-address-pool`, for the default bridge as well. Without one of a family: Docker's own pools (IPv4), unique local
    /// addresses (IPv6).
    public var addressPools: [AddressPool] = []
    /// `--ip-forward`: switch on forwarding in the kernel.
    public var enablesForwarding = true
    /// `--ip`: the host address on which ports are published when a request names none.
    public var defaultHostAddress: String?
    /// `--userland-proxy`: what comes to the host's IPv6 addresses reaches containers that have none, through their
    /// supervisors.
    public var relaysIPv6 = true
    /// Held while a subnet is chosen, by all daemons of the host.
    public var hostLockPath = "/run/clipper-networks.lock"
    /// How many network namespaces are kept ready.
    public var warmSandboxes = 8

    public init(instanceKey: String, isDefaultInstance: Bool) {
        self.instanceKey = instanceKey
        self.isDefaultInstance = isDefaultInstance
    }

    /// Throws `NetworkError` for an option that a bridge network cannot have.
    public static func checkBridgeOptions(_ options: [String: String]) throws(NetworkError) { _ = try NetworkPlan.BridgeOptions(options) }

    /// Name of the nf_tables table.
    public var tableName: String { isDefaultInstance ? "clipper" : "clipper-\(instanceKey)" }

    /// Name of the Linux bridge of the network `bridge`.
    public var defaultBridgeName: String { isDefaultInstance ? "clipper0" : "clp\(instanceKey)0" }

    /// The bridge of the host that is the default one; nil when it is the daemon's own, by name or not.
    var hostBridge: String? { defaultBridge.hostBridge == defaultBridgeName ? nil : defaultBridge.hostBridge }
}
