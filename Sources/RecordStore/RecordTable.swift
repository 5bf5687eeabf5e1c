internal import JSON

/// JSON documents of one type, by key. Made by `RecordStore.table`.
///
/// Each method has a form inside a transaction; without one it is its own transaction.
public struct RecordTable<Record: Codable & Sendable>: Sendable {
    public let name: String
    private let store: RecordStore

    init(name: String, store: RecordStore) {
        self.name = name
        self.store = store
    }

    /// Inserts or replaces. `durable`: see `RecordStore.execute`.
    public func put(_ key: String, _ record: Record, durable: Bool = true) throws {
        try store.execute(putStatement, [.text(key), .blob(try JSON.encode(record))], durable: durable)
    }

    public func put(_ key: String, _ record: Record, in transaction: Transaction) throws {
        try transaction.execute(putStatement, [.text(key), .blob(try JSON.encode(record))])
    }

    /// The record of a key; nil when there is none. Throws `RecordError.badDocument` for one that doesn't decode.
    public func get(_ key: String) throws -> Record? {
        try decode(try store.query(getStatement, [.text(key)]) { (key, $0.blob(0)) }).first?.record
    }

    public func get(_ key: String, in transaction: Transaction) throws -> Record? {
        try decode(try transaction.query(getStatement, [.text(key)]) { (key, $0.blob(0)) }).first?.record
    }

    /// Whether there was a record to delete.
    @discardableResult
    public func delete(_ key: String, durable: Bool = true) throws -> Bool {
        try store.execute(deleteStatement, [.text(key)], durable: durable) > 0
    }

    @discardableResult
    public func delete(_ key: String, in transaction: Transaction) throws -> Bool {
        try transaction.execute(deleteStatement, [.text(key)]) > 0
    }

    /// All records, sorted by key. Throws `RecordError.badDocument` for the first that doesn't decode.
    public func all() throws -> [(key: String, record: Record)] {
        try decode(try store.query(allStatement) { ($0.text(0), $0.blob(1)) })
    }

    /// All records that decode, sorted by key, and the errors of those that don't, which stay where they are.
    public func readable() throws -> (records: [(key: String, record: Record)], damaged: [RecordError]) {
        var records: [(key: String, record: Record)] = []
        var damaged: [RecordError] = []
        for row in try store.query(allStatement, [], { ($0.text(0), $0.blob(1)) }) {
            do { records += try decode([row]) } catch let error as RecordError { damaged.append(error) }
        }
        return (records, damaged)
    }

    private var putStatement: String { "INSERT OR REPLACE INTO \(name) (key, document) VALUES (?, ?)" }
    private var getStatement: String { "SELECT document FROM \(name) WHERE key = ?" }
    private var deleteStatement: String { "DELETE FROM \(name) WHERE key = ?" }
    private var allStatement: String { "SELECT key, document FROM \(name) ORDER BY key" }

    private func decode(_ rows: [(String, [UInt8])]) throws -> [(key: String, record: Record)] {
        try rows.map { key, document in
            do { return (key, try JSON.decode(Record.self, from: document)) } catch {
                let reason = (error as? DecodingError)?.summary ?? "\(error)"
                throw RecordError.badDocument(table: name, key: key, reason: reason)
            }
        }
    }
}
