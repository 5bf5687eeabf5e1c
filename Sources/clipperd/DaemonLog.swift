internal import Glibc
internal import Linux
internal import Logging
internal import Synchronization

/// Log lines on standard error as dockerd writes them: `time="…" level=info msg="…" key=value`.
struct DaemonLog: LogHandler {
    var metadata: Logger.Metadata = [:]

    private static let level = Mutex(Logger.Level.info)

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
        var line = "time=\"\(Timestamp.now().fixedWidth)\" level=\(level) msg=\"\(event.message)\""
        for (key, value) in self.metadata.merging(event.metadata ?? [:], uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
            let text = "\(value)"
            line += text.contains(where: { $0 == " " || $0 == "\"" || $0 == "\n" }) ? " \(key)=\(text.debugDescription)" : " \(key)=\(text)"
        }
        let bytes = Array("\(line)\n".utf8)
        _ = write(2, bytes, bytes.count)
    }

    static func setLevel(_ options: DaemonOptions) {
        level.withLock { $0 = options.isDebug ? .debug : level(options.logLevel) }
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
