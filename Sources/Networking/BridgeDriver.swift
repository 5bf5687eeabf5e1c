internal import CLinux
internal import Glibc
internal import Linux
internal import Netlink
internal import Synchronization

/// The host's side of bridge networks: bridges, the near ends of veth pairs, and the kernel settings they need. Speaks to
/// the network namespace in which it was made; its callers must be in the same one (settings are files of it).
final class BridgeDriver: Sendable {
    private let routing: Mutex<RouteNetlink>
    /// Removes interfaces, which takes milliseconds, while nobody waits: on a thread and a socket of its own.
    private let remover: SerialWorker
    private let removal: Mutex<RouteNetlink>
    private let tracking: Mutex<ConnectionTracking>
    private let lockPath: String

    init(lockPath: String) throws(SystemError) {
        let netlink = try RouteNetlink()
        routing = Mutex(netlink)
        let second = try RouteNetlink()
        removal = Mutex(second)
        let connections = try ConnectionTracking()
        tracking = Mutex(connections)
        remover = try SerialWorker()
        self.lockPath = lockPath
    }

    /// What a bridge must be.
    struct Plan: Sendable {
        var name: String
        /// The bridge's own addresses: the gateways.
        var addresses: [IPPrefix]
        var mtu: Int
        var origin: Origin
        /// Packets between the host's 127.0.0.0/8 and the bridge may pass. Only where the firewall's chain `guard` closes what this
        /// opens.
        var reachesLoopback: Bool

        /// Where the bridge comes from.
        enum Origin: Sendable {
            /// It is made, and must not be there.
            case new
            /// It is taken up, or made.
            case ours
            /// The host's own: it must be there, and loses nothing that it has.
            case host
        }
    }

    /// Holds the host-wide lock under which daemons choose subnets: two that start at once must not choose the same.
    func holdingHostLock<Answer>(_ body: () throws(NetworkError) -> Answer) throws(NetworkError) -> Answer {
        let lock: FileLock
        do { lock = try FileLock(lockPath, waits: true) } catch { throw NetworkError(.system, "\(error)", cause: error) }
        let answer = try body()
        _ = consume lock
        return answer
    }

    /// The addresses and routes of this host, without those of the bridge `name`.
    func occupied(except name: String) throws(SystemError) -> [IPPrefix] {
        try routing.withLock { (netlink) throws(SystemError) in
            let own = try netlink.link(name)?.index
            let addresses = try netlink.addresses().filter { $0.interface != own }.map(\.prefix.network)
            let routes = try netlink.routes().filter { $0.interface != own }.compactMap(\.destination)
            return addresses + routes
        }
    }

    /// Makes the bridge, or takes up one that is there; afterwards it is up and has these addresses, and unless it is the host's no
    /// others (beside link-local ones). Returns its index.
    func ensure(_ plan: Plan) throws(SystemError) -> Int32 {
        let index = try routing.withLock { (netlink) throws(SystemError) in
            if let link = try netlink.link(plan.name) {
                guard plan.origin != .new, link.kind == "bridge" else { throw SystemError("create bridge", plan.name, code: EEXIST) }
                try netlink.setUp(link.index)
                return link.index
            }
            if plan.origin == .host { throw SystemError("find bridge", plan.name, code: ENODEV) }
            let random = UInt32.random(in: .min ... .max)
            let mac: [UInt8] = [0x02, 0x42] + (0..<4).map { UInt8(truncatingIfNeeded: random >> (8 * UInt32($0))) }
            try netlink.createBridge(.init(name: plan.name, macAddress: mac, mtu: UInt32(plan.mtu)))
            guard let link = try netlink.link(plan.name) else { throw SystemError("create bridge", plan.name, code: ENODEV) }
            return link.index
        }
        do throws(SystemError) {
            try setAddresses(index, plan.addresses, removesOthers: plan.origin != .host)
            // Lets a process of the host reach ports on 127.0.0.1.
            if plan.reachesLoopback { try Files.write("/proc/sys/net/ipv4/conf/\(plan.name)/route_localnet", "1\n", flags: O_WRONLY) }
        } catch {
            if plan.origin == .new { try? delete(plan.name) }
            throw error
        }
        return index
    }

    private func setAddresses(_ index: Int32, _ wanted: [IPPrefix], removesOthers: Bool) throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in
            let present = try netlink.addresses().filter { $0.interface == index && !$0.prefix.address.isLinkLocal }.map(\.prefix)
            for prefix in present where removesOthers && !wanted.contains(prefix) { try netlink.removeAddress(prefix, from: index) }
            for prefix in wanted where !present.contains(prefix) { try netlink.addAddress(prefix, to: index) }
        }
    }

    /// The addresses of a bridge, without link-local ones; nil: there is no such bridge.
    func addresses(of name: String) throws(SystemError) -> [IPPrefix]? {
        try routing.withLock { (netlink) throws(SystemError) in
            guard let link = try netlink.link(name), link.kind == "bridge" else { return nil }
            return try netlink.addresses().filter { $0.interface == link.index && !$0.prefix.address.isLinkLocal }.map(\.prefix)
        }
    }

    /// Removes a bridge or veth now; none of that name is no error.
    func delete(_ name: String) throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in _ = try netlink.deleteLink(name) }
    }

    /// Removes an interface in the background. A failure means that it is gone already, or will be taken by the next
    /// daemon's `restore`.
    func deleteLater(_ name: String) {
        remover.enqueue { [self] in _ = removal.withLock { try? $0.deleteLink(name) } }
    }

    /// Removes a bridge and the near ends on it.
    func deleteWithPorts(_ bridge: String) throws(SystemError) {
        for port in try ports(of: bridge) { try delete(port) }
        try delete(bridge)
    }

    /// Names of the veth ends on a bridge.
    func ports(of bridge: String) throws(SystemError) -> [String] {
        try routing.withLock { (netlink) throws(SystemError) in
            guard let index = try netlink.link(bridge)?.index else { return [] }
            return try netlink.links().filter { $0.master == index && $0.kind == "veth" }.map(\.name)
        }
    }

    /// Makes a pair: `pair.name` on the bridge, its peer in the sandbox.
    func connect(_ pair: RouteNetlink.VethPair, isolated: Bool) throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in
            try netlink.createVeth(pair)
            if isolated { try netlink.setBridgePort(pair.name, isolated: true) }
        }
    }

    /// Lets a container reach itself through a port it has published. Where bridged packets pass the firewall (br_netfilter),
    /// such a packet returns to the bridge port it came from.
    func allowHairpin(_ name: String) throws(SystemError) {
        try routing.withLock { (netlink) throws(SystemError) in try netlink.setBridgePort(name, hairpin: true) }
    }

    /// Makes the packets of UDP clients find their way anew, after their ports were published or given up. It goes through
    /// the kernel's whole table of connections, so in the background; without an answer clients only wait longer.
    func forgetUDPLater(_ ports: Set<UInt16>, families: Set<IPAddress.Family>) {
        if ports.isEmpty { return }
        remover.enqueue { [self] in
            for family in families { _ = tracking.withLock { try? $0.forgetUDP(toPorts: ports, family: family) } }
        }
    }

    /// Switches on forwarding, unless it is on.
    func enableForwarding(_ family: IPAddress.Family) throws(SystemError) {
        let path = family == .v4 ? "/proc/sys/net/ipv4/ip_forward" : "/proc/sys/net/ipv6/conf/all/forwarding"
        if try Files.read(path).first == UInt8(ascii: "1") { return }
        try Files.write(path, "1\n", flags: O_WRONLY)
    }

    /// Waits for what is still to be removed and ends the thread.
    func stop() { remover.stop() }
}

extension IPAddress {
    /// fe80::/10 or 169.254.0.0/16.
    var isLinkLocal: Bool { family == .v4 ? value >> 16 == 0xa9fe : value >> 118 == 0x3fa }
}

extension NetworkError {
    /// A failure of the kernel, as the API tells it.
    static func wrapping<Answer>(_ operation: String, _ body: () throws(SystemError) -> Answer) throws(NetworkError) -> Answer {
        do throws(SystemError) { return try body() } catch { throw NetworkError(.system, "\(operation): \(error)", cause: error) }
    }
}
