internal import CSQLite
internal import Synchronization

/// One SQLite connection with its prepared statements. Used by one thread at a time (`LockedConnection`).
final class Connection {
    private let database: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]

    private init(_ database: OpaquePointer) { self.database = database }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(database)
    }

    /// Opens, checks and prepares a database file.
    static func open(_ path: String) throws -> Connection {
        var handle: OpaquePointer?
        // NOMUTEX: the store's own lock serializes.
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard let handle else { throw RecordError.database(operation: "open \(path)", code: code, message: "out of memory") }
        let connection = Connection(handle)
        guard code == SQLITE_OK else { throw connection.failure("open \(path)") }
        sqlite3_extended_result_codes(handle, 1)
        // FULL: a transaction that was reported done survives a power cut.
        try connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000")
        let verdict = try connection.query("PRAGMA quick_check(1)") { $0.text(0) }
        guard verdict.first == "ok" else {
            throw RecordError.database(operation: "open \(path)", code: SQLITE_CORRUPT, message: verdict.first ?? "database is damaged")
        }
        try connection.execute("CREATE TABLE IF NOT EXISTS clipper_schema (namespace TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL)")
        return connection
    }

    private var commitsAreFlushed = true

    /// Whether commits from now on wait for the disk. Without, they are as atomic and ordered as before (WAL), and a power
    /// loss may take the last of them.
    func flushCommits(_ flush: Bool) throws {
        guard flush != commitsAreFlushed else { return }
        try execute("PRAGMA synchronous = \(flush ? "FULL" : "NORMAL")")
        commitsAreFlushed = flush
    }

    /// Several statements, without bindings and results.
    func execute(_ sql: String) throws {
        guard sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK else { throw failure(sql) }
    }

    func run(_ sql: String, _ bindings: [RecordValue]) throws -> Int {
        try withStatement(sql, bindings) { statement in
            while true {
                switch sqlite3_step(statement) {
                case SQLITE_DONE: return Int(sqlite3_changes(database))
                case SQLITE_ROW: continue
                default: throw failure(sql)
                }
            }
        }
    }

    func query<Row>(_ sql: String, _ bindings: [RecordValue] = [], _ map: (RecordRow) throws -> Row) throws -> [Row] {
        try withStatement(sql, bindings) { statement in
            var rows: [Row] = []
            while true {
                switch sqlite3_step(statement) {
                case SQLITE_DONE: return rows
                case SQLITE_ROW: rows.append(try map(RecordRow(statement)))
                default: throw failure(sql)
                }
            }
        }
    }

    private func withStatement<Result>(_ sql: String, _ bindings: [RecordValue], _ body: (OpaquePointer) throws -> Result) throws -> Result
    {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        guard sqlite3_bind_parameter_count(statement) == Int32(bindings.count) else {
            throw RecordError.misuse("\(sql): \(bindings.count) values for \(sqlite3_bind_parameter_count(statement)) parameters")
        }
        for (index, value) in bindings.enumerated() {
            guard Self.bind(value, to: statement, at: Int32(index + 1)) == SQLITE_OK else { throw failure(sql) }
        }
        return try body(statement)
    }

    private func prepared(_ sql: String) throws -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        guard sqlite3_prepare_v3(database, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil) == SQLITE_OK, let statement else {
            throw failure(sql)
        }
        statements[sql] = statement
        return statement
    }

    private static func bind(_ value: RecordValue, to statement: OpaquePointer, at index: Int32) -> Int32 {
        // SQLITE_TRANSIENT, a cast that C's macro makes and Swift can't import: SQLite copies the bytes.
        let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null: return sqlite3_bind_null(statement, index)
        case .integer(let number): return sqlite3_bind_int64(statement, index, number)
        case .double(let number): return sqlite3_bind_double(statement, index, number)
        case .text(let text):
            var text = text
            return text.withUTF8 { bytes in
                bytes.withMemoryRebound(to: CChar.self) { sqlite3_bind_text(statement, index, $0.baseAddress, Int32($0.count), transient) }
            }
        case .blob(let bytes):
            // An empty array may have no address, and a null address would bind NULL.
            guard !bytes.isEmpty else { return sqlite3_bind_zeroblob(statement, index, 0) }
            return bytes.withUnsafeBytes { sqlite3_bind_blob(statement, index, $0.baseAddress, Int32($0.count), transient) }
        }
    }

    private func failure(_ operation: String) -> RecordError {
        .database(
            operation: String(operation.prefix(120)), code: sqlite3_extended_errcode(database),
            message: String(cString: sqlite3_errmsg(database)))
    }
}

/// A connection behind a lock.
///
/// Unchecked: the connection is only ever touched while `lock` is held.
final class LockedConnection: @unchecked Sendable {
    private let lock = Mutex<Void>(())
    private let connection: Connection

    init(_ connection: Connection) { self.connection = connection }

    func withLock<Result>(_ body: (Connection) throws -> Result) throws -> Result {
        // The result crosses the lock in a box: `Mutex.withLock` wants it to be sending, which a generic result can't promise.
        var result: Result?
        try lock.withLock { _ in result = try body(connection) }
        guard let result else { throw RecordError.misuse("no result") }
        return result
    }
}
