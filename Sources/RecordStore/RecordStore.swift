// RecordStore: the daemon's records, in one SQLite database (WAL, one writer).
//
// A room declares its own tables under a namespace (`declare`, with numbered migrations) or takes a `RecordTable`,
// which keeps one JSON document for each key. A transaction is a closure that gets a `Transaction`; statements are
// prepared once. Everything is synchronous, blocking and thread-safe: one lock, one connection.
//
// One root has one owner: opening it a second time fails and names the process that holds it. A database that
// SQLite can't read is set aside under another name and reported (`setAside`), never deleted.
// Used by Images, Volumes, Networking, Builder and Engine.
internal import CLinux
internal import CSQLite
internal import Glibc
internal import Linux

/// The database of one daemon's root directory.
public final class RecordStore: Sendable {
    /// Path of the database file.
    public let path: String
    /// Where a damaged database was put when this one was opened, and why; nil when all was well.
    public let setAside: SetAside?

    /// A damaged database that was put out of the way.
    public struct SetAside: Sendable, Equatable {
        public let path: String
        public let reason: String
    }

    private let connection: LockedConnection
    private let owner: OwnerLock

    /// Opens the database `<root>/clipper.db`, making it and the root when they don't exist.
    ///
    /// Throws `RecordError.inUse` when another process (or another store in this one) has it open.
    public convenience init(root: String) throws { try self.init(path: "\(root)/clipper.db") }

    /// Opens a database by path.
    public init(path: String) throws {
        try Files.makeDirectories(Files.parent(of: path), mode: 0o711)
        self.path = path
        owner = try OwnerLock(path: path + ".lock")
        do {
            connection = LockedConnection(try Connection.open(path))
            setAside = nil
        } catch let error as RecordError where error.isDamage {
            setAside = SetAside(path: try Self.putAside(path), reason: error.description)
            connection = LockedConnection(try Connection.open(path))
        }
    }

    private static func putAside(_ path: String) throws -> String {
        let stamp = Timestamp.now().seconds
        var target = "\(path).damaged-\(stamp)"
        var number = 1
        while Files.exists(target) {
            target = "\(path).damaged-\(stamp)-\(number)"
            number += 1
        }
        // The log first: a database without its log would be older than it says.
        for suffix in ["-wal", "-shm", ""] where Files.exists(path + suffix) {
            _ = try retrying("rename", path + suffix) { rename(path + suffix, target + suffix) }
        }
        try Files.syncDirectory(Files.parent(of: path))
        return target
    }

    /// Runs `body` in one transaction: all of its changes are durable when this returns, or none when it throws.
    ///
    /// `body` runs under the store's lock: use the transaction it gets, never the store itself.
    public func transaction<Result>(_ body: (Transaction) throws -> Result) throws -> Result {
        try connection.withLock { connection in
            try connection.flushCommits(true)
            try connection.execute("BEGIN IMMEDIATE")
            do {
                let result = try body(Transaction(connection))
                try connection.execute("COMMIT")
                return result
            } catch {
                try? connection.execute("ROLLBACK")
                throw error
            }
        }
    }

    /// One statement outside any other transaction. Returns the number of rows it changed. What is not `durable` survives a
    /// crash of the process, but perhaps not a power loss.
    @discardableResult
    public func execute(_ sql: String, _ bindings: [RecordValue] = [], durable: Bool = true) throws -> Int {
        try connection.withLock { connection in
            try connection.flushCommits(durable)
            return try connection.run(sql, bindings)
        }
    }

    /// The rows of a SELECT, each mapped while it is read.
    public func query<Row>(_ sql: String, _ bindings: [RecordValue] = [], _ map: (RecordRow) throws -> Row) throws -> [Row] {
        try connection.withLock { try $0.query(sql, bindings, map) }
    }

    /// Brings the tables of `namespace` up to date: migrations are SQL scripts, the first makes version 1. Those that
    /// have not run yet run in order, each in a transaction. Throws `RecordError.newer` when the database has been
    /// written by a later version of the program.
    public func declare(namespace: String, migrations: [String]) throws {
        try transaction { transaction in
            let rows = try transaction.query("SELECT version FROM clipper_schema WHERE namespace = ?", [.text(namespace)]) { $0.integer(0) }
            let current = Int(rows.first ?? 0)
            if current > migrations.count { throw RecordError.newer(namespace: namespace, found: current, known: migrations.count) }
            for script in migrations[current...] { try transaction.script(script) }
            try transaction.execute(
                "INSERT OR REPLACE INTO clipper_schema (namespace, version) VALUES (?, ?)",
                [.text(namespace), .integer(Int64(migrations.count))])
        }
    }

    /// A table of JSON documents by key, made when it doesn't exist. `name` is `namespace_noun`: lower-case letters and `_`.
    public func table<Record: Codable & Sendable>(_ name: String, of type: Record.Type = Record.self) throws -> RecordTable<Record> {
        guard !name.isEmpty, name.utf8.allSatisfy({ (97...122).contains($0) || $0 == 95 }) else {
            throw RecordError.misuse("invalid table name \"\(name)\"")
        }
        try execute("CREATE TABLE IF NOT EXISTS \(name) (key TEXT PRIMARY KEY NOT NULL, document BLOB NOT NULL) WITHOUT ROWID")
        return RecordTable(name: name, store: self)
    }
}

/// Access to the store inside one transaction. Not to be kept after the closure that got it.
public struct Transaction {
    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    /// One statement. Returns the number of rows it changed.
    @discardableResult
    public func execute(_ sql: String, _ bindings: [RecordValue] = []) throws -> Int { try connection.run(sql, bindings) }

    /// The rows of a SELECT, each mapped while it is read.
    public func query<Row>(_ sql: String, _ bindings: [RecordValue] = [], _ map: (RecordRow) throws -> Row) throws -> [Row] {
        try connection.query(sql, bindings, map)
    }

    /// Several statements without bindings.
    func script(_ sql: String) throws { try connection.execute(sql) }
}
