internal import Glibc
internal import Linux
internal import Logging

/// Log lines on standard error as dockerd writes them: `time="…" level=info msg="…" key=value`.
struct DaemonLog: LogHandler {
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level

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

    static func level(_ name: String, isDebug: Bool) -> Logger.Level {
        if isDebug { return .debug }
        return switch name {
        case "debug": .debug
        case "warn": .warning
        case "error": .error
        case "fatal": .critical
        default: .info
        }
    }
}
