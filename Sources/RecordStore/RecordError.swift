/// Why a record could not be read or written.
public enum RecordError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Another process has the database; its id when it left one.
    case inUse(path: String, pid: Int32?)
    /// SQLite's answer to a statement; `code` is its result code (sqlite.org/rescode.html).
    case database(operation: String, code: Int32, message: String)
    /// A document in a table is not what its type asks for.
    case badDocument(table: String, key: String, reason: String)
    /// The tables of a namespace come from a later version of the program.
    case newer(namespace: String, found: Int, known: Int)
    case misuse(String)

    public var description: String {
        switch self {
        case .inUse(let path, let pid):
            "open \(path): in use by another daemon\(pid.map { " (process \($0))" } ?? "")"
        case .database(let operation, _, let message): "\(operation): \(message)"
        case .badDocument(let table, let key, let reason): "read record \(key) of \(table): \(reason)"
        case .newer(let namespace, let found, let known):
            "open records of \(namespace): written by a later version (schema \(found), this program knows \(known))"
        case .misuse(let message): message
        }
    }

    /// SQLITE_CORRUPT and SQLITE_NOTADB, extended codes included.
    var isDamage: Bool {
        if case .database(_, let code, _) = self { code & 0xff == 11 || code & 0xff == 26 } else { false }
    }
}
