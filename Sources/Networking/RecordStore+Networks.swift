public import Logging
public import RecordStore

/// Networks as records of the daemon's store. Records that cannot be read stay where they are and are told of.
public struct StoredNetworkRecords: NetworkRecords {
    private let table: RecordTable<Network>
    private let logger: Logger

    public init(_ store: RecordStore, logger: Logger) throws {
        table = try store.table("networks", of: Network.self)
        self.logger = logger
    }

    public func loadNetworks() throws -> [Network] {
        let (records, damaged) = try table.readable()
        for error in damaged { logger.error("network record cannot be read", metadata: ["error": "\(error)"]) }
        return records.map(\.record)
    }

    public func save(_ network: Network) throws { try table.put(network.id, network) }

    public func remove(networkID: String) throws { _ = try table.delete(networkID) }
}
