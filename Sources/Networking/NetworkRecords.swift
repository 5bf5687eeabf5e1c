internal import Synchronization

/// Where networks are remembered. One record per network, by id.
public protocol NetworkRecords: Sendable {
    /// All records that can be read; others are set aside and reported by the store, never deleted.
    func loadNetworks() throws -> [Network]
    /// Creates or replaces a record, durably.
    func save(_ network: Network) throws
    /// Removing a record that is not there is no error.
    func remove(networkID: String) throws
}

/// Records in memory only: for tests.
public final class MemoryNetworkRecords: NetworkRecords {
    private let networks = Mutex<[String: Network]>([:])

    public init() {}

    public func loadNetworks() -> [Network] { networks.withLock { Array($0.values) } }
    public func save(_ network: Network) { networks.withLock { $0[network.id] = network } }
    public func remove(networkID: String) { networks.withLock { _ = $0.removeValue(forKey: networkID) } }
}
