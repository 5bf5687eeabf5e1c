internal import Glibc
internal import JSON
internal import Linux
internal import Logging
internal import Synchronization

/// Log lines on standard error as dockerd writes them: `time="…" level=info msg="…" key=value`, or an object of JSON each.
struct DaemonLog: LogHandler {
    enum Format: String {
        case text, json
    }

    var metadata: Logger.Metadata = [:]

    private static let level = Mutex(Logger.Level.info)
    private static let format = Mutex(Format.text)

    /// One level for all loggers, so that a reload reaches those that were handed out.
    var logLevel: Logger.Level {
        get { Self.level.withLock { $0 } }
        set { Self.level.withLock { $0 = newValue } }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let level = event.level == .warning ? "warning" : event.level == .critical ? "fatal" : event.level.rawValue
        let facts = self.metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }).mapValues { "\($0)" }
        let line =
            switch Self.format.withLock({ $0 }) {
            case .text: Self.text(level, "\(event.message)", facts)
            case .json: Self.json(level, "\(event.message)", facts)
            }
        let bytes = Array("\(line)\n".utf8)
        _ = write(2, bytes, bytes.count)
    }

    private static func text(_ level: String, _ message: String, _ facts: [String: String]) -> String {
        var line = "time=\"\(Timestamp.now().fixedWidth)\" level=\(level) msg=\"\(message)\""
        for (key, text) in facts.sorted(by: { $0.key < $1.key }) {
            line += text.contains(where: { $0 == " " || $0 == "\"" || $0 == "\n" }) ? " \(key)=\(text.debugDescription)" : " \(key)=\(text)"
        }
        return line
    }

    /// A fact of the name of a member of every line is `fields.` and that name, as in dockerd.
    private static func json(_ level: String, _ message: String, _ facts: [String: String]) -> String {
        let own = ["level": level, "msg": message, "time": Timestamp.now().fixedWidth]
        let others = facts.map { (own[$0] == nil ? $0 : "fields.\($0)", $1) }
        let all = own.merging(others) { $1 }.sorted { $0.key < $1.key }
        return JSONValue.object(JSONObject(all.map { .init(name: $0.key, value: .string($0.value)) })).text()
    }

    static func set(_ options: DaemonOptions) {
        level.withLock { $0 = options.isDebug ? .debug : level(options.logLevel) }
        format.withLock { $0 = options.logFormat }
    }

    private static func level(_ name: String) -> Logger.Level {
        switch name {
        case "debug": .debug
        case "warn": .warning
        case "error": .error
        case "fatal": .critical
        default: .info
        }
    }
}
