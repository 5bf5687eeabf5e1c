internal import Netlink

/// Chooses subnets for networks that name none.
enum SubnetChooser {
    /// Docker's own pools: 172.17.0.0/16 … 172.31.0.0/16, then 192.168.0.0/16 in parts of /20.
    static let standardPools: [NetworkConfiguration.AddressPool] =
        ["172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16", "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14"]
        .compactMap(IPPrefix.init(_:)).map { .init(base: $0, size: 16) }
        + ["192.168.0.0/16"].compactMap(IPPrefix.init(_:)).map { .init(base: $0, size: 20) }

    /// The first IPv4 network of the pools that overlaps none of `occupied`. The default bridge may have 172.17.0.0/16;
    /// so may any other network if it is free, as in Docker.
    static func choose(_ pools: [NetworkConfiguration.AddressPool], avoiding occupied: [IPPrefix]) throws(NetworkError) -> IPPrefix {
        if let subnet = free(pools.isEmpty ? standardPools : pools, .v4, avoiding: occupied) { return subnet }
        throw NetworkError(
            .system, "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network")
    }

    private static func free(
        _ pools: [NetworkConfiguration.AddressPool], _ family: IPAddress.Family, avoiding occupied: [IPPrefix]
    ) -> IPPrefix? {
        for pool in pools where pool.base.family == family && pool.size >= pool.base.length && pool.size <= family.bits - 2 {
            for subnet in pool.base.subnets(length: pool.size) where !occupied.contains(where: { $0.overlaps(subnet) && $0.length > 0 }) {
                return subnet
            }
        }
        return nil
    }

    /// The same for IPv6. Without pools of it a unique local network (RFC 4193): fd, then random bits, /64.
    static func chooseIPv6(_ pools: [NetworkConfiguration.AddressPool], avoiding occupied: [IPPrefix]) throws(NetworkError) -> IPPrefix {
        if pools.contains(where: { $0.base.family == .v6 }) {
            guard let subnet = free(pools, .v6, avoiding: occupied) else {
                throw NetworkError(
                    .system, "could not find an available, non-overlapping IPv6 address pool among the defaults to assign to the network")
            }
            return subnet
        }
        let value = UInt128(0xfd) << 120 | UInt128(UInt64.random(in: 0..<1 << 56)) << 64
        return IPPrefix(IPAddress(family: .v6, value: value), length: 64) ?? .everything
    }
}
