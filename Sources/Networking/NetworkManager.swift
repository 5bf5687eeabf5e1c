internal import Linux
public import Logging
public import Netlink
internal import Synchronization

/// The daemon's networks: see Networking.swift. Synchronous, thread-safe; calls may block on the kernel for a few
/// hundred microseconds, so they belong off the cooperative pool.
///
/// Make one, then call `restore` once (with an empty list when nothing lives) before anything else: until then the firewall
/// stays as a daemon before left it, so that no connection to a living container is cut.
public final class NetworkManager: Sendable {
    public let configuration: NetworkConfiguration

    /// A network and who is on it.
    struct Entry: Sendable {
        let network: Network
        var bridge: BridgeEntry?
        /// Endpoint ids. One that is being attached is counted already.
        var endpoints: Set<String> = []
        var isBeingRemoved = false
    }

    /// What is known of a network that has a bridge.
    struct BridgeEntry: Sendable {
        let plan: NetworkPlan
        let index: Int32
        let mtu: Int
        var v4: AddressAllocator?
        var v6: AddressAllocator?
    }

    struct State: Sendable {
        var networks: [String: Entry] = [:]
        var endpoints: [String: Endpoint] = [:]
        /// Interfaces of each container, by its id: those of attached endpoints and of those under way.
        var interfaces: [String: Set<String>] = [:]
        /// Containers that have a default route, by address family, and by which endpoint.
        var defaultRoutes: [DefaultRoute: String] = [:]
    }

    struct DefaultRoute: Hashable {
        let containerID: String
        let family: IPAddress.Family
    }

    let state = Mutex(State())
    let ports: Mutex<PortAllocator>
    /// Held while networks are made or removed: one at a time.
    let changing = Mutex<Void>(())
    let driver: BridgeDriver
    let firewall: Firewall
    let pool: SandboxPool
    let names: NameServer
    let records: any NetworkRecords
    let logger: Logger

    /// Ensures the three predefined networks, the bridges of all networks and the nf_tables table. Works in the network
    /// namespace of the calling thread, as must all later calls.
    public init(configuration: NetworkConfiguration, records: any NetworkRecords, logger: Logger) throws(NetworkError) {
        self.configuration = configuration
        self.records = records
        self.logger = logger
        HeldSocket.makeRoom()
        let path = configuration.hostLockPath
        driver = try NetworkError.wrapping("start networking") { () throws(SystemError) in try BridgeDriver(lockPath: path) }
        let table = configuration.tableName
        let families = configuration.firewallFamilies
        let admission = configuration.admission
        firewall = try NetworkError.wrapping("start networking") { () throws(SystemError) in
            try Firewall(table: table, families: families, admission: admission)
        }
        let size = configuration.warmSandboxes
        pool = try NetworkError.wrapping("start networking") { () throws(SystemError) in try SandboxPool(size: size) }
        names = try NetworkError.wrapping("start networking") { () throws(SystemError) in try NameServer() }
        let range = (try? Files.readText("/proc/sys/net/ipv4/ip_local_port_range")) ?? ""
        ports = Mutex(PortAllocator(dynamicPorts: PortAllocator.dynamicPorts(range)))
        do throws(NetworkError) { try start() } catch {
            stopThreads()
            throw error
        }
    }

    func stopThreads() {
        pool.stop()
        driver.stop()
        names.stop()
    }

    // MARK: Looking up

    /// All networks, oldest first.
    public func networks() -> [Network] {
        state.withLock { $0.networks.values.map(\.network) }.sorted { ($0.created, $0.id) < ($1.created, $1.id) }
    }

    /// By full id, name, or a prefix of an id that only one has, in this order. Throws notFound
    /// (`network X not found`), invalid for an ambiguous prefix.
    public func network(_ nameOrID: String) throws(NetworkError) -> Network {
        let all = networks()
        if let found = all.first(where: { $0.id == nameOrID }) ?? all.first(where: { $0.name == nameOrID }) { return found }
        let matches = nameOrID.isEmpty ? [] : all.filter { $0.id.hasPrefix(nameOrID) }
        if matches.count > 1 {
            throw NetworkError(.invalid, "network \(nameOrID) is ambiguous (\(matches.count) matches found on ID prefix)")
        }
        guard let found = matches.first else { throw NetworkError(.notFound, "network \(nameOrID) not found") }
        return found
    }

    /// The endpoints on a network now, for `network inspect`.
    public func endpoints(onNetwork id: String) -> [Endpoint] {
        state.withLock { state in state.networks[id]?.endpoints.compactMap { state.endpoints[$0] } ?? [] }.sorted { $0.id < $1.id }
    }

    /// The host's addresses on the default bridge: what `host-gateway` means in /etc/hosts of containers without a way out.
    public var hostGateways: [IPAddress] {
        let plan = state.withLock { state in state.networks.values.first { $0.network.isPredefined && $0.bridge != nil }?.bridge?.plan }
        return [plan?.v4?.gateway, plan?.v6?.gateway].compactMap { $0 }
    }

    /// 64 random hexadecimal digits.
    static func makeID() -> String {
        (0..<4).map { _ in
            let digits = String(UInt64.random(in: .min ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

/// An endpoint of a container that outlived the daemon, and its ports.
public struct LivingEndpoint: Sendable {
    public let endpoint: Endpoint
    public let bindings: [PublishedPort]

    public init(endpoint: Endpoint, bindings: [PublishedPort]) {
        self.endpoint = endpoint
        self.bindings = bindings
    }
}
